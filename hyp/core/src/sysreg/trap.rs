//! What traps to EL2: the control registers as plain values.
//!
//! Every value is complete, so that nothing firmware left behind survives. All bits that later
//! architectures define with a "do not trap" meaning stay 0: their features are hidden. The controls that
//! are the same for every VM, fine-grained traps among them, are written when a CPU enters EL2
//! (`entry.rs`).

use super::host::{HostId, IdRegister};
use crate::features::Features;

/// HCR_EL2 bits (Arm ARM, `HCR_EL2`).
mod hcr {
    pub(super) const VM: u64 = 1 << 0;
    pub(super) const SWIO: u64 = 1 << 1;
    pub(super) const PTW: u64 = 1 << 2;
    pub(super) const FMO: u64 = 1 << 3;
    pub(super) const IMO: u64 = 1 << 4;
    pub(super) const AMO: u64 = 1 << 5;
    pub(super) const TID1: u64 = 1 << 16;
    pub(super) const TID3: u64 = 1 << 18;
    pub(super) const TSC: u64 = 1 << 19;
    pub(super) const TIDCP: u64 = 1 << 20;
    pub(super) const TACR: u64 = 1 << 21;
    pub(super) const TSW: u64 = 1 << 22;
    pub(super) const RW: u64 = 1 << 31;
    pub(super) const TLOR: u64 = 1 << 35;
    pub(super) const TERR: u64 = 1 << 36;
    pub(super) const TEA: u64 = 1 << 37;
    pub(super) const APK: u64 = 1 << 40;
    pub(super) const API: u64 = 1 << 41;
    pub(super) const TID5: u64 = 1 << 58;
}

/// MDCR_EL2 bits.
mod mdcr {
    pub(super) const HPMN: u64 = 0x1f;
    pub(super) const TPMCR: u64 = 1 << 5;
    pub(super) const TPM: u64 = 1 << 6;
    pub(super) const TDA: u64 = 1 << 9;
    pub(super) const TDOSA: u64 = 1 << 10;
    pub(super) const TDRA: u64 = 1 << 11;
    pub(super) const TPMS: u64 = 1 << 14;
    pub(super) const HPMD: u64 = 1 << 17;
    pub(super) const TTRF: u64 = 1 << 19;
    pub(super) const TDCC: u64 = 1 << 27;
}

/// CPTR_EL2 bits with E2H = 0.
mod cptr {
    pub(super) const RES1: u64 = 0x22ff;
    pub(super) const TZ: u64 = 1 << 8;
    pub(super) const TSM: u64 = 1 << 12;
    pub(super) const TTA: u64 = 1 << 20;
    pub(super) const TAM: u64 = 1 << 30;
}

/// HCRX_EL2.TALLINT: PSTATE.ALLINT writes trap, NMI being hidden.
const HCRX_TALLINT: u64 = 1 << 6;
/// MPAM2_EL2.TRAPMPAM1EL1 and TRAPMPAM0EL1.
const MPAM2_TRAPS: u64 = 0b11 << 48;
/// MPAM2_EL2.TIDR, which MPAMIDR_EL1.HAS_TIDR announces: MPAMIDR_EL1 traps.
const MPAM2_TIDR: u64 = 1 << 58;
const HAS_TIDR: u64 = 1 << 58;
/// MPAMHCR_EL2.TRAP_MPAMIDR_EL1, which comes with MPAMIDR_EL1.HAS_HCR: the same on older machines.
const MPAMHCR_TRAP_MPAMIDR: u64 = 1 << 31;
const HAS_HCR: u64 = 1 << 17;

/// Values of the EL2 registers that decide what a VM's vCPU may do by itself. To be written
/// whole on each CPU before the VM runs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrapControls {
    /// HCR_EL2.
    pub hcr: u64,
    /// HCRX_EL2, where it exists.
    pub hcrx: Option<u64>,
    /// MDCR_EL2.
    pub mdcr: u64,
    /// CPTR_EL2.
    pub cptr: u64,
    /// MPAM2_EL2, where it exists.
    pub mpam2: Option<u64>,
    /// MPAMHCR_EL2, where it exists.
    pub mpamhcr: Option<u64>,
    /// VPIDR_EL2: what MIDR_EL1 reads as.
    pub vpidr: u64,
}

