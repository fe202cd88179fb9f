//! What each CPU writes when it enters EL2, before it runs any Rust code.
//!
//! Whoever started this CPU has left what it liked: firmware, a boot loader, a kernel that ran at EL2
//! and was replaced by `kexec`. [`entry_registers!`] is the one table of registers that EL2 relies on, or
//! that could do something by themselves. `boot.s` writes them from it on each CPU, and tests read it.
//!
//! A register is written where its field of an ID register says that it exists. Trapping such accesses
//! is up to EL3: what the table has, Linux relies on, too (`Documentation/arch/arm64/booting.rst`), or
//! the register itself says that it is EL2's to use (`PMBIDR_EL1.P`, `TRBIDR_EL1.P`).
//!
//! Elsewhere are: translation, vectors and stack of EL2 itself (`boot.s`); what depends on the VM
//! ([`super::TrapControls`], stage 2, the virtual interrupt interface) and the guest's own registers,
//! which are written before a vCPU runs; the physical interrupt controller (drivers).
//!
//! Left out, and why:
//!
//! | registers | why |
//! |---|---|
//! | CNTHPS_*, CNTHVS_*, VSTCR_EL2, VSTTBR_EL2 | Secure EL2's: UNDEFINED here |
//! | CNTPOFF_EL2 | means nothing while CNTHCTL_EL2.ECV is 0, and accesses trap to EL3 by SCR_EL3.ECVEn |
//! | SCTLRMASK_EL2 and its kin | where FEAT_SRMASK is, HCR_EL2.E2H is RES1, and Postern refuses to run |
//! | POR_EL2, MAIR2_EL2, AMAIR2_EL2 | mean nothing while TCR2_EL2 is 0 |
//! | GCSPR_EL2 | means nothing while GCSCR_EL2 is 0 |
//! | VNCR_EL2; S2PIR_EL2, S2POR_EL1, HDBSSBR_EL2 | mean nothing with the HCR_EL2 and VTCR_EL2 of a VM |
//! | HACDBSBR_EL2 | accesses trap to EL3 by SCR_EL3.HACDBSEn, and no kernel uses it |
//! | ZCR_EL2, SMCR_EL2, SMPRIMAP_EL2, FPMR, TPIDR2_EL0 | SVE, SME and FP8 trap everywhere below EL2 |
//! | SPMACCESSR_EL2, TRCITECR_EL2 | all they could allow traps by HDFGRTR2_EL2 or MDCR_EL2 |
//! | MPAMVPMV_EL2, MPAMVPM*n*_EL2 | map what a guest writes to MPAM registers, and these trap |
//! | TCR2_EL1, SCTLR2_EL1, PIR_EL1, GCSCR_EL1 and the like | count as 0 while HCRX_EL2 does not enable them |
//! | PMCR_EL0 and the counters | count for nobody: their interrupt is disabled and guests' accesses trap |
//! | AMCNTENSET0_EL0, AMCNTENSET1_EL0 | the same; written at the highest exception level only |
//! | ACTLR_EL2, HACR_EL2, CPUECTLR and the like | only who made the CPU knows what value is a known one |
//! | FGWTE3_EL3, AMUs' and others' EL3 registers | firmware's |

