//! Single instructions.
#![expect(unsafe_code, reason = "single instructions")]

use core::arch::asm;

/// Fills this CPU's GIC interface: system registers, all priorities, group 1 (IHI 0069, 12.2).
pub(crate) fn open_gic_interface() {
    // SAFETY: these registers only let interrupts through, which stay masked in Rust code.
    unsafe {
        asm!(
            "mrs {t}, icc_sre_el1",
            "orr {t}, {t}, #1",
            "msr icc_sre_el1, {t}",
            "isb",
            "mov {t}, #0xff",
            "msr icc_pmr_el1, {t}",
            "msr icc_bpr1_el1, xzr",
            "msr icc_ctlr_el1, xzr",
            "mov {t}, #1",
            "msr icc_igrpen1_el1, {t}",
            "isb",
            t = out(reg) _,
            options(nostack)
        );
    }
}

/// Lets other CPUs run: an emulator that runs one at a time goes on with the next.
pub(crate) fn give_way() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nostack)) };
}

/// Sleeps for ever.
pub(crate) fn park() -> ! {
    loop {
        // SAFETY: no effect but the wait.
        unsafe { asm!("wfi", options(nostack)) };
    }
}