impl TrapControls {
    /// The values for a VM with `features` on the CPU `host`; `common` is what all CPUs have (see
    /// [`HostId::restrict`]).
    ///
    /// What traps on a CPU follows from what that CPU has, and only what all have may pass.
    #[must_use]
    pub fn new(host: &HostId, common: &HostId, features: Features) -> Self {
        Self {
            hcr: hcr_el2(host, common, features),
            hcrx: host.has_hcrx().then(|| if host.has_nmi() { HCRX_TALLINT } else { 0 }),
            mdcr: mdcr_el2(host),
            cptr: cptr_el2(host),
            mpam2: host.has_mpam().then(|| {
                let has_tidr = host.mpamidr & HAS_TIDR != 0;
                MPAM2_TRAPS | if has_tidr { MPAM2_TIDR } else { 0 }
            }),
            mpamhcr: (host.has_mpam() && host.mpamidr & HAS_HCR != 0)
                .then_some(MPAMHCR_TRAP_MPAMIDR),
            vpidr: host.midr,
        }
    }
}

fn hcr_el2(host: &HostId, common: &HostId, features: Features) -> u64 {
    // SWIO: invalidation by set and way may not lose somebody else's data. PTW: a guest's table
    // walk in mapped device memory faults instead of having side effects.
    let mut value = hcr::VM
        | hcr::SWIO
        | hcr::PTW
        | hcr::FMO
        | hcr::IMO
        | hcr::AMO
        | hcr::TID1
        | hcr::TID3
        | hcr::TSC
        | hcr::TIDCP
        | hcr::TACR
        | hcr::RW;
    let mut set_if = |condition: bool, bits: u64| {
        if condition {
            value |= bits;
        }
    };
    set_if(features.contains(Features::PROTECTED), hcr::TSW);
    // External aborts come to EL2 to be recorded; error records are the machine's and not the
    // guest's.
    set_if(host.has_ras(), hcr::TERR | hcr::TEA);
    set_if(common.has_pointer_authentication(), hcr::APK | hcr::API);
    // LORegions.
    set_if(host.field(IdRegister::Mmfr1, 16) != 0, hcr::TLOR);
    // MTE: with ATA and DCT at 0 tags are out of reach; GMID_EL1 traps, too.
    set_if(host.field(IdRegister::Pfr1, 8) >= 2, hcr::TID5);
    value
}

fn mdcr_el2(host: &HostId) -> u64 {
    // All debug registers trap: `debug.rs` says why, and what a normal VM gets. TDE at 0: debug
    // exceptions are the guest's. E2PB and E2TB at 0: EL2 owns the profiling and trace buffers, and
    // access traps.
    let mut value = mdcr::TDA | mdcr::TDOSA | mdcr::TDRA;
    let mut set_if = |condition: bool, bits: u64| {
        if condition {
            value |= bits;
        }
    };
    let dfr0 = |shift| host.field(IdRegister::Dfr0, shift);
    if host.has_pmu() {
        // HPMN: all counters belong to EL1 as far as the hardware goes. 0 would be
        // unpredictable without FEAT_HPMN0, so a PMU without event counters keeps its 0 only.
        set_if(true, mdcr::TPM | mdcr::TPMCR | (host.pmcr >> 11 & mdcr::HPMN));
        // PMUv3 for Armv8.1: nothing is counted at EL2.
        set_if(dfr0(8) >= 4, mdcr::HPMD);
    }
    // SPE, self-hosted trace.
    set_if(dfr0(32) != 0, mdcr::TPMS);
    set_if(dfr0(40) != 0, mdcr::TTRF);
    // The debug communication channel has a bit of its own since FEAT_FGT.
    set_if(host.fine_grained_traps() >= 1, mdcr::TDCC);
    value
}

fn cptr_el2(host: &HostId) -> u64 {
    // FP and SIMD are the guest's; SVE and SME trap. TSM and TZ are RES1 where there is neither.
    let mut value = cptr::RES1 | cptr::TZ | cptr::TSM;
    if host.field(IdRegister::Dfr0, 4) != 0 {
        value |= cptr::TTA;
    }
    if host.has_activity_monitors() {
        value |= cptr::TAM;
    }
    value
}
