//! System registers, by name. No other file names one.
//!
//! Readers are safe. Writers are safe where the register belongs to the guest or only shapes what
//! the guest is given, and `unsafe` where a wrong value breaks EL2's own memory or control flow.
//! No accessor implies a barrier; see `barrier.rs`.

use core::arch::asm;

macro_rules! read {
    ($($name:ident = $register:literal;)*) => {$(
        #[doc = concat!("Reads ", $register, ".")]
        #[inline(always)]
        pub(crate) fn $name() -> u64 {
            let value;
            // SAFETY: reading this register has no effect on memory or control flow.
            unsafe {
                asm!(concat!("mrs {}, ", $register), out(reg) value,
                     options(nostack, preserves_flags));
            }
            value
        }
    )*};
}

macro_rules! write {
    ($($name:ident = $register:literal;)*) => {$(
        #[doc = concat!("Writes ", $register, ".")]
        #[inline(always)]
        pub(crate) fn $name(value: u64) {
            // SAFETY: the register shapes the guest or a device, not EL2's memory or flow.
            unsafe {
                asm!(concat!("msr ", $register, ", {}"), in(reg) value,
                     options(nostack, preserves_flags));
            }
        }
    )*};
}

macro_rules! write_unsafe {
    ($($(#[$doc:meta])* $name:ident = $register:literal;)*) => {$(
        #[doc = concat!("Writes ", $register, ".\n\n# Safety\n")]
        $(#[$doc])*
        #[inline(always)]
        pub(crate) unsafe fn $name(value: u64) {
            // SAFETY: see the function's contract.
            unsafe {
                asm!(concat!("msr ", $register, ", {}"), in(reg) value,
                     options(nostack, preserves_flags));
            }
        }
    )*};
}

// EL2 itself.
read! {
    tpidr_el2 = "tpidr_el2";
    esr_el2 = "esr_el2";
    elr_el2 = "elr_el2";
    spsr_el2 = "spsr_el2";
    far_el2 = "far_el2";
    hpfar_el2 = "hpfar_el2";
    hcr_el2 = "hcr_el2";
    vttbr_el2 = "vttbr_el2";
    cntpct_el0 = "cntpct_el0";
    cntfrq_el0 = "cntfrq_el0";
    isr_el1 = "isr_el1";
}
write! {
    set_elr_el2 = "elr_el2";
    set_vmpidr_el2 = "vmpidr_el2";
    set_vpidr_el2 = "vpidr_el2";
    set_cntvoff_el2 = "cntvoff_el2";
    set_cnthctl_el2 = "cnthctl_el2";
    set_cnthp_ctl_el2 = "cnthp_ctl_el2";
    set_cnthp_cval_el2 = "cnthp_cval_el2";
    set_cptr_el2 = "cptr_el2";
    set_mdcr_el2 = "mdcr_el2";
    set_hstr_el2 = "hstr_el2";
}
write_unsafe! {
    /// The mode must be below EL2.
    set_spsr_el2 = "spsr_el2";
    /// E2H and TGE must stay 0: they change the meaning of EL2's own registers.
    set_hcr_el2 = "hcr_el2";
    /// The tables must be stage-2 tables of the VM that this CPU runs.
    set_vttbr_el2 = "vttbr_el2";
    /// Must describe the tables in VTTBR_EL2.
    set_vtcr_el2 = "vtcr_el2";
}

// Trap controls of later architecture versions, by encoding; only where their feature is there.
write! {
    set_hcrx_el2 = "S3_4_C1_C2_2";
    set_hfgrtr2_el2 = "S3_4_C3_C1_2";
    set_hfgwtr2_el2 = "S3_4_C3_C1_3";
    set_hfgitr2_el2 = "S3_4_C3_C1_7";
    set_hdfgrtr2_el2 = "S3_4_C3_C1_0";
    set_hdfgwtr2_el2 = "S3_4_C3_C1_1";
    set_hafgrtr_el2 = "S3_4_C3_C1_6";
    set_mpam2_el2 = "S3_4_C10_C5_0";
    set_hfgrtr_el2 = "S3_4_C1_C1_4";
    set_hfgwtr_el2 = "S3_4_C1_C1_5";
    set_hfgitr_el2 = "S3_4_C1_C1_6";
    set_hdfgrtr_el2 = "S3_4_C3_C1_4";
    set_hdfgwtr_el2 = "S3_4_C3_C1_5";
    set_vsesr_el2 = "S3_4_C5_C2_3";
}

// EL1 and EL0, the guest's.
read! {
    sctlr_el1 = "sctlr_el1";
    vbar_el1 = "vbar_el1";
    par_el1 = "par_el1";
    sp_el0 = "sp_el0";
    sp_el1 = "sp_el1";
    cntp_ctl_el0 = "cntp_ctl_el0";
    cntv_ctl_el0 = "cntv_ctl_el0";
}
write! {
    set_sctlr_el1 = "sctlr_el1";
    set_tcr_el1 = "tcr_el1";
    set_ttbr0_el1 = "ttbr0_el1";
    set_ttbr1_el1 = "ttbr1_el1";
    set_mair_el1 = "mair_el1";
    set_amair_el1 = "amair_el1";
    set_vbar_el1 = "vbar_el1";
    set_cpacr_el1 = "cpacr_el1";
    set_contextidr_el1 = "contextidr_el1";
    set_tpidr_el0 = "tpidr_el0";
    set_tpidrro_el0 = "tpidrro_el0";
    set_tpidr_el1 = "tpidr_el1";
    set_sp_el0 = "sp_el0";
    set_sp_el1 = "sp_el1";
    set_elr_el1 = "elr_el1";
    set_spsr_el1 = "spsr_el1";
    set_esr_el1 = "esr_el1";
    set_far_el1 = "far_el1";
    set_afsr0_el1 = "afsr0_el1";
    set_afsr1_el1 = "afsr1_el1";
    set_par_el1 = "par_el1";
    set_csselr_el1 = "csselr_el1";
    set_mdscr_el1 = "mdscr_el1";
    set_cntkctl_el1 = "cntkctl_el1";
    set_cntp_ctl_el0 = "cntp_ctl_el0";
    set_cntv_ctl_el0 = "cntv_ctl_el0";
    set_cntp_cval_el0 = "cntp_cval_el0";
    set_cntv_cval_el0 = "cntv_cval_el0";
}

// Identification.
read! {
    ctr_el0 = "ctr_el0";
    dczid_el0 = "dczid_el0";
    midr_el1 = "midr_el1";
    mpidr_el1 = "mpidr_el1";
    revidr_el1 = "revidr_el1";
    aidr_el1 = "aidr_el1";
    id_aa64pfr0_el1 = "id_aa64pfr0_el1";
    id_aa64isar0_el1 = "id_aa64isar0_el1";
    pmcr_el0 = "pmcr_el0";
}

// The AArch64 feature registers by CRm and Op2; unallocated ones read as zero (Arm ARM, D23.3.1).
read! {
    id_c4_0 = "S3_0_C0_C4_0";
    id_c4_1 = "S3_0_C0_C4_1";
    id_c4_2 = "S3_0_C0_C4_2";
    id_c4_3 = "S3_0_C0_C4_3";
    id_c4_4 = "S3_0_C0_C4_4";
    id_c4_5 = "S3_0_C0_C4_5";
    id_c4_6 = "S3_0_C0_C4_6";
    id_c4_7 = "S3_0_C0_C4_7";
    id_c5_0 = "S3_0_C0_C5_0";
    id_c5_1 = "S3_0_C0_C5_1";
    id_c5_2 = "S3_0_C0_C5_2";
    id_c5_3 = "S3_0_C0_C5_3";
    id_c5_4 = "S3_0_C0_C5_4";
    id_c5_5 = "S3_0_C0_C5_5";
    id_c5_6 = "S3_0_C0_C5_6";
    id_c5_7 = "S3_0_C0_C5_7";
    id_c6_0 = "S3_0_C0_C6_0";
    id_c6_1 = "S3_0_C0_C6_1";
    id_c6_2 = "S3_0_C0_C6_2";
    id_c6_3 = "S3_0_C0_C6_3";
    id_c6_4 = "S3_0_C0_C6_4";
    id_c6_5 = "S3_0_C0_C6_5";
    id_c6_6 = "S3_0_C0_C6_6";
    id_c6_7 = "S3_0_C0_C6_7";
    id_c7_0 = "S3_0_C0_C7_0";
    id_c7_1 = "S3_0_C0_C7_1";
    id_c7_2 = "S3_0_C0_C7_2";
    id_c7_3 = "S3_0_C0_C7_3";
    id_c7_4 = "S3_0_C0_C7_4";
    id_c7_5 = "S3_0_C0_C7_5";
    id_c7_6 = "S3_0_C0_C7_6";
    id_c7_7 = "S3_0_C0_C7_7";
}

// Physical CPU interface of GICv3 (IHI 0069, 12.2).
read! {
    icc_iar1_el1 = "S3_0_C12_C12_0";
    icc_sre_el2 = "S3_4_C12_C9_5";
}
write! {
    set_icc_eoir1_el1 = "S3_0_C12_C12_1";
    set_icc_dir_el1 = "S3_0_C12_C11_1";
    set_icc_sgi1r_el1 = "S3_0_C12_C11_5";
    set_icc_pmr_el1 = "S3_0_C4_C6_0";
    set_icc_bpr1_el1 = "S3_0_C12_C12_3";
    set_icc_ctlr_el1 = "S3_0_C12_C12_4";
    set_icc_igrpen1_el1 = "S3_0_C12_C12_7";
    set_icc_sre_el1 = "S3_0_C12_C12_5";
    set_icc_sre_el2 = "S3_4_C12_C9_5";
}

// Virtual CPU interface of GICv3 (IHI 0069, 12.4). List registers are in `ich.rs`.
read! {
    ich_vtr_el2 = "S3_4_C12_C11_1";
    ich_elrsr_el2 = "S3_4_C12_C11_5";
    ich_hcr_el2 = "S3_4_C12_C11_0";
    ich_vmcr_el2 = "S3_4_C12_C11_7";
    ich_lr0_el2 = "S3_4_C12_C12_0";
    ich_lr1_el2 = "S3_4_C12_C12_1";
    ich_lr2_el2 = "S3_4_C12_C12_2";
    ich_lr3_el2 = "S3_4_C12_C12_3";
    ich_lr4_el2 = "S3_4_C12_C12_4";
    ich_lr5_el2 = "S3_4_C12_C12_5";
    ich_lr6_el2 = "S3_4_C12_C12_6";
    ich_lr7_el2 = "S3_4_C12_C12_7";
    ich_lr8_el2 = "S3_4_C12_C13_0";
    ich_lr9_el2 = "S3_4_C12_C13_1";
    ich_lr10_el2 = "S3_4_C12_C13_2";
    ich_lr11_el2 = "S3_4_C12_C13_3";
    ich_lr12_el2 = "S3_4_C12_C13_4";
    ich_lr13_el2 = "S3_4_C12_C13_5";
    ich_lr14_el2 = "S3_4_C12_C13_6";
    ich_lr15_el2 = "S3_4_C12_C13_7";
}
write! {
    set_ich_hcr_el2 = "S3_4_C12_C11_0";
    set_ich_vmcr_el2 = "S3_4_C12_C11_7";
    set_ich_ap0r0_el2 = "S3_4_C12_C8_0";
    set_ich_ap0r1_el2 = "S3_4_C12_C8_1";
    set_ich_ap0r2_el2 = "S3_4_C12_C8_2";
    set_ich_ap0r3_el2 = "S3_4_C12_C8_3";
    set_ich_ap1r0_el2 = "S3_4_C12_C9_0";
    set_ich_ap1r1_el2 = "S3_4_C12_C9_1";
    set_ich_ap1r2_el2 = "S3_4_C12_C9_2";
    set_ich_ap1r3_el2 = "S3_4_C12_C9_3";
    set_ich_lr0_el2 = "S3_4_C12_C12_0";
    set_ich_lr1_el2 = "S3_4_C12_C12_1";
    set_ich_lr2_el2 = "S3_4_C12_C12_2";
    set_ich_lr3_el2 = "S3_4_C12_C12_3";
    set_ich_lr4_el2 = "S3_4_C12_C12_4";
    set_ich_lr5_el2 = "S3_4_C12_C12_5";
    set_ich_lr6_el2 = "S3_4_C12_C12_6";
    set_ich_lr7_el2 = "S3_4_C12_C12_7";
    set_ich_lr8_el2 = "S3_4_C12_C13_0";
    set_ich_lr9_el2 = "S3_4_C12_C13_1";
    set_ich_lr10_el2 = "S3_4_C12_C13_2";
    set_ich_lr11_el2 = "S3_4_C12_C13_3";
    set_ich_lr12_el2 = "S3_4_C12_C13_4";
    set_ich_lr13_el2 = "S3_4_C12_C13_5";
    set_ich_lr14_el2 = "S3_4_C12_C13_6";
    set_ich_lr15_el2 = "S3_4_C12_C13_7";
}
