//! Syndromes of traps: what `hyp-core` reads in ESR_EL2, against the tables of the Arm ARM.

use hyp_core::esr::{Cause, Exit};

use crate::bytes::Bytes;

/// Fault status codes (Arm ARM, `ESR_EL2`, ISS encoding for a Data Abort, DFSC) in its words.
fn meaning(status: u64) -> &'static str {
    match status {
        0b00_0000..=0b00_0011 | 0b10_1001 => "address size",
        0b00_0100..=0b00_0111 | 0b10_1011 => "translation",
        0b00_1000..=0b00_1011 => "access flag",
        0b00_1100..=0b00_1111 => "permission",
        0b01_0000 | 0b01_0011..=0b01_0111 => "external",
        0b01_1000 | 0b01_1011..=0b01_1111 => "parity",
        0b11_0000 => "conflict",
        0b11_0101 => "unsupported",
        _ => "other",
    }
}

fn check_cause(iss: u64, found: Cause) {
    let status = iss & 0x3f;
    let expected = match found {
        Cause::AddressSize => &["address size"][..],
        Cause::Translation { level } => {
            let named = if status == 0b10_1011 { -1 } else { (status & 3) as i8 };
            assert_eq!(level, named, "{iss:#x}");
            &["translation"]
        }
        Cause::AccessFlag => &["access flag"],
        Cause::Permission => &["permission"],
        Cause::External => &["external", "parity"],
        Cause::TlbConflict => &["conflict"],
        Cause::Unsupported => &["unsupported"],
        Cause::Other { status: found } => {
            assert_eq!(u64::from(found), status);
            &["other"]
        }
    };
    assert!(expected.contains(&meaning(status)), "{status:#b}: {found:?}");
}

/// One input: any ESR_EL2.
pub(crate) fn run(input: &[u8]) {
    let esr = Bytes::new(input).u64();
    match Exit::from_esr(esr) {
        Exit::DataAbort(abort) => check_cause(esr, abort.cause),
        Exit::FetchAbort(abort) => check_cause(esr, abort.cause),
        _ => {}
    }
}
