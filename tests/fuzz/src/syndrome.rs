//! Syndromes of traps and what becomes of the guest, against the tables and the pseudocode of the
//! Arm ARM (DDI 0487).

mod decode;
mod guest;
mod road;
mod view;

use crate::bytes::Bytes;

/// The bits from `high` to `low` of `value`.
fn bits(value: u64, high: u32, low: u32) -> u64 {
    (value >> low) & ((1u64 << (high - low + 1)) - 1)
}

/// One input: what the registers hold at a trap, and what the VM is like.
pub(crate) fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let esr = bytes.u64();
    decode::check(esr);
    match bits(esr, 31, 26) {
        0x18 => view::check(esr, &mut bytes),
        0x20 | 0x24 => road::check(esr, &mut bytes),
        _ => guest::check(&mut bytes),
    }
}
