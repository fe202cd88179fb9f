//! Calls that the guest itself needs.

use hyp_abi::psci;
use hyp_abi::vendor::{list_2021, pkvm};
use hyp_abi::vplatform::GICC_BASE;
use model::Dialect;

use crate::arch::cpu;
use crate::layout::PAGE;
use crate::options::Options;

/// Enrols, and guards the console and the GIC, page by page.
pub(crate) fn guard_devices(options: &Options) {
    if !options.has_guard() {
        return;
    }
    let (enroll, map) = match options.dialect {
        Dialect::Pkvm => (pkvm::MMIO_GUARD_ENROLL, pkvm::MMIO_GUARD_MAP),
        Dialect::List2021 => (list_2021::MMIO_GUARD_ENROLL, list_2021::MMIO_GUARD_MAP),
    };
    let _ = cpu::call(enroll.0, [0; 3]);
    for page in guarded(options) {
        let _ = cpu::call(map.0, [page, 0, 0]);
    }
}

/// The pages that are guarded from the start.
pub(crate) fn guarded(options: &Options) -> impl Iterator<Item = u64> {
    let mut ranges = options.emulated();
    if options.is_v2() {
        ranges.push((GICC_BASE, GICC_BASE + PAGE));
    }
    ranges.into_iter().flat_map(|(base, end)| (base..end).step_by(4096))
}

/// Starts the CPU of `affinity`; x0 of the call.
pub(crate) fn power_on(affinity: u64, context: u64) -> u64 {
    cpu::call(psci::CPU_ON_64.0, [affinity, cpu::secondary_address(), context])[0]
}

/// Switches this CPU off.
pub(crate) fn turn_off() -> ! {
    let _ = cpu::call(psci::CPU_OFF.0, [0; 3]);
    cpu::park()
}

/// Ends the run.
pub(crate) fn power_off() -> ! {
    let _ = cpu::call(psci::SYSTEM_OFF.0, [0; 3]);
    cpu::park()
}
