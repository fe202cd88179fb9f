//! Starting the other CPUs and giving them their work.

use hyp_core::addr::Pa;
use smccc::psci::error::Error;

use crate::arch::cpu::{self, Once};
use crate::arch::percpu::{self, PerCpu};
use crate::arch::{symbols, timer};
use crate::{firmware, mm};

/// How long a CPU may take to arrive, in seconds: emulators on busy machines are slow.
const PATIENCE_SECONDS: u64 = 10;

/// What a CPU does for the rest of its life; its argument is the CPU's number.
pub(crate) type Work = fn(usize) -> !;

static WORK: Once<Work> = Once::new();

/// Why a CPU did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartError {
    /// Firmware refused.
    Refused(Error),
    /// Firmware accepted, but the CPU did not arrive.
    Silent,
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "firmware's CPU_ON says: {error}"),
            Self::Silent => {
                write!(f, "it did not arrive within {PATIENCE_SECONDS} s of firmware's CPU_ON")
            }
        }
    }
}

/// Starts the CPU with affinity `mpidr` as number `index` and waits until it is online.
pub(crate) fn start(index: usize, mpidr: u64) -> Result<(), StartError> {
    let Pa(entry) = mm::el2_map::image_pa(symbols::secondary_entry());
    firmware::cpu_on(mpidr, entry, index as u64).map_err(StartError::Refused)?;
    let deadline = timer::now() + PATIENCE_SECONDS * timer::frequency();
    while !PerCpu::nth(index).is_some_and(PerCpu::is_online) {
        if timer::now() > deadline {
            return Err(StartError::Silent);
        }
        cpu::yield_now();
    }
    Ok(())
}

/// Gives all CPUs that are or will be waiting their work.
pub(crate) fn release(work: Work) {
    WORK.call_once(|| work);
    cpu::send_event();
}

/// Where a CPU waits after it has started.
pub(crate) fn wait_for_work() -> ! {
    loop {
        if let Some(work) = WORK.get() {
            work(percpu::index());
        }
        cpu::wait_for_event();
    }
}
