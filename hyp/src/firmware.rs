//! Calls to firmware: PSCI by the conduit that the tree names, never by probing. An SMC with
//! nobody to answer hangs.

use hyp_abi::smccc::{FunctionId, VERSION, VERSION_1_1};
use hyp_core::tree::machine::PsciConduit;
use smccc::psci::{self, error::Error};
use smccc::{Call, Hvc, Smc};

use crate::arch::cpu;
use crate::arch::low_half;
use crate::arch::once::Once;

static CONDUIT: Once<PsciConduit> = Once::new();

/// Sets how firmware is called.
pub(crate) fn init(conduit: PsciConduit) {
    CONDUIT.set(conduit);
}

/// A call by the conduit; before [`init`], the answer of firmware that knows no call at all.
struct Conduit;

/// What x0 holds then: NOT_SUPPORTED of PSCI and of SMCCC.
const NOTHING_THERE: i32 = -1;

impl Call for Conduit {
    #[inline(never)]
    fn call32(function: u32, args: [u32; 7]) -> [u32; 8] {
        match CONDUIT.get() {
            Some(PsciConduit::Smc) => Smc::call32(function, args),
            Some(PsciConduit::Hvc) => Hvc::call32(function, args),
            None => [NOTHING_THERE.cast_unsigned(), 0, 0, 0, 0, 0, 0, 0],
        }
    }

    #[inline(never)]
    fn call64(function: u32, args: [u64; 17]) -> [u64; 18] {
        match CONDUIT.get() {
            Some(PsciConduit::Smc) => Smc::call64(function, args),
            Some(PsciConduit::Hvc) => Hvc::call64(function, args),
            None => [i64::from(NOTHING_THERE).cast_unsigned(); 18],
        }
    }
}

/// Firmware's PSCI version, major and minor.
pub(crate) fn version() -> Option<(u16, u16)> {
    let version = psci::version::<Conduit>().ok()?;
    Some((version.major, version.minor))
}

/// What there is, for the log.
pub(crate) struct Described;

impl core::fmt::Display for Described {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match version() {
            Some((major, minor)) => write!(f, "PSCI {}.{}", u64::from(major), u64::from(minor)),
            None => f.write_str("no PSCI (the machine stays on at the end)"),
        }
    }
}

/// Starts the CPU with these affinity fields of MPIDR_EL1 at a physical address.
pub(crate) fn cpu_on(mpidr: u64, entry: u64, context: u64) -> Result<(), Error> {
    psci::cpu_on::<Conduit>(mpidr, entry, context)
}

/// Calls another service of firmware with one argument: the first four results. `None` where
/// firmware does not speak SMCCC 1.1, because there a call that it does not know may do anything.
pub(crate) fn service(id: FunctionId, argument: u64) -> Option<[u64; 4]> {
    // That SMCCC 1.1 is there is found through PSCI 1.0 (DEN0028, "Discovery").
    let knows_version = version()? >= (1, 0) && psci::psci_features::<Conduit>(VERSION.0).is_ok();
    if !knows_version {
        return None;
    }
    let [smccc_version, ..] = raw(VERSION, 0);
    if !(VERSION_1_1..1 << 31).contains(&smccc_version) {
        return None;
    }
    Some(raw(id, argument))
}

/// A call in the convention that its id says, results zero-extended.
fn raw(id: FunctionId, argument: u64) -> [u64; 4] {
    if id.is_64bit() {
        let mut args = [0; 17];
        args[0] = argument;
        let [x0, x1, x2, x3, ..] = Conduit::call64(id.0, args);
        return [x0, x1, x2, x3];
    }
    let [w0, w1, w2, w3, ..] = Conduit::call32(id.0, [low_half(argument), 0, 0, 0, 0, 0, 0]);
    [w0, w1, w2, w3].map(u64::from)
}

/// Switches the machine off; where firmware cannot, this CPU stops.
pub(crate) fn system_off() -> ! {
    // Only returns in case of an error, after which there is nothing left to try.
    let _ = psci::system_off::<Conduit>();
    cpu::park()
}

/// Has firmware carry out an architectural workaround that it offers.
pub(crate) fn mitigate(id: FunctionId) {
    // The workarounds take no argument that matters here and answer nothing.
    raw(id, 1);
}
