//! System registers, by name. No other file names one, but for those that go by number (`debug.rs`) and the
//! table of what each CPU writes when it enters EL2 (hyp_core::entry_registers).
//!
//! What the `aarch64-cpu` crate has goes through it; the rest is reached here, by name or by
//! encoding. Readers are safe. Writers are safe where the register belongs to the guest or only
//! shapes what the guest is given, and `unsafe` where a wrong value breaks EL2's own memory or
//! control flow.
//!
//! No accessor implies a barrier, and those of the crate do not even keep the compiler from moving
//! memory accesses across them: where the order with memory counts, a barrier of `barrier.rs`
//! stands between.

use core::arch::asm;

use aarch64_cpu::registers;
use aarch64_cpu::registers::{Readable, Writeable};

macro_rules! read {
    ($($name:ident = $register:ident;)*) => {$(
        #[doc = concat!("Reads ", stringify!($register), ".")]
        #[inline(always)]
        pub(crate) fn $name() -> u64 {
            registers::$register.get()
        }
    )*};
}

macro_rules! write {
    ($($name:ident = $register:ident;)*) => {$(
        #[doc = concat!("Writes ", stringify!($register), ".")]
        #[inline(always)]
        pub(crate) fn $name(value: u64) {
            registers::$register.set(value);
        }
    )*};
}

