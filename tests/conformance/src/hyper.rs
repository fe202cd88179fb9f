//! Calls to the host: by number for the rows, by name for what the guest itself needs.

use guest_shim::{Conduit, Hvc};
use hyp_abi::psci;
use hyp_abi::smccc::FunctionId;

use crate::arch::cpu;

/// -1 in a 64-bit register.
pub(crate) const NOT_SUPPORTED: u64 = -1_i64 as u64;
/// -2: PSCI's and TRNG's "invalid parameters".
pub(crate) const INVALID_PARAMETERS: u64 = -2_i64 as u64;
/// -3: the vendor calls' "invalid parameter".
pub(crate) const INVALID: u64 = -3_i64 as u64;

/// One call by HVC.
pub(crate) fn call(function: FunctionId, args: [u64; 3]) -> [u64; 4] {
    Hvc.call(function, args)
}

/// x0 of one call by HVC.
pub(crate) fn call0(function: FunctionId, args: [u64; 3]) -> u64 {
    call(function, args)[0]
}

/// Ends the run.
pub(crate) fn power_off() -> ! {
    let _ = call(psci::SYSTEM_OFF, [0; 3]);
    cpu::park()
}
