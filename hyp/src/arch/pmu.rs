//! The performance monitor as a source of interrupts, for `injection.rs`.

use core::arch::asm;

use super::barrier::isb;

/// PMCR_EL0.E.
const ENABLE: u64 = 1;
/// The cycle counter's bit of PMINTENSET_EL1 and PMOVSSET_EL0.
const CYCLES: u64 = 1 << 31;

/// Makes the overflow interrupt's line of the calling CPU go high, and stay so.
pub(crate) fn raise_line() {
    // SAFETY: EL2 counts nothing and guests are kept from the PMU, so nobody misses a setting.
    unsafe {
        asm!(
            "msr pmcr_el0, {enable}",
            "msr pmintenset_el1, {cycles}",
            "msr pmovsset_el0, {cycles}",
            enable = in(reg) ENABLE,
            cycles = in(reg) CYCLES,
            options(nomem, nostack, preserves_flags),
        );
    }
    isb();
}

/// Makes it go low.
pub(crate) fn lower_line() {
    // SAFETY: as above.
    unsafe {
        asm!("msr pmovsclr_el0, {}", in(reg) CYCLES, options(nomem, nostack, preserves_flags));
    }
    isb();
}
