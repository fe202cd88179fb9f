//! Physical SErrors that are pending while EL2 runs, which keeps them masked.

use core::arch::asm;

use super::barrier::dsb_sy;
use super::sysreg;
use super::sysreg::fields::{isr, pfr0};

/// DISR_EL1.A: an SError was deferred.
const DEFERRED: u64 = 1 << 31;

/// Waits until errors of this CPU's earlier accesses have shown themselves, and takes the SError
/// that is pending then: its syndrome, as in ESR_EL2. None is left for whoever runs next.
///
/// For when the guest of this CPU goes: its SP_EL0 and TPIDR_EL0 may be lost.
pub(crate) fn take_pending() -> Option<u64> {
    dsb_sy();
    let (pc, pstate) = (sysreg::elr_el2(), sysreg::spsr_el2());
    let esr = injected!(late_serror(), None).or_else(pending);
    // The guest's again, if an exception was taken.
    sysreg::set_elr_el2(pc);
    // SAFETY: the value is the one that was there.
    unsafe { sysreg::set_spsr_el2(pstate) };
    esr
}

fn pending() -> Option<u64> {
    if pfr0::RAS.read(sysreg::id_aa64pfr0_el1()) != 0 {
        // SAFETY: ESB, a hint: an SError that is pending and masked goes to DISR_EL1.
        unsafe { asm!("hint #16", options(nostack, preserves_flags)) };
        let deferred = sysreg::disr_el1();
        sysreg::set_disr_el1(0);
        return (deferred & DEFERRED != 0).then_some(deferred);
    }
    isr::A.is_set(sysreg::isr_el1()).then(|| {
        let esr;
        // SAFETY: `let_serror_in` (vectors.s) changes x0; the exception that it lets in changes
        // ELR_EL2 and SPSR_EL2, which the caller restores, and comes back to it.
        unsafe { asm!("bl let_serror_in", out("x0") esr, out("x30") _, options(nostack)) };
        esr
    })
}
