//! The machine's own ID registers.

use crate::calls::{Mitigation, Workaround};
use crate::inject::PstateFeatures;

/// How many AArch64 feature registers the encoding space has: CRm 4 to 7, Op2 0 to 7.
pub const ID_REGISTERS: usize = 32;

/// The AArch64 feature registers that mean something to Postern; the value is the index into
/// [`HostId::registers`], `(CRm - 4) * 8 + Op2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum IdRegister {
    /// ID_AA64PFR0_EL1.
    Pfr0 = 0,
    /// ID_AA64PFR1_EL1.
    Pfr1 = 1,
    /// ID_AA64DFR0_EL1.
    Dfr0 = 8,
    /// ID_AA64ISAR0_EL1.
    Isar0 = 16,
    /// ID_AA64ISAR1_EL1.
    Isar1 = 17,
    /// ID_AA64ISAR2_EL1.
    Isar2 = 18,
    /// ID_AA64MMFR0_EL1.
    Mmfr0 = 24,
    /// ID_AA64MMFR1_EL1.
    Mmfr1 = 25,
    /// ID_AA64MMFR2_EL1.
    Mmfr2 = 26,
    /// ID_AA64MMFR4_EL1.
    Mmfr4 = 28,
}

/// The ID registers of one CPU as EL2 reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostId {
    /// `S3_0_C0_C4_0` to `S3_0_C0_C7_7`, by CRm and then Op2. Unallocated ones read as zero.
    pub registers: [u64; ID_REGISTERS],
    /// MIDR_EL1.
    pub midr: u64,
    /// REVIDR_EL1.
    pub revidr: u64,
    /// AIDR_EL1.
    pub aidr: u64,
    /// PMCR_EL0, or 0 where [`HostId::has_pmu`] is false.
    pub pmcr: u64,
    /// MPAMIDR_EL1, or 0 where [`HostId::has_mpam`] is false.
    pub mpamidr: u64,
}

impl HostId {
    /// The value of `register`.
    #[must_use]
    pub fn get(&self, register: IdRegister) -> u64 {
        self.registers.get(register as usize).copied().unwrap_or(0)
    }

    /// The four-bit field of `register` whose lowest bit is `shift`, below 64.
    #[must_use]
    pub(super) fn field(&self, register: IdRegister, shift: u32) -> u64 {
        self.get(register).checked_shr(shift).unwrap_or(0) & 0xf
    }

    /// Bits of a physical address (`ID_AA64MMFR0_EL1.PARange`). 52-bit addresses need descriptor
    /// formats that Postern does not use, so 48 is the most.
    #[must_use]
    pub fn pa_bits(&self) -> u32 {
        match self.get(IdRegister::Mmfr0) & 0xf {
            0 => 32,
            1 => 36,
            2 => 40,
            3 => 42,
            4 => 44,
            _ => 48,
        }
    }

    /// Performance monitors of the architecture, as opposed to none or a private form.
    #[must_use]
    pub fn has_pmu(&self) -> bool {
        !matches!(self.field(IdRegister::Dfr0, 8), 0 | 0xf)
    }

    /// `FEAT_RAS`.
    #[must_use]
    pub fn has_ras(&self) -> bool {
        self.field(IdRegister::Pfr0, 28) != 0
    }

    /// Any form of pointer authentication.
    #[must_use]
    pub fn has_pointer_authentication(&self) -> bool {
        // APA, API, GPA, GPI; GPA3, APA3.
        self.get(IdRegister::Isar1) & 0xff00_0ff0 != 0 || self.get(IdRegister::Isar2) & 0xff00 != 0
    }

    /// `FEAT_HCX`: HCRX_EL2 exists.
    #[must_use]
    pub fn has_hcrx(&self) -> bool {
        self.field(IdRegister::Mmfr1, 40) != 0
    }

    /// Fine-grained traps: 0 none, 1 `FEAT_FGT`, 2 `FEAT_FGT2`.
    #[must_use]
    pub fn fine_grained_traps(&self) -> u64 {
        self.field(IdRegister::Mmfr0, 56)
    }

    /// `FEAT_MPAM`: MPAM2_EL2 exists.
    #[must_use]
    pub fn has_mpam(&self) -> bool {
        self.field(IdRegister::Pfr0, 40) != 0 || self.field(IdRegister::Pfr1, 16) != 0
    }

    /// `FEAT_AMUv1`: activity monitors.
    #[must_use]
    pub fn has_activity_monitors(&self) -> bool {
        self.field(IdRegister::Pfr0, 44) != 0
    }

    /// What the hardware does to PSTATE when EL1 takes an exception.
    #[must_use]
    pub fn pstate_features(&self) -> PstateFeatures {
        let mut features = PstateFeatures::empty();
        features.set(PstateFeatures::PAN, self.field(IdRegister::Mmfr1, 20) != 0);
        features.set(PstateFeatures::SSBS, self.field(IdRegister::Pfr1, 4) != 0);
        features.set(PstateFeatures::MTE, self.field(IdRegister::Pfr1, 8) != 0);
        features.set(PstateFeatures::NMI, self.has_nmi());
        features
    }

    /// `FEAT_NMI`.
    pub(super) fn has_nmi(&self) -> bool {
        self.field(IdRegister::Pfr1, 36) != 0
    }
}

/// How the machine stands to the vulnerabilities that guests ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mitigations {
    /// CVE-2017-5715.
    pub one: Mitigation,
    /// CVE-2018-3639.
    pub two: Mitigation,
    /// CVE-2022-23960.
    pub three: Mitigation,
}

/// MIDR_EL1 part numbers of Arm's in-order cores, which do not speculate far enough: Cortex-A53,
/// A35, A55.
const IN_ORDER: [u64; 3] = [0xd03, 0xd04, 0xd05];

impl Mitigations {
    /// What the ID registers tell: not affected, or vulnerable as far as EL2 knows. A machine
    /// whose firmware offers a workaround has [`Mitigation::Mitigated`] put in by the shell.
    #[must_use]
    pub fn from_id(host: &HostId) -> Self {
        let is_in_order =
            host.midr >> 24 & 0xff == 0x41 && IN_ORDER.contains(&(host.midr >> 4 & 0xfff));
        let csv2 = host.field(IdRegister::Pfr0, 56);
        let unless = |unaffected| {
            if unaffected { Mitigation::Unaffected } else { Mitigation::Vulnerable }
        };
        Self {
            one: unless(is_in_order || csv2 >= 1),
            two: unless(is_in_order),
            // CSV2 = 3 says that branch history is not shared between contexts.
            three: unless(is_in_order || csv2 >= 3),
        }
    }

    /// Puts in what firmware says about one of them.
    pub const fn set(&mut self, workaround: Workaround, mitigation: Mitigation) {
        match workaround {
            Workaround::One => self.one = mitigation,
            Workaround::Two => self.two = mitigation,
            Workaround::Three => self.three = mitigation,
        }
    }

    /// The state of one of them.
    #[must_use]
    pub const fn of(&self, workaround: Workaround) -> Mitigation {
        match workaround {
            Workaround::One => self.one,
            Workaround::Two => self.two,
            Workaround::Three => self.three,
        }
    }
}