/// Calls the macro `$then` with the table.
///
/// Three parts: `first`, before the first BL and while the loader's own translation may be on: what reads
/// or writes memory by itself. `mmu`, with the MMU off, on a CPU whose HCR_EL2.E2H cannot be cleared as
/// well: what makes something else of EL2's own translation. `rest`, with E2H = 0.
///
/// A group: when its registers exist and are ours, by fields of other registers (name, encoding, lowest
/// bit, bits, values); the registers with their encodings and values; then what synchronizes the writes.
/// Groups are written in order. Fields and encodings: Arm ARM, D24.
#[macro_export]
macro_rules! entry_registers {
    ($then:ident) => {
        $then! {
            first {
                when [ID_AA64PFR1_EL1.GCS "S3_0_C0_C4_1" [44, 4] in 1..=15] {
                    GCSCR_EL2 "S3_4_C2_C5_0" = 0;
                } then "isb";

                // Profiling stops, what was on its way gets into memory (PSB CSYNC), the buffer goes.
                when [
                    ID_AA64DFR0_EL1.PMSVer "S3_0_C0_C5_0" [32, 4] in 1..=15,
                    PMBIDR_EL1.P "S3_0_C9_C10_7" [4, 1] in 0..=0
                ] {
                    PMSCR_EL2 "S3_4_C9_C9_0" = 0;
                } then "isb\n hint #17\n dsb nsh";

                when [
                    ID_AA64DFR0_EL1.PMSVer "S3_0_C0_C5_0" [32, 4] in 1..=15,
                    PMBIDR_EL1.P "S3_0_C9_C10_7" [4, 1] in 0..=0
                ] {
                    PMBLIMITR_EL1 "S3_0_C9_C10_0" = 0;
                } then "isb";

                // Trace writes memory, too; FEAT_TRBE brings FEAT_TRF. On Cortex-A710 and Neoverse N2 the second TSB
                // CSYNC in a row is the one that does it (errata 2054223, 2067961).
                when [
                    ID_AA64DFR0_EL1.TraceBuffer "S3_0_C0_C5_0" [44, 4] in 1..=15,
                    TRBIDR_EL1.P "S3_0_C9_C11_7" [4, 1] in 0..=0
                ] {
                    TRFCR_EL2 "S3_4_C1_C2_1" = 0;
                } then "isb\n hint #18\n hint #18\n dsb nsh";

                when [
                    ID_AA64DFR0_EL1.TraceBuffer "S3_0_C0_C5_0" [44, 4] in 1..=15,
                    TRBIDR_EL1.P "S3_0_C9_C11_7" [4, 1] in 0..=0
                ] {
                    TRBLIMITR_EL1 "S3_0_C9_C11_0" = 0;
                } then "isb";
            }
            mmu {
                when [ID_AA64MMFR3_EL1.TCRX "S3_0_C0_C7_3" [0, 4] in 1..=15] {
                    TCR2_EL2 "S3_4_C2_C0_3" = 0;
                } then "isb";

                when [ID_AA64MMFR3_EL1.SCTLRX "S3_0_C0_C7_3" [4, 4] in 1..=15] {
                    SCTLR2_EL2 "S3_4_C1_C0_3" = 0;
                } then "isb";

                when [ID_AA64MMFR3_EL1.S1PIE "S3_0_C0_C7_3" [8, 4] in 1..=15] {
                    PIRE0_EL2 "S3_4_C10_C2_2" = 0;
                    PIR_EL2 "S3_4_C10_C2_3" = 0;
                } then "isb";

                when [] {
                    AMAIR_EL2 "S3_4_C10_C3_0" = 0;
                } then "isb";
            }
            rest {
                // SVCR is only within reach with TSM clear; TZ and the RES1 bits are set.
                when [ID_AA64PFR1_EL1.SME "S3_0_C0_C4_1" [24, 4] in 1..=15] {
                    CPTR_EL2 "S3_4_C1_C1_2" = 0x23ff;
                } then "isb";

                when [ID_AA64PFR1_EL1.SME "S3_0_C0_C4_1" [24, 4] in 1..=15] {
                    SVCR "S3_3_C4_C2_2" = 0;
                } then "isb";

                // TZ and TSM, which are RES1 without SVE and SME. CNTHCTL_EL2: EL1PCTEN and EL1PCEN, since
                // the guest owns both EL1 timers.
                when [] {
                    CPTR_EL2 "S3_4_C1_C1_2" = 0x33ff;
                    MDCR_EL2 "S3_4_C1_C1_1" = 0;
                    HSTR_EL2 "S3_4_C1_C1_3" = 0;
                    CNTHCTL_EL2 "S3_4_C14_C1_0" = 3;
                    CNTVOFF_EL2 "S3_4_C14_C0_3" = 0;
                    CNTHP_CTL_EL2 "S3_4_C14_C2_1" = 0;
                } then "isb";

                when [ID_AA64MMFR1_EL1.VH "S3_0_C0_C7_1" [8, 4] in 1..=15] {
                    CNTHV_CTL_EL2 "S3_4_C14_C3_1" = 0;
                } then "isb";

                when [ID_AA64MMFR1_EL1.LO "S3_0_C0_C7_1" [16, 4] in 1..=15] {
                    LORC_EL1 "S3_0_C10_C4_3" = 0;
                } then "isb";

                when [ID_AA64MMFR1_EL1.HCX "S3_0_C0_C7_1" [40, 4] in 1..=15] {
                    HCRX_EL2 "S3_4_C1_C2_2" = 0;
                } then "isb";

                // 0 traps exactly what has a negative name (nTPIDR2_EL0, nPIR_EL1, nGCS_EL1, ...).
                when [ID_AA64MMFR0_EL1.FGT "S3_0_C0_C7_0" [56, 4] in 1..=15] {
                    HFGRTR_EL2 "S3_4_C1_C1_4" = 0;
                    HFGWTR_EL2 "S3_4_C1_C1_5" = 0;
                    HFGITR_EL2 "S3_4_C1_C1_6" = 0;
                    HDFGRTR_EL2 "S3_4_C3_C1_4" = 0;
                    HDFGWTR_EL2 "S3_4_C3_C1_5" = 0;
                } then "isb";

                when [
                    ID_AA64MMFR0_EL1.FGT "S3_0_C0_C7_0" [56, 4] in 1..=15,
                    ID_AA64PFR0_EL1.AMU "S3_0_C0_C4_0" [44, 4] in 1..=15
                ] {
                    HAFGRTR_EL2 "S3_4_C3_C1_6" = 0;
                } then "isb";

                when [ID_AA64MMFR0_EL1.FGT "S3_0_C0_C7_0" [56, 4] in 2..=15] {
                    HDFGRTR2_EL2 "S3_4_C3_C1_0" = 0;
                    HDFGWTR2_EL2 "S3_4_C3_C1_1" = 0;
                    HFGRTR2_EL2 "S3_4_C3_C1_2" = 0;
                    HFGWTR2_EL2 "S3_4_C3_C1_3" = 0;
                    HFGITR2_EL2 "S3_4_C3_C1_7" = 0;
                } then "isb";

                // The whole machine's memory system in the default partition. FEAT_MPAMv0p1 and later has
                // 0 in the first field and its version in the second.
                when [ID_AA64PFR0_EL1.MPAM "S3_0_C0_C4_0" [40, 4] in 1..=15] {
                    MPAM0_EL1 "S3_0_C10_C5_1" = 0;
                    MPAM1_EL1 "S3_0_C10_C5_0" = 0;
                    MPAM2_EL2 "S3_4_C10_C5_0" = 0;
                } then "isb";

                when [
                    ID_AA64PFR0_EL1.MPAM "S3_0_C0_C4_0" [40, 4] in 0..=0,
                    ID_AA64PFR1_EL1.MPAM_frac "S3_0_C0_C4_1" [16, 4] in 1..=15
                ] {
                    MPAM0_EL1 "S3_0_C10_C5_1" = 0;
                    MPAM1_EL1 "S3_0_C10_C5_0" = 0;
                    MPAM2_EL2 "S3_4_C10_C5_0" = 0;
                } then "isb";

                when [
                    ID_AA64DFR0_EL1.TraceBuffer "S3_0_C0_C5_0" [44, 4] in 1..=15,
                    TRBIDR_EL1.P "S3_0_C9_C11_7" [4, 1] in 0..=0
                ] {
                    TRFCR_EL1 "S3_0_C1_C2_1" = 0;
                } then "isb";

                when [ID_AA64DFR0_EL1.BRBE "S3_0_C0_C5_0" [52, 4] in 1..=15] {
                    BRBCR_EL1 "S2_1_C9_C0_0" = 0;
                    BRBCR_EL2 "S2_4_C9_C0_0" = 0;
                } then "isb";
            }
        }
    };
}
