//! Whether a call leaves alone every register that it must leave alone.
#![expect(unsafe_code, reason = "a call with all registers filled")]

use core::arch::global_asm;

use hyp_abi::smccc::FunctionId;

global_asm!(include_str!("../../../runtime/src/macros.S"), include_str!("registers.S"));

// SAFETY: `registers.S` has it, with these arguments.
unsafe extern "C" {
    fn call_and_compare(function: u64, results: *mut [u64; 4]) -> u64;
}

/// Makes a call with x1 to x3 = 0 and patterns in all other registers. Second: a bit for each of
/// x4 to x30 (bits 4 to 30), SP (bit 31) and V0 to V31 (bits 32 to 63) that came back changed.
#[must_use]
pub(crate) fn call(function: FunctionId) -> ([u64; 4], u64) {
    let mut results = [0; 4];
    // SAFETY: registers.S saves and restores what the procedure call standard asks for and
    // writes four words to `results`.
    let changed = unsafe { call_and_compare(u64::from(function.0), &raw mut results) };
    (results, changed)
}
