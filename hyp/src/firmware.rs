//! Calls to firmware: PSCI by the conduit that the tree names, never by probing. An SMC with
//! nobody to answer hangs.

use hyp_core::tree::machine::PsciConduit;
use smccc::psci;
use smccc::{Hvc, Smc};

use crate::arch::cpu::{self, Once};

static CONDUIT: Once<PsciConduit> = Once::new();

/// Sets how firmware is called.
pub(crate) fn init(conduit: PsciConduit) {
    CONDUIT.call_once(|| conduit);
}

/// Runs a PSCI function by the conduit; `None` before [`init`].
macro_rules! call {
    ($function:ident($($argument:expr),*)) => {
        match CONDUIT.get() {
            Some(PsciConduit::Smc) => Some(psci::$function::<Smc>($($argument),*)),
            Some(PsciConduit::Hvc) => Some(psci::$function::<Hvc>($($argument),*)),
            None => None,
        }
    };
}

/// Firmware's PSCI version, major and minor.
pub(crate) fn version() -> Option<(u16, u16)> {
    let version = call!(version())?.ok()?;
    Some((version.major, version.minor))
}

/// Starts the CPU with these affinity fields of MPIDR_EL1 at a physical address.
pub(crate) fn cpu_on(mpidr: u64, entry: u64, context: u64) -> Result<(), psci::error::Error> {
    call!(cpu_on(mpidr, entry, context)).unwrap_or(Err(psci::error::Error::NotSupported))
}

/// Switches the machine off. Returns only where firmware cannot; then this CPU stops.
pub(crate) fn system_off() -> ! {
    let _ = call!(system_off());
    cpu::park()
}
