//! Hints and waiting.

use core::arch::asm;

use hyp_core::inject::Rights;
use hyp_core::vcpu::El1;

use super::sysreg::fields::{isr, mmfr1};
use super::{el1, sysreg};

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

/// PAR_EL1. A read that is not fenced can stop some CPUs for good (Cortex-A77, erratum 1508412), one that is
/// done ahead of the program as well.
fn par_el1() -> u64 {
    super::barrier::dmb_sy();
    let par = el1::read(El1::Par);
    super::barrier::dmb_sy();
    par
}

/// PAR_EL1 as the guest's stage 1 leaves it for an access to `va` at EL1 (AT S1E1R, S1E1W). The
/// guest's own PAR_EL1 is put back.
pub(crate) fn translate_el1(va: u64, is_write: bool) -> u64 {
    translate(va, is_write, Rights::Kernel)
}

/// Translates `va` by the guest's stage 1 as [`translate_el1`] does, for an access with `rights`.
pub(crate) fn translate(va: u64, is_write: bool, rights: Rights) -> u64 {
    let guest = par_el1();
    macro_rules! at {
        ($($operation:literal),*) => {{
            // SAFETY: AT writes PAR_EL1 only, which is put back below; PSTATE.PAN, where it is
            // touched, means nothing to EL2 while HCR_EL2.E2H is 0.
            unsafe {
                asm!($($operation),*, "isb", va = in(reg) va, options(nostack, preserves_flags));
            }
            par_el1()
        }};
    }
    let kernel = || if is_write { at!("at s1e1w, {va}") } else { at!("at s1e1r, {va}") };
    let par = match rights {
        Rights::User if is_write => at!("at s1e0w, {va}"),
        Rights::User => at!("at s1e0r, {va}"),
        Rights::Kernel => kernel(),
        // AT S1E1RP and S1E1WP ask this PE's PSTATE.PAN. Assemblers know them, and MSR PAN, for CPUs
        // alone that have them.
        Rights::KernelAlone if mmfr1::PAN.read(sysreg::id_aa64mmfr1_el1()) >= 2 => {
            if is_write {
                at!(".inst 0xd500419f", "sys #0, c7, c9, #1, {va}", ".inst 0xd500409f")
            } else {
                at!(".inst 0xd500419f", "sys #0, c7, c9, #0, {va}", ".inst 0xd500409f")
            }
        }
        // FEAT_PAN alone has no such AT: what EL0 can read is EL0's.
        Rights::KernelAlone => {
            let user = at!("at s1e0r, {va}");
            if user & PAR_F == 0 { PAR_F } else { kernel() }
        }
    };
    el1::write(El1::Par, guest);
    par
}

/// PAR_EL1.F: there is no translation.
const PAR_F: u64 = 1;

/// Whether EL2's own map lets `va` be read (AT S1E2R). Loses PAR_EL1, which may be a guest's.
pub(crate) fn is_readable(va: usize) -> bool {
    // SAFETY: AT writes PAR_EL1 only.
    unsafe { asm!("at s1e2r, {}", in(reg) va, options(nostack, preserves_flags)) };
    super::barrier::isb();
    par_el1() & 1 == 0
}

/// Stops this CPU for good.
pub(crate) fn park() -> ! {
    loop {
        // SAFETY: a hint.
        unsafe { asm!("wfe", options(nomem, nostack, preserves_flags)) };
    }
}
