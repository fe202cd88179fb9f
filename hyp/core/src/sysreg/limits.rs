//! The ID registers a guest sees: an allow-list of fields, each with the most it may say.
//!
//! The list is that of pKVM for protected VMs (Linux, `arch/arm64/kvm/hyp/nvhe/sys_regs.c`) and
//! serves both kinds of VM; a normal one has self-hosted debug besides. A field that is not listed
//! reads 0. Beyond pKVM's list: the stage-1 granules, so that a guest with 16 KiB pages finds them,
//! and CCIDX, because CCSIDR_EL1 is the hardware's own and has the format that CCIDX says.

use super::host::{HostId, ID_REGISTERS, IdRegister};
use crate::features::Features;
use crate::vgic::GicVersion;

/// ID_AA64PFR0_EL1.GIC: system registers of the GIC's CPU interface.
const PFR0_GIC: u8 = 24;

/// How a field of the machine becomes a field of the view.
#[derive(Clone, Copy)]
enum Rule {
    /// The smaller of the machine's value and this.
    Most(u8),
    /// The same for a field in which 0xf stands for "not there" (a signed field; `most` is not
    /// negative).
    MostSigned(u8),
    /// This value, whatever the machine says.
    Fixed(u8),
}

use IdRegister::{Dfr0, Isar0, Isar1, Isar2, Mmfr0, Mmfr1, Mmfr2, Mmfr4, Pfr0, Pfr1};
use Rule::{Fixed, Most, MostSigned};

/// Register, lowest bit, rule: four bytes each.
#[rustfmt::skip]
const FIELDS: &[(IdRegister, u8, Rule)] = &[
    // EL0 to EL3: AArch64 only.
    (Pfr0, 0, Most(1)), (Pfr0, 4, Most(1)), (Pfr0, 8, Most(1)), (Pfr0, 12, Most(1)),
    // FP and AdvSIMD with half precision.
    (Pfr0, 16, MostSigned(1)), (Pfr0, 20, MostSigned(1)),
    // GIC, RAS, DIT, CSV2, CSV3.
    (Pfr0, PFR0_GIC, Most(1)), (Pfr0, 28, Most(1)), (Pfr0, 48, Most(1)), (Pfr0, 56, Most(1)),
    (Pfr0, 60, Most(1)),
    // BT, SSBS; MTE_frac: not implemented.
    (Pfr1, 0, Most(1)), (Pfr1, 4, Most(2)), (Pfr1, 40, Fixed(0xf)),
    // MTPMU and DoubleLock: not implemented; no PMU, SPE, trace.
    (Dfr0, 36, Fixed(0xf)), (Dfr0, 48, Fixed(0xf)),
    // AES, SHA1, SHA2, CRC32, Atomic without LSE128, which is not decoded; not TME (24), which
    // HCR_EL2 traps; RDM, SHA3, SM3, SM4, DP, FHM, TS, TLB, RNDR.
    (Isar0, 4, Most(15)), (Isar0, 8, Most(15)), (Isar0, 12, Most(15)), (Isar0, 16, Most(15)),
    (Isar0, 20, Most(2)), (Isar0, 28, Most(15)), (Isar0, 32, Most(15)), (Isar0, 36, Most(15)),
    (Isar0, 40, Most(15)), (Isar0, 44, Most(15)), (Isar0, 48, Most(15)), (Isar0, 52, Most(15)),
    (Isar0, 56, Most(15)), (Isar0, 60, Most(15)),
    // DPB, APA, API, JSCVT, FCMA, LRCPC without LRCPC3, which is not decoded; GPA, GPI.
    (Isar1, 0, Most(2)), (Isar1, 4, Most(15)), (Isar1, 8, Most(15)), (Isar1, 12, Most(1)),
    (Isar1, 16, Most(1)), (Isar1, 20, Most(2)), (Isar1, 24, Most(15)), (Isar1, 28, Most(15)),
    // FRINTTS, SB, SPECRES, BF16, DGH, I8MM.
    (Isar1, 32, Most(1)), (Isar1, 36, Most(1)), (Isar1, 40, Most(2)), (Isar1, 44, Most(2)),
    (Isar1, 48, Most(1)), (Isar1, 52, Most(1)),
    // GPA3, APA3, ATS1A.
    (Isar2, 8, Most(15)), (Isar2, 12, Most(15)), (Isar2, 60, Most(1)),
    // ASIDBits, BigEnd, SNSMem, BigEndEL0; PARange is the VM's own.
    (Mmfr0, 4, Most(2)), (Mmfr0, 8, Most(1)), (Mmfr0, 12, Most(1)), (Mmfr0, 16, Most(1)),
    // TGran16, TGran64, TGran4 without 52-bit addresses; ExS.
    (Mmfr0, 20, Most(1)), (Mmfr0, 24, MostSigned(0)), (Mmfr0, 28, MostSigned(0)),
    (Mmfr0, 44, Most(1)),
    // HAFDBS, VMIDBits, HPDS, PAN, SpecSEI, ETS, CMOW.
    (Mmfr1, 0, Most(2)), (Mmfr1, 4, Most(2)), (Mmfr1, 12, Most(2)), (Mmfr1, 20, Most(3)),
    (Mmfr1, 24, Most(1)), (Mmfr1, 36, Most(3)), (Mmfr1, 56, Most(1)),
    // CnP, UAO, IESB, CCIDX, AT, IDS, TTL, BBM, E0PD.
    (Mmfr2, 0, Most(1)), (Mmfr2, 4, Most(1)), (Mmfr2, 12, Most(1)), (Mmfr2, 20, Most(1)),
    (Mmfr2, 32, Most(1)), (Mmfr2, 36, Most(1)), (Mmfr2, 48, Most(1)), (Mmfr2, 52, Most(2)),
    (Mmfr2, 60, Most(1)),
    // E2H0: not implemented, whatever that means to a guest at EL1.
    (Mmfr4, 24, Fixed(0xf)),
];

