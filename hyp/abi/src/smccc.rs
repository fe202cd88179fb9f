//! SMC Calling Convention (DEN0028): function identifiers, general services, return codes.

/// A function identifier: W0 of an HVC or SMC (DEN0028, 2.5). X0\[63:32\] is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct FunctionId(pub u32);

impl FunctionId {
    /// Bit 31: fast call, as opposed to a yielding one.
    const FAST: u32 = 1 << 31;
    /// Bit 30: 64-bit convention.
    const CONVENTION_64: u32 = 1 << 30;

    /// A fast call of `owner` (6 bits) in the 32-bit convention.
    #[must_use]
    pub const fn fast32(owner: u32, function: u16) -> Self {
        Self(Self::FAST | (owner << 24) | function as u32)
    }

    /// A fast call of `owner` (6 bits) in the 64-bit convention.
    #[must_use]
    pub const fn fast64(owner: u32, function: u16) -> Self {
        Self(Self::FAST | Self::CONVENTION_64 | (owner << 24) | function as u32)
    }

    /// The identifier that a caller left in X0: its low 32 bits.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "X0[63:32] is not part of the identifier")]
    pub const fn from_x0(x0: u64) -> Self {
        Self(x0 as u32)
    }

    /// Whether arguments and results are 64 bits wide.
    #[must_use]
    pub const fn is_64bit(self) -> bool {
        self.0 & Self::CONVENTION_64 != 0
    }

    /// The owning entity, 0 to 63; see [`owner`].
    #[must_use]
    pub const fn owner(self) -> u32 {
        (self.0 >> 24) & 0x3f
    }

    /// The function number within its owner.
    #[must_use]
    pub const fn function(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

/// Owning entities (DEN0028, table 6-1).
pub mod owner {
    /// Arm architecture calls.
    pub const ARCH: u32 = 0;
    /// Standard secure services: PSCI, TRNG.
    pub const STANDARD: u32 = 4;
    /// Standard hypervisor services: paravirtual time.
    pub const STANDARD_HYP: u32 = 5;
    /// Vendor-specific hypervisor services.
    pub const VENDOR_HYP: u32 = 6;
}

/// `SMCCC_VERSION`.
pub const VERSION: FunctionId = FunctionId::fast32(owner::ARCH, 0);
/// `SMCCC_ARCH_FEATURES`.
pub const ARCH_FEATURES: FunctionId = FunctionId::fast32(owner::ARCH, 1);
/// `SMCCC_ARCH_SOC_ID`.
pub const ARCH_SOC_ID: FunctionId = FunctionId::fast32(owner::ARCH, 2);
/// `SMCCC_ARCH_WORKAROUND_1` (CVE-2017-5715).
pub const ARCH_WORKAROUND_1: FunctionId = FunctionId::fast32(owner::ARCH, 0x8000);
/// `SMCCC_ARCH_WORKAROUND_2` (CVE-2018-3639).
pub const ARCH_WORKAROUND_2: FunctionId = FunctionId::fast32(owner::ARCH, 0x7fff);
/// `SMCCC_ARCH_WORKAROUND_3` (CVE-2022-23960).
pub const ARCH_WORKAROUND_3: FunctionId = FunctionId::fast32(owner::ARCH, 0x3fff);
/// `PV_TIME_FEATURES` (DEN0057, 3.2).
pub const PV_TIME_FEATURES: FunctionId = FunctionId::fast64(owner::STANDARD_HYP, 0x20);
/// `PV_TIME_ST` (DEN0057, 3.3).
pub const PV_TIME_ST: FunctionId = FunctionId::fast64(owner::STANDARD_HYP, 0x21);

/// The SMCCC version that Postern reports: 1.1, as KVM does.
pub const VERSION_1_1: u64 = 0x1_0001;

/// The call succeeded (DEN0028, table 7-1).
pub const SUCCESS: i64 = 0;
/// The function is not there.
pub const NOT_SUPPORTED: i64 = -1;
/// The function is there but need not be called.
pub const NOT_REQUIRED: i64 = -2;
/// An argument is out of range or a page is in the wrong state.
pub const INVALID_PARAMETER: i64 = -3;
