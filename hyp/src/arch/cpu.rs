//! Hints and waiting.

use core::arch::asm;

use super::sysreg;
use super::sysreg::fields::isr;

/// Relaxes a spin loop by YIELD. `core::hint::spin_loop` is an ISB on AArch64, and an emulator
/// that counts instructions never lets another CPU run then.
#[derive(Debug)]
pub(crate) struct Yield;

impl spin::RelaxStrategy for Yield {
    #[inline(always)]
    fn relax() {
        yield_now();
    }
}

/// A lock between CPUs, first come first served.
pub(crate) type Lock<T> = spin::mutex::TicketMutex<T, Yield>;

/// Says that this CPU spins.
#[inline(always)]
pub(crate) fn yield_now() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// Waits for an interrupt. Interrupts stay masked at EL2: one that is pending ends the wait and is
/// taken by acknowledging it.
#[inline(always)]
pub(crate) fn wait_for_interrupt() {
    // Earlier stores are out before the CPU sleeps.
    super::barrier::dsb_sy();
    // SAFETY: a hint.
    unsafe { asm!("wfi", options(nostack, preserves_flags)) };
}

/// Waits for [`send_event`] of another CPU, or for nothing in particular.
pub(crate) fn wait_for_event() {
    // SAFETY: a hint.
    unsafe { asm!("wfe", options(nostack, preserves_flags)) };
}

/// Wakes CPUs in [`wait_for_event`], after earlier stores.
pub(crate) fn send_event() {
    super::barrier::dsb_ishst();
    // SAFETY: a hint.
    unsafe { asm!("sev", options(nostack, preserves_flags)) };
}

/// Whether a physical interrupt waits for this CPU.
#[inline]
pub(crate) fn is_interrupt_pending() -> bool {
    // An SError is not one.
    (isr::I::SET + isr::F::SET).any_matching_bits_set(sysreg::isr_el1())
}

/// PAR_EL1 as the guest's stage 1 leaves it for an access to `va` at EL1 (AT S1E1R, S1E1W). The
/// guest's own PAR_EL1 is put back.
pub(crate) fn translate_el1(va: u64, is_write: bool) -> u64 {
    translate(va, is_write, false)
}

/// The same at EL0 if `is_user` (AT S1E0R, S1E0W).
pub(crate) fn translate(va: u64, is_write: bool, is_user: bool) -> u64 {
    let guest = sysreg::par_el1();
    macro_rules! at {
        ($operation:literal) => {
            // SAFETY: AT writes PAR_EL1 only, which is put back below.
            unsafe {
                asm!(concat!("at ", $operation, ", {}"), in(reg) va,
                     options(nostack, preserves_flags));
            }
        };
    }
    match (is_user, is_write) {
        (false, false) => at!("s1e1r"),
        (false, true) => at!("s1e1w"),
        (true, false) => at!("s1e0r"),
        (true, true) => at!("s1e0w"),
    }
    super::barrier::isb();
    let par = sysreg::par_el1();
    sysreg::set_par_el1(guest);
    par
}

/// Whether EL2's own map lets `va` be read (AT S1E2R). Loses PAR_EL1, which may be a guest's.
pub(crate) fn is_readable(va: usize) -> bool {
    // SAFETY: AT writes PAR_EL1 only.
    unsafe { asm!("at s1e2r, {}", in(reg) va, options(nostack, preserves_flags)) };
    super::barrier::isb();
    sysreg::par_el1() & 1 == 0
}

/// Stops this CPU for good.
pub(crate) fn park() -> ! {
    loop {
        // SAFETY: a hint.
        unsafe { asm!("wfe", options(nomem, nostack, preserves_flags)) };
    }
}
