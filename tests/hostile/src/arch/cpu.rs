//! Single instructions.
#![expect(unsafe_code, reason = "single instructions")]

use core::arch::asm;

macro_rules! read {
    ($($(#[$doc:meta])* $name:ident $register:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name() -> u64 {
            let value;
            // SAFETY: reading the register changes nothing.
            unsafe { asm!(concat!("mrs {}, ", $register), out(reg) value, options(nostack)) };
            value
        }
    )*};
}

macro_rules! write {
    ($($(#[$doc:meta])* $name:ident $register:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name(value: u64) {
            // SAFETY: timers and the GIC's CPU interface only bring interrupts, which stay masked
            // in Rust code.
            unsafe { asm!(concat!("msr ", $register, ", {}"), "isb", in(reg) value, options(nostack)) };
        }
    )*};
}

read! {
    /// CNTVCT_EL0.
    counter "cntvct_el0";
    /// CNTFRQ_EL0: ticks in a second.
    frequency "cntfrq_el0";
    /// ID_AA64ISAR0_EL1.
    isar0 "id_aa64isar0_el1";
    /// ID_AA64MMFR0_EL1.
    mmfr0 "id_aa64mmfr0_el1";
    /// MIDR_EL1.
    midr "midr_el1";
}

write! {
    /// CNTV_CTL_EL0.
    cntv_ctl "cntv_ctl_el0";
    /// CNTV_CVAL_EL0.
    cntv_cval "cntv_cval_el0";
    /// CNTP_CTL_EL0.
    cntp_ctl "cntp_ctl_el0";
    /// ICC_PMR_EL1.
    icc_pmr "S3_0_C4_C6_0";
    /// ICC_BPR1_EL1.
    icc_bpr1 "S3_0_C12_C12_3";
    /// ICC_CTLR_EL1.
    icc_ctlr "S3_0_C12_C12_4";
    /// ICC_IGRPEN0_EL1.
    icc_igrpen0 "S3_0_C12_C12_6";
    /// ICC_IGRPEN1_EL1.
    icc_igrpen1 "S3_0_C12_C12_7";
    /// ICC_AP1R0_EL1: active priorities.
    icc_ap1r0 "S3_0_C12_C9_0";
    /// ICC_AP0R0_EL1.
    icc_ap0r0 "S3_0_C12_C8_4";
}

/// The AArch64 ID registers, CRm 4 to 7, by CRm and Op2.
pub(crate) fn ids() -> [u64; 32] {
    let mut values = [0; 32];
    macro_rules! read {
        ($($crm:literal)*) => { read!(@ $($crm 0, $crm 1, $crm 2, $crm 3, $crm 4, $crm 5, $crm 6, $crm 7),*) };
        (@ $($crm:literal $op2:literal),*) => {$(
            // SAFETY: reading an ID register changes nothing; unallocated ones read as zero.
            unsafe {
                asm!(concat!("mrs {}, S3_0_C0_C", $crm, "_", $op2),
                    out(reg) values[($crm - 4) * 8 + $op2], options(nostack));
            }
        )*};
    }
    read!(4 5 6 7);
    values
}

// SAFETY: a label of `boot.S`, of which only the address is used.
unsafe extern "C" {
    fn secondary_entry();
}

/// Where CPU_ON sends a CPU: in boot.S.
pub(crate) fn secondary_address() -> u64 {
    secondary_entry as *const () as u64
}

/// One call by HVC.
pub(crate) fn call(function: u32, args: [u64; 3]) -> [u64; 4] {
    let mut x = [u64::from(function), args[0], args[1], args[2]];
    // SAFETY: the callers name calls that leave this guest's image alone.
    unsafe {
        asm!("hvc #0", inout("x0") x[0], inout("x1") x[1], inout("x2") x[2], inout("x3") x[3],
            options(nostack));
    }
    x
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
