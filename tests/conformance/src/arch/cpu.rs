//! Barriers, interrupt masking, waiting.
#![expect(unsafe_code, reason = "single instructions")]

use core::arch::asm;

/// Lets IRQs in.
pub(crate) fn unmask_irq() {
    // SAFETY: the vectors are in place since the first instruction of Rust code; the handler
    // keeps all registers.
    unsafe { asm!("msr daifclr, #2", "isb", options(nostack)) };
}

/// Keeps IRQs out.
pub(crate) fn mask_irq() {
    // SAFETY: only delays interrupts.
    unsafe { asm!("msr daifset, #2", "isb", options(nostack)) };
}

/// Lets SErrors in.
pub(crate) fn unmask_serror() {
    // SAFETY: the vectors report it and do not return.
    unsafe { asm!("msr daifclr, #4", "isb", options(nostack)) };
}

/// Waits for an interrupt, masked or not.
pub(crate) fn wfi() {
    // SAFETY: no effect but the wait.
    unsafe { asm!("dsb sy", "wfi", options(nostack)) };
}

/// All earlier accesses are done before anything later begins.
pub(crate) fn dsb() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", "isb", options(nostack)) };
}

/// Makes every CPU fetch the 8 bytes at `at`, a multiple of 8 in RAM, as they were stored.
pub(crate) fn synchronize_code(at: u64) {
    // SAFETY: maintenance by address, which changes no data; an address that is not mapped aborts.
    unsafe {
        asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", "dsb ish", "isb", in(reg) at,
            options(nostack));
    }
}

/// Sleeps for ever; for CPUs that firmware refused to switch off.
pub(crate) fn park() -> ! {
    loop {
        wfi();
    }
}

// SAFETY: a label of `boot.S`, of which only the address is used.
unsafe extern "C" {
    fn secondary_entry();
}

/// Where CPU_ON sends a CPU: in boot.S.
pub(crate) fn secondary_address() -> u64 {
    secondary_entry as *const () as u64
}
