//! What a guest writes at EL1 or EL0 is its own: it traps, is virtual, or is saved with the vCPU.
//!
//! Written from the lists of registers of the Arm ARM (DDI 0487, D24 and the trap bits' own descriptions
//! there). Where a feature brings several registers that one control covers, all that EL1 can write are here.

use std::collections::{BTreeMap, BTreeSet};
use std::string::String;

use super::*;
use crate::vcpu::{El1, Needs};

/// What keeps a register apart from other vCPUs' and from EL2's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Traps where this bit of this EL2 register is 1.
    Set(&'static str, u32),
    /// Traps where it is 0.
    Clear(&'static str, u32),
    /// Traps by a bit with a negative name (`nPIR_EL1`) of this register, which is 0 as a whole.
    Negative(&'static str),
    /// In [`El1::ALL`], by this name, where the CPU has what is named.
    Saved(&'static str, Needs),
    /// Traps by this bit of MDCR_EL2; its value is in [`crate::sysreg::DebugState`].
    SelfHosted(u32),
    /// In [`crate::vcpu::VectorState`].
    Vector,
    /// A part of PSTATE, which is in SPSR_EL2.
    Pstate,
    /// ICV_*: state of ICH_*, because HCR_EL2.FMO and IMO are 1.
    Virtual,
}

use Fate::{Clear, Negative, Pstate, Saved, SelfHosted, Set, Vector, Virtual};
use Needs::{Nothing, PointerAuthentication, Ras};

type Row = (&'static str, (u16, u16, u16, u16, u16), Fate);

// MDCR_EL2.
const TPMCR: Fate = Set("MDCR_EL2", 5);
const TPM: Fate = Set("MDCR_EL2", 6);
const TDA: Fate = Set("MDCR_EL2", 9);
const TDOSA: Fate = Set("MDCR_EL2", 10);
const E2PB: Fate = Clear("MDCR_EL2", 12);
const E2PB_HIGH: Fate = Clear("MDCR_EL2", 13);
const TPMS: Fate = Set("MDCR_EL2", 14);
const EN_SPM: Fate = Clear("MDCR_EL2", 15);
const TTRF: Fate = Set("MDCR_EL2", 19);
const E2TB: Fate = Clear("MDCR_EL2", 24);
const E2TB_HIGH: Fate = Clear("MDCR_EL2", 25);
const TDCC: Fate = Set("MDCR_EL2", 27);
// CPTR_EL2.
const TZ: Fate = Set("CPTR_EL2", 8);
const TSM: Fate = Set("CPTR_EL2", 12);
const TTA: Fate = Set("CPTR_EL2", 20);
const TAM: Fate = Set("CPTR_EL2", 30);
// HCR_EL2.
const TIDCP: Fate = Set("HCR_EL2", 20);
const TACR: Fate = Set("HCR_EL2", 21);
const TLOR: Fate = Set("HCR_EL2", 35);
const TERR: Fate = Set("HCR_EL2", 36);
const FIEN: Fate = Clear("HCR_EL2", 47);
const EN_SCXT: Fate = Clear("HCR_EL2", 53);
const ATA: Fate = Clear("HCR_EL2", 56);
const FGT: Fate = Negative("HFGWTR_EL2");
const FGT2: Fate = Negative("HFGWTR2_EL2");
const DEBUG_FGT: Fate = Negative("HDFGWTR_EL2");
const DEBUG_FGT2: Fate = Negative("HDFGWTR2_EL2");

#[rustfmt::skip]
const WRITABLE: &[Row] = &[
    // Control, translation, exceptions: HCR_EL2.TVM and TRVM are 0.
    ("SCTLR_EL1", (3, 0, 1, 0, 0), Saved("sctlr_el1", Nothing)),
    ("ACTLR_EL1", (3, 0, 1, 0, 1), TACR),
    ("CPACR_EL1", (3, 0, 1, 0, 2), Saved("cpacr_el1", Nothing)),
    ("TTBR0_EL1", (3, 0, 2, 0, 0), Saved("ttbr0_el1", Nothing)),
    ("TTBR1_EL1", (3, 0, 2, 0, 1), Saved("ttbr1_el1", Nothing)),
    ("TCR_EL1", (3, 0, 2, 0, 2), Saved("tcr_el1", Nothing)),
    ("SPSR_EL1", (3, 0, 4, 0, 0), Saved("spsr_el1", Nothing)),
    ("ELR_EL1", (3, 0, 4, 0, 1), Saved("elr_el1", Nothing)),
    ("SP_EL0", (3, 0, 4, 1, 0), Saved("sp_el0", Nothing)),
    ("SP_EL1", (3, 4, 4, 1, 0), Saved("sp_el1", Nothing)),
    ("AFSR0_EL1", (3, 0, 5, 1, 0), Saved("afsr0_el1", Nothing)),
    ("AFSR1_EL1", (3, 0, 5, 1, 1), Saved("afsr1_el1", Nothing)),
    ("ESR_EL1", (3, 0, 5, 2, 0), Saved("esr_el1", Nothing)),
    ("FAR_EL1", (3, 0, 6, 0, 0), Saved("far_el1", Nothing)),
    ("PAR_EL1", (3, 0, 7, 4, 0), Saved("par_el1", Nothing)),
    ("MAIR_EL1", (3, 0, 10, 2, 0), Saved("mair_el1", Nothing)),
    ("AMAIR_EL1", (3, 0, 10, 3, 0), Saved("amair_el1", Nothing)),
    ("VBAR_EL1", (3, 0, 12, 0, 0), Saved("vbar_el1", Nothing)),
    ("CONTEXTIDR_EL1", (3, 0, 13, 0, 1), Saved("contextidr_el1", Nothing)),
    ("TPIDR_EL1", (3, 0, 13, 0, 4), Saved("tpidr_el1", Nothing)),
    ("TPIDR_EL0", (3, 3, 13, 0, 2), Saved("tpidr_el0", Nothing)),
    ("TPIDRRO_EL0", (3, 3, 13, 0, 3), Saved("tpidrro_el0", Nothing)),
    ("CSSELR_EL1", (3, 2, 0, 0, 0), Saved("csselr_el1", Nothing)),
    // With HCR_EL2.AMO a guest has VDISR_EL2 for it.
    ("DISR_EL1", (3, 0, 12, 1, 1), Saved("S3_4_C12_C1_1", Ras)),
    // The timers; TVAL is CVAL in another form.
    ("CNTKCTL_EL1", (3, 0, 14, 1, 0), Saved("cntkctl_el1", Nothing)),
    ("CNTP_TVAL_EL0", (3, 3, 14, 2, 0), Saved("cntp_cval_el0", Nothing)),
    ("CNTP_CTL_EL0", (3, 3, 14, 2, 1), Saved("cntp_ctl_el0", Nothing)),
    ("CNTP_CVAL_EL0", (3, 3, 14, 2, 2), Saved("cntp_cval_el0", Nothing)),
    ("CNTV_TVAL_EL0", (3, 3, 14, 3, 0), Saved("cntv_cval_el0", Nothing)),
    ("CNTV_CTL_EL0", (3, 3, 14, 3, 1), Saved("cntv_ctl_el0", Nothing)),
    ("CNTV_CVAL_EL0", (3, 3, 14, 3, 2), Saved("cntv_cval_el0", Nothing)),
    // FEAT_PAuth.
    ("APIAKeyLo_EL1", (3, 0, 2, 1, 0), Saved("S3_0_C2_C1_0", PointerAuthentication)),
    ("APIAKeyHi_EL1", (3, 0, 2, 1, 1), Saved("S3_0_C2_C1_1", PointerAuthentication)),
    ("APIBKeyLo_EL1", (3, 0, 2, 1, 2), Saved("S3_0_C2_C1_2", PointerAuthentication)),
    ("APIBKeyHi_EL1", (3, 0, 2, 1, 3), Saved("S3_0_C2_C1_3", PointerAuthentication)),
    ("APDAKeyLo_EL1", (3, 0, 2, 2, 0), Saved("S3_0_C2_C2_0", PointerAuthentication)),
    ("APDAKeyHi_EL1", (3, 0, 2, 2, 1), Saved("S3_0_C2_C2_1", PointerAuthentication)),
    ("APDBKeyLo_EL1", (3, 0, 2, 2, 2), Saved("S3_0_C2_C2_2", PointerAuthentication)),
    ("APDBKeyHi_EL1", (3, 0, 2, 2, 3), Saved("S3_0_C2_C2_3", PointerAuthentication)),
    ("APGAKeyLo_EL1", (3, 0, 2, 3, 0), Saved("S3_0_C2_C3_0", PointerAuthentication)),
    ("APGAKeyHi_EL1", (3, 0, 2, 3, 1), Saved("S3_0_C2_C3_1", PointerAuthentication)),
    // Floating point and PSTATE.
    ("FPCR", (3, 3, 4, 4, 0), Vector), ("FPSR", (3, 3, 4, 4, 1), Vector),
    ("SPSel", (3, 0, 4, 2, 0), Pstate), ("PAN", (3, 0, 4, 2, 3), Pstate),
    ("UAO", (3, 0, 4, 2, 4), Pstate), ("NZCV", (3, 3, 4, 2, 0), Pstate),
    ("DAIF", (3, 3, 4, 2, 1), Pstate), ("DIT", (3, 3, 4, 2, 5), Pstate),
    ("SSBS", (3, 3, 4, 2, 6), Pstate), ("TCO", (3, 3, 4, 2, 7), Pstate),
    ("ALLINT", (3, 0, 4, 3, 0), Set("HCRX_EL2", 6)),
    // The GIC's CPU interface. ICC_SRE_EL1 is fixed by ICC_SRE_EL2.
    ("ICC_PMR_EL1", (3, 0, 4, 6, 0), Virtual), ("ICC_EOIR0_EL1", (3, 0, 12, 8, 1), Virtual),
    ("ICC_BPR0_EL1", (3, 0, 12, 8, 3), Virtual), ("ICC_AP0R0_EL1", (3, 0, 12, 8, 4), Virtual),
    ("ICC_AP0R1_EL1", (3, 0, 12, 8, 5), Virtual), ("ICC_AP0R2_EL1", (3, 0, 12, 8, 6), Virtual),
    ("ICC_AP0R3_EL1", (3, 0, 12, 8, 7), Virtual), ("ICC_AP1R0_EL1", (3, 0, 12, 9, 0), Virtual),
    ("ICC_AP1R1_EL1", (3, 0, 12, 9, 1), Virtual), ("ICC_AP1R2_EL1", (3, 0, 12, 9, 2), Virtual),
    ("ICC_AP1R3_EL1", (3, 0, 12, 9, 3), Virtual), ("ICC_DIR_EL1", (3, 0, 12, 11, 1), Virtual),
    ("ICC_SGI1R_EL1", (3, 0, 12, 11, 5), Virtual), ("ICC_ASGI1R_EL1", (3, 0, 12, 11, 6), Virtual),
    ("ICC_SGI0R_EL1", (3, 0, 12, 11, 7), Virtual), ("ICC_EOIR1_EL1", (3, 0, 12, 12, 1), Virtual),
    ("ICC_BPR1_EL1", (3, 0, 12, 12, 3), Virtual), ("ICC_CTLR_EL1", (3, 0, 12, 12, 4), Virtual),
    ("ICC_IGRPEN0_EL1", (3, 0, 12, 12, 6), Virtual), ("ICC_IGRPEN1_EL1", (3, 0, 12, 12, 7), Virtual),
    // Self-hosted debug.
    ("MDSCR_EL1", (2, 0, 0, 2, 2), SelfHosted(9)), ("OSLAR_EL1", (2, 0, 1, 0, 4), SelfHosted(10)),
    ("DBGBVR0_EL1", (2, 0, 0, 0, 4), SelfHosted(9)), ("DBGBCR0_EL1", (2, 0, 0, 0, 5), SelfHosted(9)),
    ("DBGWVR0_EL1", (2, 0, 0, 0, 6), SelfHosted(9)), ("DBGWCR0_EL1", (2, 0, 0, 0, 7), SelfHosted(9)),
    ("DBGBVR7_EL1", (2, 0, 0, 7, 4), SelfHosted(9)), ("DBGBCR7_EL1", (2, 0, 0, 7, 5), SelfHosted(9)),
    ("DBGWVR7_EL1", (2, 0, 0, 7, 6), SelfHosted(9)), ("DBGWCR7_EL1", (2, 0, 0, 7, 7), SelfHosted(9)),
    ("OSDTRRX_EL1", (2, 0, 0, 0, 2), TDA), ("OSDTRTX_EL1", (2, 0, 0, 3, 2), TDA),
    ("OSECCR_EL1", (2, 0, 0, 6, 2), TDA), ("MDCCINT_EL1", (2, 0, 0, 2, 0), TDCC),
    ("DBGDTR_EL0", (2, 3, 0, 4, 0), TDCC), ("DBGDTRTX_EL0", (2, 3, 0, 5, 0), TDCC),
    ("DBGCLAIMSET_EL1", (2, 0, 7, 8, 6), TDA), ("DBGCLAIMCLR_EL1", (2, 0, 7, 9, 6), TDA),
    ("OSDLR_EL1", (2, 0, 1, 3, 4), TDOSA), ("DBGPRCR_EL1", (2, 0, 1, 4, 4), TDOSA),
    ("MDSELR_EL1", (2, 0, 0, 4, 2), DEBUG_FGT2), ("MDSTEPOP_EL1", (2, 0, 0, 5, 2), DEBUG_FGT2),
    // Performance monitors.
    ("PMCR_EL0", (3, 3, 9, 12, 0), TPMCR), ("PMCNTENSET_EL0", (3, 3, 9, 12, 1), TPM),
    ("PMCNTENCLR_EL0", (3, 3, 9, 12, 2), TPM), ("PMOVSCLR_EL0", (3, 3, 9, 12, 3), TPM),
    ("PMSWINC_EL0", (3, 3, 9, 12, 4), TPM), ("PMSELR_EL0", (3, 3, 9, 12, 5), TPM),
    ("PMCCNTR_EL0", (3, 3, 9, 13, 0), TPM), ("PMXEVTYPER_EL0", (3, 3, 9, 13, 1), TPM),
    ("PMXEVCNTR_EL0", (3, 3, 9, 13, 2), TPM), ("PMZR_EL0", (3, 3, 9, 13, 4), TPM),
    ("PMUSERENR_EL0", (3, 3, 9, 14, 0), TPM), ("PMOVSSET_EL0", (3, 3, 9, 14, 3), TPM),
    ("PMEVCNTR0_EL0", (3, 3, 14, 8, 0), TPM), ("PMEVTYPER0_EL0", (3, 3, 14, 12, 0), TPM),
    ("PMCCFILTR_EL0", (3, 3, 14, 15, 7), TPM), ("PMINTENSET_EL1", (3, 0, 9, 14, 1), TPM),
    ("PMINTENCLR_EL1", (3, 0, 9, 14, 2), TPM), ("PMUACR_EL1", (3, 0, 9, 14, 4), TPM),
    ("PMECR_EL1", (3, 0, 9, 14, 5), TPM), ("PMIAR_EL1", (3, 0, 9, 14, 7), TPM),
    ("PMSSCR_EL1", (3, 0, 9, 13, 3), TPM), ("PMICNTR_EL0", (3, 3, 9, 4, 0), TPM),
    ("PMICFILTR_EL0", (3, 3, 9, 6, 0), TPM), ("SPMSELR_EL0", (2, 3, 9, 12, 5), EN_SPM),
    ("SPMCNTENSET_EL0", (2, 3, 9, 12, 1), EN_SPM), ("SPMCNTENCLR_EL0", (2, 3, 9, 12, 2), EN_SPM),
    // Activity monitors: EL1 writes this one only.
    ("AMUSERENR_EL0", (3, 3, 13, 2, 3), TAM),
    // Statistical profiling, trace buffer, trace, branch records.
    ("PMSCR_EL1", (3, 0, 9, 9, 0), TPMS), ("PMSNEVFR_EL1", (3, 0, 9, 9, 1), TPMS),
    ("PMSICR_EL1", (3, 0, 9, 9, 2), TPMS), ("PMSIRR_EL1", (3, 0, 9, 9, 3), TPMS),
    ("PMSFCR_EL1", (3, 0, 9, 9, 4), TPMS), ("PMSEVFR_EL1", (3, 0, 9, 9, 5), TPMS),
    ("PMSLATFR_EL1", (3, 0, 9, 9, 6), TPMS), ("PMSDSFR_EL1", (3, 0, 9, 10, 4), TPMS),
    ("PMBLIMITR_EL1", (3, 0, 9, 10, 0), E2PB), ("PMBPTR_EL1", (3, 0, 9, 10, 1), E2PB),
    ("PMBSR_EL1", (3, 0, 9, 10, 3), E2PB_HIGH), ("PMBMAR_EL1", (3, 0, 9, 10, 5), E2PB_HIGH),
    ("TRBLIMITR_EL1", (3, 0, 9, 11, 0), E2TB), ("TRBPTR_EL1", (3, 0, 9, 11, 1), E2TB),
    ("TRBBASER_EL1", (3, 0, 9, 11, 2), E2TB), ("TRBSR_EL1", (3, 0, 9, 11, 3), E2TB),
    ("TRBMAR_EL1", (3, 0, 9, 11, 4), E2TB_HIGH), ("TRBMPAM_EL1", (3, 0, 9, 11, 5), E2TB_HIGH),
    ("TRBTRG_EL1", (3, 0, 9, 11, 6), E2TB_HIGH), ("TRFCR_EL1", (3, 0, 1, 2, 1), TTRF),
    ("TRCITECR_EL1", (3, 0, 1, 2, 3), DEBUG_FGT2), ("TRCPRGCTLR", (2, 1, 0, 1, 0), TTA),
    ("TRCOSLAR", (2, 1, 1, 0, 4), TTA), ("TRCCLAIMSET", (2, 1, 7, 8, 6), TTA),
    ("BRBCR_EL1", (2, 1, 9, 0, 0), DEBUG_FGT), ("BRBFCR_EL1", (2, 1, 9, 0, 1), DEBUG_FGT),
    ("BRBTS_EL1", (2, 1, 9, 0, 2), DEBUG_FGT), ("BRBINFINJ_EL1", (2, 1, 9, 1, 0), DEBUG_FGT),
    ("BRBSRCINJ_EL1", (2, 1, 9, 1, 1), DEBUG_FGT), ("BRBTGTINJ_EL1", (2, 1, 9, 1, 2), DEBUG_FGT),
    // FEAT_RAS: the machine's error records.
    ("ERRSELR_EL1", (3, 0, 5, 3, 1), TERR), ("ERXCTLR_EL1", (3, 0, 5, 4, 1), TERR),
    ("ERXSTATUS_EL1", (3, 0, 5, 4, 2), TERR), ("ERXADDR_EL1", (3, 0, 5, 4, 3), TERR),
    ("ERXPFGCTL_EL1", (3, 0, 5, 4, 5), FIEN), ("ERXPFGCDN_EL1", (3, 0, 5, 4, 6), FIEN),
    ("ERXMISC0_EL1", (3, 0, 5, 5, 0), TERR), ("ERXMISC1_EL1", (3, 0, 5, 5, 1), TERR),
    ("ERXMISC2_EL1", (3, 0, 5, 5, 2), TERR), ("ERXMISC3_EL1", (3, 0, 5, 5, 3), TERR),
    // LORegions, MPAM, CSV2_2, MTE, SVE, SME, FP8.
    ("LORSA_EL1", (3, 0, 10, 4, 0), TLOR), ("LOREA_EL1", (3, 0, 10, 4, 1), TLOR),
    ("LORN_EL1", (3, 0, 10, 4, 2), TLOR), ("LORC_EL1", (3, 0, 10, 4, 3), TLOR),
    ("MPAM1_EL1", (3, 0, 10, 5, 0), Set("MPAM2_EL2", 48)),
    ("MPAM0_EL1", (3, 0, 10, 5, 1), Set("MPAM2_EL2", 49)),
    ("MPAMSM_EL1", (3, 0, 10, 5, 3), Clear("MPAM2_EL2", 50)),
    ("SCXTNUM_EL1", (3, 0, 13, 0, 7), EN_SCXT), ("SCXTNUM_EL0", (3, 3, 13, 0, 7), EN_SCXT),
    ("RGSR_EL1", (3, 0, 1, 0, 5), ATA), ("GCR_EL1", (3, 0, 1, 0, 6), ATA),
    ("TFSR_EL1", (3, 0, 5, 6, 0), ATA), ("TFSRE0_EL1", (3, 0, 5, 6, 1), ATA),
    ("ZCR_EL1", (3, 0, 1, 2, 0), TZ), ("SMCR_EL1", (3, 0, 1, 2, 6), TSM),
    ("SVCR", (3, 3, 4, 2, 2), TSM), ("SMPRI_EL1", (3, 0, 1, 2, 4), FGT),
    ("TPIDR2_EL0", (3, 3, 13, 0, 5), FGT), ("FPMR", (3, 3, 4, 4, 2), Clear("HCRX_EL2", 23)),
    // What HCRX_EL2 does not enable, and what fine-grained traps do not let pass.
    ("TCR2_EL1", (3, 0, 2, 0, 3), Clear("HCRX_EL2", 14)),
    ("SCTLR2_EL1", (3, 0, 1, 0, 3), Clear("HCRX_EL2", 15)),
    ("PIRE0_EL1", (3, 0, 10, 2, 2), FGT), ("PIR_EL1", (3, 0, 10, 2, 3), FGT),
    ("POR_EL0", (3, 3, 10, 2, 4), FGT), ("POR_EL1", (3, 0, 10, 2, 4), FGT),
    ("S2POR_EL1", (3, 0, 10, 2, 5), FGT), ("MAIR2_EL1", (3, 0, 10, 2, 1), FGT),
    ("AMAIR2_EL1", (3, 0, 10, 3, 1), FGT), ("RCWMASK_EL1", (3, 0, 13, 0, 6), FGT),
    ("RCWSMASK_EL1", (3, 0, 13, 0, 3), FGT2), ("ACCDATA_EL1", (3, 0, 13, 0, 5), FGT),
    ("GCSCR_EL1", (3, 0, 2, 5, 0), FGT), ("GCSPR_EL1", (3, 0, 2, 5, 1), FGT),
    ("GCSCRE0_EL1", (3, 0, 2, 5, 2), FGT), ("GCSPR_EL0", (3, 3, 2, 5, 1), FGT),
    ("PFAR_EL1", (3, 0, 6, 0, 5), FGT2),
    // IMPLEMENTATION DEFINED: CRn 11 and 15; two stand for all.
    ("S3_0_C11_C0_0", (3, 0, 11, 0, 0), TIDCP), ("S3_3_C15_C2_0", (3, 3, 15, 2, 0), TIDCP),
];

/// In [`El1::ALL`] with a value that is EL2's: guests' accesses trap, and EL0's have to get that far.
const FIXED: &[(&str, &str, Needs)] = &[
    ("pmuserenr_el0", "PMUSERENR_EL0", Needs::Pmu),
    ("S3_3_C13_C2_3", "AMUSERENR_EL0", Needs::Amu),
];

macro_rules! values {
    ($($part:ident { $(
        when [$($id:ident . $field:ident $of:literal [$lsb:literal, $bits:literal]
            in $least:literal ..= $most:literal),*]
        { $($name:ident $register:literal = $value:literal;)+ } then $sync:literal;
    )+ })+) => {
        /// What a CPU writes when it enters EL2, in order.
        const ENTRY: &[(&str, u64)] = &[$($($((stringify!($name), $value),)+)+)+];
    };
}
crate::entry_registers!(values);

/// The registers that decide what traps while a vCPU of such a VM runs on a machine that has everything.
fn controls(is_protected: bool) -> BTreeMap<&'static str, u64> {
    let traps = TrapControls::new(&everything(), &everything(), features(is_protected));
    let of_vm = [
        ("HCR_EL2", traps.hcr),
        ("HCRX_EL2", traps.hcrx.unwrap()),
        ("MDCR_EL2", traps.mdcr),
        ("CPTR_EL2", traps.cptr),
        ("MPAM2_EL2", traps.mpam2.unwrap()),
    ];
    ENTRY.iter().copied().chain(of_vm).collect()
}

fn encoding((op0, op1, crn, crm, op2): (u16, u16, u16, u16, u16)) -> SysReg {
    SysReg::new(op0, op1, crn, crm, op2)
}

#[test]
fn what_a_guest_writes_traps_or_is_virtual_or_is_saved() {
    for is_protected in [false, true] {
        let controls = controls(is_protected);
        let view = view(&everything(), is_protected);
        let bit = |register: &str, bit: u32| controls[register] >> bit & 1 == 1;
        for &(name, fields, fate) in WRITABLE {
            let register = encoding(fields);
            let is_kept = match fate {
                Set(control, n) => bit(control, n),
                Clear(control, n) => !bit(control, n),
                Negative(control) => controls[control] == 0,
                // TVM and TRVM are clear, and APK lets keys pass: a trap would be undefined.
                Saved(saved, needs) => {
                    let found = El1::ALL.iter().any(|register| register.name() == saved);
                    let passes = match needs {
                        PointerAuthentication => bit("HCR_EL2", 40),
                        // HCR_EL2.AMO, with which DISR_EL1 is VDISR_EL2.
                        Ras => bit("HCR_EL2", 5),
                        _ => !bit("HCR_EL2", 26) && !bit("HCR_EL2", 30),
                    };
                    found && passes
                }
                SelfHosted(n) => {
                    let answer = view.answer(&write(register));
                    bit("MDCR_EL2", n) && (is_protected || matches!(answer, Answer::Debug(_)))
                }
                Virtual => bit("HCR_EL2", 3) && bit("HCR_EL2", 4),
                Vector | Pstate => true,
            };
            assert!(is_kept, "{name} {register:?} of a VM, protected {is_protected}: {fate:?}");
        }
    }
}

#[test]
fn each_register_is_kept_in_one_way() {
    let mut seen = BTreeSet::new();
    for (name, fields, _) in WRITABLE {
        assert!(seen.insert(encoding(*fields)), "{name} is there twice");
    }
    let trapped = |name: &str| {
        let row = WRITABLE.iter().find(|(other, ..)| *other == name);
        matches!(row, Some((.., Set(..))))
    };
    for register in El1::ALL {
        let name = register.name();
        let saved =
            WRITABLE.iter().any(|(.., fate)| matches!(fate, Saved(saved, _) if *saved == name));
        let fixed = FIXED.iter().any(|(fixed, of_list, _)| *fixed == name && trapped(of_list));
        assert!(saved != fixed, "{name}: saved {saved}, fixed {fixed}");
    }
}

/// Armv8.0's are known to every assembler by name; others are written as they are encoded.
#[test]
fn the_saved_registers_have_the_names_and_encodings_of_the_architecture() {
    for &(name, fields, fate) in WRITABLE {
        let Saved(saved, _) = fate else { continue };
        let by_encoding = std::format!("{:?}", encoding(fields));
        let by_name: String = name.to_lowercase();
        let is_same = saved == by_encoding || saved == by_name;
        // CVAL for TVAL; VDISR_EL2 (D24.2, S3_4_C12_C1_1) for DISR_EL1.
        let is_other = saved == by_name.replace("tval", "cval") || name == "DISR_EL1";
        assert!(is_same || is_other, "{name} {by_encoding}: {saved}");
    }
    let listed: BTreeMap<_, _> =
        WRITABLE.iter().map(|(name, fields, _)| (*name, *fields)).collect();
    for (fixed, name, _) in FIXED {
        let by_encoding = std::format!("{:?}", encoding(listed[name]));
        assert!(*fixed == by_encoding || *fixed == name.to_lowercase(), "{name}");
    }
}

macro_rules! needs {
    ($($name:ident = $register:literal, $reset:literal, $needs:ident;)*) => {
        /// What each of [`El1::ALL`] says that its CPU must have.
        const NEEDED: &[(&str, Needs)] = &[$(($register, Needs::$needs)),*];
    };
}
crate::el1_registers!(needs);

/// A register that is not there is UNDEFINED at EL2 as well.
#[test]
fn a_register_is_saved_where_the_cpu_has_it() {
    for (name, needs) in NEEDED {
        let listed = WRITABLE.iter().find_map(|(.., fate)| match fate {
            Saved(saved, needs) if saved == name => Some(*needs),
            _ => None,
        });
        let fixed = FIXED.iter().find(|(fixed, ..)| fixed == name).map(|(.., needs)| *needs);
        assert_eq!(listed.or(fixed), Some(*needs), "{name}");
    }
}
