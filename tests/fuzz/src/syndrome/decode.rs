//! ESR_EL2, field by field.

use hyp_core::esr::{Access, Cause, Direction, Exit, Width};

use super::bits;

/// What a fault status code stands for (`ESR_EL2`, ISS encoding for a Data Abort, DFSC), the
/// features of FEAT_D128 and RME left out, which no VM's tables have.
pub(super) fn meaning(status: u64) -> &'static str {
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

fn cause(esr: u64, found: Cause) {
    let status = bits(esr, 5, 0);
    let expected = match found {
        Cause::AddressSize => &["address size"][..],
        Cause::Translation { level } => {
            let named = if status == 0b10_1011 { -1 } else { bits(status, 1, 0).cast_signed() };
            assert_eq!(i64::from(level), named, "{esr:#x}");
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

fn direction(is_write: bool) -> Direction {
    if is_write { Direction::Write } else { Direction::Read }
}

/// What the ISS of a data abort says of the instruction, if ISV is set.
fn access(esr: u64) -> Option<Access> {
    let width = [Width::Byte, Width::Half, Width::Word, Width::Double];
    (bits(esr, 24, 24) == 1).then(|| {
        Access::new(
            direction(bits(esr, 6, 6) == 1),
            width[usize::try_from(bits(esr, 23, 22)).unwrap()],
            u8::try_from(bits(esr, 20, 16)).unwrap(),
            bits(esr, 21, 21) == 1,
            bits(esr, 15, 15) == 1,
        )
    })
}

/// Compares what `hyp-core` makes of `esr`.
pub(super) fn check(esr: u64) {
    let class = bits(esr, 31, 26);
    let immediate = bits(esr, 15, 0);
    match (class, Exit::from_esr(esr)) {
        (0x16, Exit::Hvc { imm }) | (0x17, Exit::Smc { imm }) => {
            assert_eq!(u64::from(imm), immediate);
        }
        (0x24, Exit::DataAbort(abort)) => {
            cause(esr, abort.cause);
            assert_eq!(abort.direction, direction(bits(esr, 6, 6) == 1));
            assert_eq!(abort.access, access(esr));
            assert_eq!(abort.on_walk, bits(esr, 7, 7) == 1);
            assert_eq!(abort.is_maintenance, bits(esr, 8, 8) == 1);
            assert_eq!(abort.address_unknown, bits(esr, 10, 10) == 1);
        }
        (0x20, Exit::FetchAbort(abort)) => {
            cause(esr, abort.cause);
            assert_eq!(abort.on_walk, bits(esr, 7, 7) == 1);
            assert_eq!(abort.address_unknown, bits(esr, 10, 10) == 1);
        }
        (0x18, Exit::SystemRegister(access)) => {
            let fields = [(21, 20), (16, 14), (13, 10), (4, 1), (19, 17)];
            let numbers = fields.map(|(high, low)| u16::try_from(bits(esr, high, low)).unwrap());
            let register = access.register;
            let found =
                [register.op0(), register.op1(), register.crn(), register.crm(), register.op2()];
            assert_eq!(found, numbers);
            assert_eq!(access.direction, direction(bits(esr, 0, 0) == 0));
            assert_eq!(u64::from(access.rt), bits(esr, 9, 5));
        }
        (0x01, Exit::Wait) => {}
        // CP15, CP14, CP10, SVC, HVC and SMC of AArch32.
        (0x03..=0x06 | 0x08 | 0x0c | 0x11 | 0x12 | 0x13, Exit::AArch32 { class: found }) => {
            assert_eq!(u64::from(found), class)
        }
        (
            0x00
            | 0x02
            | 0x07
            | 0x09..=0x0b
            | 0x0d..=0x10
            | 0x14
            | 0x15
            | 0x19..=0x1f
            | 0x21..=0x23
            | 0x25..,
            Exit::Unknown { class: found },
        ) => assert_eq!(u64::from(found), class),
        (class, exit) => panic!("class {class:#x}: {exit:?}"),
    }
}