/// Lists the fields that only a normal VM sees: DebugVer up to that of Armv8.2, whose registers are served
/// (`debug.rs`), BRPs, WRPs, CTX_CMPs.
#[rustfmt::skip]
const NORMAL_FIELDS: &[(IdRegister, u8, Rule)] = &[
    (Dfr0, 0, Most(8)), (Dfr0, 12, Most(15)), (Dfr0, 20, Most(15)), (Dfr0, 28, Most(15)),
];

/// The ID registers of a VM with `features`, whose addresses have `ipa_bits` bits and whose GIC is a
/// `gic`.
pub(super) fn id_view(
    host: &HostId,
    features: Features,
    ipa_bits: u32,
    gic: GicVersion,
) -> [u64; ID_REGISTERS] {
    let mut view = [0; ID_REGISTERS];
    let mut put = |register: IdRegister, shift: u32, value: u64| {
        if let Some(word) = view.get_mut(register as usize) {
            *word |= value.checked_shl(shift).unwrap_or(0);
        }
    };
    let is_normal = !features.contains(Features::PROTECTED);
    let normal = if is_normal { NORMAL_FIELDS } else { &[] };
    for &(register, shift, rule) in FIELDS.iter().chain(normal) {
        if (register, shift, gic) == (Pfr0, PFR0_GIC, GicVersion::V2) {
            // Its CPU interface is in memory.
            continue;
        }
        let shift = u32::from(shift);
        let machine = host.field(register, shift);
        let value = match rule {
            Rule::MostSigned(_) if machine >= 8 => 0xf,
            Rule::Most(most) | Rule::MostSigned(most) => machine.min(most.into()),
            Rule::Fixed(value) => value.into(),
        };
        put(register, shift, value);
    }
    put(Mmfr0, 0, host.field(Mmfr0, 0).min(pa_range(ipa_bits)));
    view
}

/// The smallest encoding of ID_AA64MMFR0_EL1.PARange that covers `bits`.
const fn pa_range(bits: u32) -> u64 {
    match bits {
        0..=32 => 0,
        33..=36 => 1,
        37..=40 => 2,
        41..=42 => 3,
        43..=44 => 4,
        _ => 5,
    }
}