macro_rules! write_unsafe {
    ($($(#[$doc:meta])* $name:ident = $register:ident;)*) => {$(
        #[doc = concat!("Writes ", stringify!($register), ".\n\n# Safety\n")]
        $(#[$doc])*
        #[inline(always)]
        // SAFETY: up to the caller, as each register's documentation says.
        pub(crate) unsafe fn $name(value: u64) {
            registers::$register.set(value);
        }
    )*};
}

// Registers that the crate does not have.
macro_rules! read_missing {
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

macro_rules! write_missing {
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

/// Fields of the registers that EL2 looks into.
pub(crate) mod fields {
    macro_rules! from_crate {
        ($($module:ident = $register:ident;)*) => {$(
            #[doc = concat!("Fields of ", stringify!($register), ".")]
            pub(crate) mod $module {
                pub(crate) use aarch64_cpu::registers::$register::*;
            }
        )*};
    }

    from_crate! {
        cnthp_ctl = CNTHP_CTL_EL2;
        cntv_ctl = CNTV_CTL_EL0;
        dfr0 = ID_AA64DFR0_EL1;
        hcr = HCR_EL2;
        icc_sre = ICC_SRE_EL2;
        ich_vtr = ICH_VTR_EL2;
        isar0 = ID_AA64ISAR0_EL1;
        isar1 = ID_AA64ISAR1_EL1;
    }

    tock_registers::register_bitfields! {u64,
        /// Fields of CTR_EL0.
        pub(crate) ctr [
            /// Words of the smallest data cache line, as a logarithm.
            DMIN_LINE OFFSET(16) NUMBITS(4) [],
        ],
        /// Fields of DCZID_EL0.
        pub(crate) dczid [
            /// Words of a block, as a logarithm.
            BS OFFSET(0) NUMBITS(4) [],
            /// DC ZVA is prohibited.
            DZP OFFSET(4) NUMBITS(1) [],
        ],
        /// Fields of ISR_EL1.
        pub(crate) isr [
            /// An SError is pending.
            A OFFSET(8) NUMBITS(1) [],
            /// An FIQ is pending.
            F OFFSET(6) NUMBITS(1) [],
            /// An IRQ is pending.
            I OFFSET(7) NUMBITS(1) [],
        ],
        /// Fields of ID_AA64ISAR0_EL1 that the crate does not have.
        pub(crate) isar0_more [
            /// CRC32 instructions.
            CRC32 OFFSET(16) NUMBITS(4) [],
        ],
        /// Fields of ID_AA64PFR0_EL1 that the crate does not have.
        pub(crate) pfr0 [
            /// Floating point; 0xf: not there.
            FP OFFSET(16) NUMBITS(4) [],
            /// System registers of the GIC.
            GIC OFFSET(24) NUMBITS(4) [],
            /// Reliability extension.
            RAS OFFSET(28) NUMBITS(4) [],
            /// Activity monitors.
            AMU OFFSET(44) NUMBITS(4) [],
        ],
        /// Fields of ID_AA64MMFR1_EL1.
        pub(crate) mmfr1 [
            /// Privileged access never: 2 and up with AT S1E1RP.
            PAN OFFSET(20) NUMBITS(4) [],
        ],
        /// Fields of ICC_CTLR_EL1 that the crate does not have (IHI 0069, 12.2.6).
        pub(crate) icc_ctlr [
            /// End of interrupt only drops the priority.
            EOIMODE OFFSET(1) NUMBITS(1) [],
            /// Priority bits, less one.
            PRIBITS OFFSET(8) NUMBITS(3) [],
        ],
        /// Fields of ICC_IAR1_EL1 (IHI 0069, 12.2.14).
        pub(crate) icc_iar1 [
            /// The interrupt.
            INTID OFFSET(0) NUMBITS(24) [],
        ],
        /// Fields of ICC_SGI1R_EL1 (IHI 0069, 12.2.20).
        pub(crate) icc_sgi1r [
            /// One bit for each of 16 values of Aff0.
            TARGET_LIST OFFSET(0) NUMBITS(16) [],
            /// Aff1 of the targets.
            AFF1 OFFSET(16) NUMBITS(8) [],
            /// The SGI.
            INTID OFFSET(24) NUMBITS(4) [],
            /// Aff2 of the targets.
            AFF2 OFFSET(32) NUMBITS(8) [],
            /// Which 16 values of Aff0.
            RS OFFSET(44) NUMBITS(4) [],
            /// Aff3 of the targets.
            AFF3 OFFSET(48) NUMBITS(8) [],
        ],
        /// Fields of ICH_VTR_EL2 that the crate does not have (IHI 0069, 12.4.9).
        pub(crate) ich_vtr_more [
            /// ICH_HCR_EL2.TDIR traps ICC_DIR_EL1 alone.
            TDS OFFSET(19) NUMBITS(1) [],
        ],
    }
}

// EL2 itself.
read! {
    tpidr_el2 = TPIDR_EL2;
    esr_el2 = ESR_EL2;
    elr_el2 = ELR_EL2;
    spsr_el2 = SPSR_EL2;
    far_el2 = FAR_EL2;
    hpfar_el2 = HPFAR_EL2;
    hcr_el2 = HCR_EL2;
    vttbr_el2 = VTTBR_EL2;
    cnthp_ctl_el2 = CNTHP_CTL_EL2;
    cntpct_el0 = CNTPCT_EL0;
    cntfrq_el0 = CNTFRQ_EL0;
}
read_missing! {
    cnthp_cval_el2 = "cnthp_cval_el2";
    isr_el1 = "isr_el1";
    disr_el1 = "S3_0_C12_C1_1";
}
write! {
    set_elr_el2 = ELR_EL2;
    set_vmpidr_el2 = VMPIDR_EL2;
    set_cnthp_ctl_el2 = CNTHP_CTL_EL2;
    set_cptr_el2 = CPTR_EL2;
    set_mdcr_el2 = MDCR_EL2;
}
write_missing! {
    set_vpidr_el2 = "vpidr_el2";
    set_cnthp_cval_el2 = "cnthp_cval_el2";
    set_disr_el1 = "S3_0_C12_C1_1";
}
write_unsafe! {
    /// The mode must be below EL2.
    set_spsr_el2 = SPSR_EL2;
    /// E2H and TGE must stay 0: they change the meaning of EL2's own registers.
    set_hcr_el2 = HCR_EL2;
    /// The tables must be stage-2 tables of the VM that this CPU runs.
    set_vttbr_el2 = VTTBR_EL2;
    /// Must describe the tables in VTTBR_EL2.
    set_vtcr_el2 = VTCR_EL2;
}

// The VM's trap controls of later architecture versions; only where their feature is there.
write_missing! {
    set_hcrx_el2 = "S3_4_C1_C2_2";
    set_mpam2_el2 = "S3_4_C10_C5_0";
    set_mpamhcr_el2 = "S3_4_C10_C4_0";
    set_vsesr_el2 = "S3_4_C5_C2_3";
}

// The guest's, beside those of `el1.rs`.
write! {
    set_mdscr_el1 = MDSCR_EL1;
}
write_missing! {
    set_osdlr_el1 = "osdlr_el1";
    set_oslar_el1 = "oslar_el1";
}

// Identification.
read! {
    midr_el1 = MIDR_EL1;
    mpidr_el1 = MPIDR_EL1;
}
read_missing! {
    ctr_el0 = "ctr_el0";
    dczid_el0 = "dczid_el0";
    revidr_el1 = "revidr_el1";
    aidr_el1 = "aidr_el1";
    pmcr_el0 = "pmcr_el0";
    mpamidr_el1 = "S3_0_C10_C4_4";
}

// The AArch64 feature registers; those without a name here by CRm and Op2. Unallocated ones read
// as zero (Arm ARM, D23.3.1).
read! {
    id_aa64pfr0_el1 = ID_AA64PFR0_EL1;
    id_aa64pfr1_el1 = ID_AA64PFR1_EL1;
    id_aa64dfr0_el1 = ID_AA64DFR0_EL1;
    id_aa64dfr1_el1 = ID_AA64DFR1_EL1;
    id_aa64afr0_el1 = ID_AA64AFR0_EL1;
    id_aa64afr1_el1 = ID_AA64AFR1_EL1;
    id_aa64isar0_el1 = ID_AA64ISAR0_EL1;
    id_aa64isar1_el1 = ID_AA64ISAR1_EL1;
    id_aa64mmfr0_el1 = ID_AA64MMFR0_EL1;
    id_aa64mmfr1_el1 = ID_AA64MMFR1_EL1;
    id_aa64mmfr2_el1 = ID_AA64MMFR2_EL1;
}
read_missing! {
    id_c4_2 = "S3_0_C0_C4_2";
    id_c4_3 = "S3_0_C0_C4_3";
    id_c4_4 = "S3_0_C0_C4_4";
    id_c4_5 = "S3_0_C0_C4_5";
    id_c4_6 = "S3_0_C0_C4_6";
    id_c4_7 = "S3_0_C0_C4_7";
    id_c5_2 = "S3_0_C0_C5_2";
    id_c5_3 = "S3_0_C0_C5_3";
    id_c5_6 = "S3_0_C0_C5_6";
    id_c5_7 = "S3_0_C0_C5_7";
    id_c6_2 = "S3_0_C0_C6_2";
    id_c6_3 = "S3_0_C0_C6_3";
    id_c6_4 = "S3_0_C0_C6_4";
    id_c6_5 = "S3_0_C0_C6_5";
    id_c6_6 = "S3_0_C0_C6_6";
    id_c6_7 = "S3_0_C0_C6_7";
    id_c7_3 = "S3_0_C0_C7_3";
    id_c7_4 = "S3_0_C0_C7_4";
    id_c7_5 = "S3_0_C0_C7_5";
    id_c7_6 = "S3_0_C0_C7_6";
    id_c7_7 = "S3_0_C0_C7_7";
}

// Physical CPU interface of GICv3 (IHI 0069, 12.2).
read! {
    icc_sre_el2 = ICC_SRE_EL2;
}
read_missing! {
    icc_iar1_el1 = "S3_0_C12_C12_0";
    icc_pmr_el1 = "S3_0_C4_C6_0";
    icc_ctlr_el1 = "S3_0_C12_C12_4";
}
#[cfg(feature = "inject")]
read_missing! {
    icc_igrpen0_el1 = "S3_0_C12_C12_6";
    icc_ap0r0_el1 = "S3_0_C12_C8_4";
    icc_ap1r0_el1 = "S3_0_C12_C9_0";
}
write! {
    set_icc_sre_el2 = ICC_SRE_EL2;
}
write_missing! {
    set_icc_eoir1_el1 = "S3_0_C12_C12_1";
    set_icc_dir_el1 = "S3_0_C12_C11_1";
    set_icc_sgi1r_el1 = "S3_0_C12_C11_5";
    set_icc_pmr_el1 = "S3_0_C4_C6_0";
    set_icc_bpr1_el1 = "S3_0_C12_C12_3";
    set_icc_ctlr_el1 = "S3_0_C12_C12_4";
    set_icc_igrpen1_el1 = "S3_0_C12_C12_7";
    set_icc_sre_el1 = "S3_0_C12_C12_5";
    set_icc_igrpen0_el1 = "S3_0_C12_C12_6";
    set_icc_ap0r0_el1 = "S3_0_C12_C8_4";
    set_icc_ap0r1_el1 = "S3_0_C12_C8_5";
    set_icc_ap0r2_el1 = "S3_0_C12_C8_6";
    set_icc_ap0r3_el1 = "S3_0_C12_C8_7";
    set_icc_ap1r0_el1 = "S3_0_C12_C9_0";
    set_icc_ap1r1_el1 = "S3_0_C12_C9_1";
    set_icc_ap1r2_el1 = "S3_0_C12_C9_2";
    set_icc_ap1r3_el1 = "S3_0_C12_C9_3";
}

// Virtual CPU interface of GICv3 (IHI 0069, 12.4).
read! {
    ich_vtr_el2 = ICH_VTR_EL2;
    ich_hcr_el2 = ICH_HCR_EL2;
    ich_vmcr_el2 = ICH_VMCR_EL2;
    ich_ap0r0_el2 = ICH_AP0R0_EL2;
    ich_ap0r1_el2 = ICH_AP0R1_EL2;
    ich_ap0r2_el2 = ICH_AP0R2_EL2;
    ich_ap0r3_el2 = ICH_AP0R3_EL2;
    ich_ap1r0_el2 = ICH_AP1R0_EL2;
    ich_ap1r1_el2 = ICH_AP1R1_EL2;
    ich_ap1r2_el2 = ICH_AP1R2_EL2;
    ich_ap1r3_el2 = ICH_AP1R3_EL2;
    ich_lr0_el2 = ICH_LR0_EL2;
    ich_lr1_el2 = ICH_LR1_EL2;
    ich_lr2_el2 = ICH_LR2_EL2;
    ich_lr3_el2 = ICH_LR3_EL2;
    ich_lr4_el2 = ICH_LR4_EL2;
    ich_lr5_el2 = ICH_LR5_EL2;
    ich_lr6_el2 = ICH_LR6_EL2;
    ich_lr7_el2 = ICH_LR7_EL2;
    ich_lr8_el2 = ICH_LR8_EL2;
    ich_lr9_el2 = ICH_LR9_EL2;
    ich_lr10_el2 = ICH_LR10_EL2;
    ich_lr11_el2 = ICH_LR11_EL2;
    ich_lr12_el2 = ICH_LR12_EL2;
    ich_lr13_el2 = ICH_LR13_EL2;
    ich_lr14_el2 = ICH_LR14_EL2;
    ich_lr15_el2 = ICH_LR15_EL2;
}
read_missing! {
    ich_elrsr_el2 = "S3_4_C12_C11_5";
}
write! {
    set_ich_hcr_el2 = ICH_HCR_EL2;
    set_ich_vmcr_el2 = ICH_VMCR_EL2;
    set_ich_ap0r0_el2 = ICH_AP0R0_EL2;
    set_ich_ap0r1_el2 = ICH_AP0R1_EL2;
    set_ich_ap0r2_el2 = ICH_AP0R2_EL2;
    set_ich_ap0r3_el2 = ICH_AP0R3_EL2;
    set_ich_ap1r0_el2 = ICH_AP1R0_EL2;
    set_ich_ap1r1_el2 = ICH_AP1R1_EL2;
    set_ich_ap1r2_el2 = ICH_AP1R2_EL2;
    set_ich_ap1r3_el2 = ICH_AP1R3_EL2;
    set_ich_lr0_el2 = ICH_LR0_EL2;
    set_ich_lr1_el2 = ICH_LR1_EL2;
    set_ich_lr2_el2 = ICH_LR2_EL2;
    set_ich_lr3_el2 = ICH_LR3_EL2;
    set_ich_lr4_el2 = ICH_LR4_EL2;
    set_ich_lr5_el2 = ICH_LR5_EL2;
    set_ich_lr6_el2 = ICH_LR6_EL2;
    set_ich_lr7_el2 = ICH_LR7_EL2;
    set_ich_lr8_el2 = ICH_LR8_EL2;
    set_ich_lr9_el2 = ICH_LR9_EL2;
    set_ich_lr10_el2 = ICH_LR10_EL2;
    set_ich_lr11_el2 = ICH_LR11_EL2;
    set_ich_lr12_el2 = ICH_LR12_EL2;
    set_ich_lr13_el2 = ICH_LR13_EL2;
    set_ich_lr14_el2 = ICH_LR14_EL2;
    set_ich_lr15_el2 = ICH_LR15_EL2;
}
