//! What both versions of the GIC share.

/// Priority of everything, four at a time; below the mask, above nothing.
pub(super) const PRIORITIES: u32 = 0xa0a0_a0a0;
/// INTIDs from here on are not interrupts (spurious and special, IHI 0069, 2.2).
pub(super) const SPECIAL: u32 = 1020;
/// First shared peripheral interrupt.
pub(super) const FIRST_SPI: u32 = 32;

/// What EL2's SGIs mean: only "look at your pending work".
pub(crate) const KICK_SGI: u32 = 0;

/// Why the interrupt controller cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GicError {
    /// The CPU has no system-register interface (ID_AA64PFR0_EL1.GIC is 0) or firmware keeps it
    /// (ICC_SRE_EL2.SRE reads 0).
    NoSystemRegisters,
    /// No redistributor has this CPU's affinity.
    NoRedistributor(u64),
    /// The redistributor does not wake up.
    Asleep,
    /// The tree gives this frame too few bytes.
    Short(&'static str),
}

impl core::fmt::Display for GicError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoSystemRegisters => f.write_str(
                "the GICv3's system registers are missing or kept by firmware; Postern needs them \
                 (QEMU: -M virt,virtualization=on,gic-version=3)",
            ),
            Self::NoRedistributor(mpidr) => {
                write!(
                    f,
                    "no GIC redistributor for the CPU with affinity {mpidr:#x}; correct the device tree"
                )
            }
            Self::Asleep => {
                f.write_str("the GIC redistributor does not wake up; update the firmware")
            }
            Self::Short(frame) => {
                write!(
                    f,
                    "the GIC's {frame} has too few bytes of registers; correct the device tree"
                )
            }
        }
    }
}

/// An interrupt that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    /// Which.
    pub(crate) intid: u32,
    /// By what name the controller knows it: with GICv2 an SGI's sender belongs to that.
    pub(super) whole: u32,
}

impl Claim {
    /// An interrupt that a GICv3's CPU interface acknowledged.
    #[inline]
    pub(crate) const fn v3(intid: u32) -> Self {
        Self { intid, whole: intid }
    }
}
