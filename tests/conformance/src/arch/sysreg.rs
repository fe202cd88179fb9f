//! System registers by name.
#![expect(unsafe_code, reason = "MRS and MSR")]

use core::arch::asm;

macro_rules! read {
    ($($(#[$doc:meta])* $name:ident = $register:literal;)*) => {
        $($(#[$doc])* #[must_use] pub(crate) fn $name() -> u64 {
            let value: u64;
            // SAFETY: reading this register changes nothing that Rust code relies on.
            unsafe { asm!(concat!("mrs {}, ", $register), out(reg) value, options(nostack)) };
            value
        })*
    };
}

macro_rules! write {
    ($($(#[$doc:meta])* $name:ident = $register:literal;)*) => {
        $($(#[$doc])* pub(crate) fn $name(value: u64) {
            // SAFETY: this register steers interrupts, timers or nothing at all, never memory
            // that Rust code uses; the ISB makes the write take effect before what follows.
            unsafe { asm!(concat!("msr ", $register, ", {}"), "isb", in(reg) value, options(nostack)) };
        })*
    };
}

read! {
    /// Index of this CPU.
    tpidr_el1 = "tpidr_el1";
    mpidr_el1 = "mpidr_el1";
    midr_el1 = "midr_el1";
    cntfrq_el0 = "cntfrq_el0";
    cntp_ctl_el0 = "cntp_ctl_el0";
    cntv_ctl_el0 = "cntv_ctl_el0";
    id_aa64dfr0_el1 = "id_aa64dfr0_el1";
    id_aa64mmfr0_el1 = "id_aa64mmfr0_el1";
    id_aa64mmfr1_el1 = "id_aa64mmfr1_el1";
    id_aa64mmfr3_el1 = "s3_0_c0_c7_3";
    id_aa64pfr0_el1 = "id_aa64pfr0_el1";
    id_aa64pfr1_el1 = "id_aa64pfr1_el1";
    id_aa64isar0_el1 = "id_aa64isar0_el1";
    id_aa64isar1_el1 = "id_aa64isar1_el1";
    tcr_el1 = "tcr_el1";
    icc_ctlr_el1 = "icc_ctlr_el1";
    icc_pmr_el1 = "icc_pmr_el1";
    icc_hppir1_el1 = "icc_hppir1_el1";
    icc_iar1_el1 = "icc_iar1_el1";
    icc_rpr_el1 = "icc_rpr_el1";
    icc_sre_el1 = "icc_sre_el1";
}

write! {
    cntp_ctl = "cntp_ctl_el0";
    cntp_cval = "cntp_cval_el0";
    cntv_ctl = "cntv_ctl_el0";
    cntv_cval = "cntv_cval_el0";
    icc_eoir1 = "icc_eoir1_el1";
    icc_dir = "icc_dir_el1";
    icc_pmr = "icc_pmr_el1";
    icc_bpr1 = "icc_bpr1_el1";
    icc_ctlr = "icc_ctlr_el1";
    icc_igrpen0 = "icc_igrpen0_el1";
    icc_igrpen1 = "icc_igrpen1_el1";
    icc_sgi1r = "icc_sgi1r_el1";
    icc_sre = "icc_sre_el1";
}

/// The physical counter, in order with the code around it.
#[must_use]
pub(crate) fn cntpct() -> u64 {
    let value: u64;
    // SAFETY: reads a counter; ISB keeps it from being read early.
    unsafe { asm!("isb", "mrs {}, cntpct_el0", out(reg) value, options(nostack)) };
    value
}

/// The virtual counter, in order with the code around it.
#[must_use]
pub(crate) fn cntvct() -> u64 {
    let value: u64;
    // SAFETY: reads a counter; ISB keeps it from being read early.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) value, options(nostack)) };
    value
}
