//! Calls to firmware: PSCI by the conduit that the tree names, never by probing. An SMC with
//! nobody to answer hangs.

use hyp_abi::smccc::{FunctionId, VERSION, VERSION_1_1};
use hyp_core::tree::machine::PsciConduit;
use smccc::psci::{self, error::Error};
use smccc::{Call, Hvc, Smc};

use crate::arch::cpu;
use crate::arch::once::Once;

static CONDUIT: Once<PsciConduit> = Once::new();

/// Sets how firmware is called.
pub(crate) fn init(conduit: PsciConduit) {
    CONDUIT.set(conduit);
}

/// Runs a function of the `smccc` crate by the conduit; `None` before [`init`].
macro_rules! call {
    ($($function:ident)::+($($argument:expr),*)) => {
        match CONDUIT.get() {
            Some(PsciConduit::Smc) => Some($($function)::+::<Smc>($($argument),*)),
            Some(PsciConduit::Hvc) => Some($($function)::+::<Hvc>($($argument),*)),
            None => None,
        }
    };
}

/// Firmware's PSCI version, major and minor.
pub(crate) fn version() -> Option<(u16, u16)> {
    let version = call!(psci::version())?.ok()?;
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
    call!(psci::cpu_on(mpidr, entry, context)).unwrap_or(Err(Error::NotSupported))
}

/// Calls another service of firmware with one argument: the first four results. `None` where
/// firmware does not speak SMCCC 1.1, because there a call that it does not know may do anything.
pub(crate) fn service(id: FunctionId, argument: u64) -> Option<[u64; 4]> {
    // That SMCCC 1.1 is there is found through PSCI 1.0 (DEN0028, "Discovery").
    let knows_version = version()? >= (1, 0) && call!(psci::psci_features(VERSION.0))?.is_ok();
    if !knows_version {
        return None;
    }
    let [smccc_version, ..] = call!(raw(VERSION, 0))?;
    if !(VERSION_1_1..1 << 31).contains(&smccc_version) {
        return None;
    }
    call!(raw(id, argument))
}

/// A call in the convention that its id says, results zero-extended.
fn raw<C: Call>(id: FunctionId, argument: u64) -> [u64; 4] {
    let [x0, x1, x2, x3, ..] = if id.is_64bit() {
        C::call64(id.0, core::array::from_fn(|n| if n == 0 { argument } else { 0 }))
    } else {
        let first = crate::arch::low_half(argument);
        let [w0, w1, w2, w3, ..] =
            C::call32(id.0, core::array::from_fn(|n| if n == 0 { first } else { 0 }))
                .map(u64::from);
        return [w0, w1, w2, w3];
    };
    [x0, x1, x2, x3]
}

/// Switches the machine off; where firmware cannot, this CPU stops.
pub(crate) fn system_off() -> ! {
    // Only returns in case of an error, after which there is nothing left to try.
    let _ = call!(psci::system_off());
    cpu::park()
}

/// Has firmware carry out an architectural workaround that it offers.
pub(crate) fn mitigate(id: FunctionId) {
    // The workarounds take no argument that matters here and answer nothing.
    let _ = call!(raw(id, 1));
}
