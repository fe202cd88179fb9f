//! The machine's interrupt controller, whichever version it is.
//!
//! Which one is settled at boot. Every operation asks once, by a branch that always goes the same
//! way; what costs more than that is in the version's own module.

use core::sync::atomic::{AtomicU32, Ordering};

use hyp_core::memory::PaRange;
use hyp_core::tree::machine::{Gic, GicV2};
use hyp_core::vgic::GicVersion;

use super::mmio::Mmio;
use super::virtual_interface::VirtualInterface;
use super::{gicv2, gicv3};
use crate::arch::ich;
use crate::arch::percpu::PerCpu;

/// Priority of everything, four at a time; below the mask, above nothing.
pub(super) const PRIORITIES: u32 = 0xa0a0_a0a0;
/// INTIDs from here on are not interrupts (spurious and special, IHI 0069, 2.2).
pub(super) const SPECIAL: u32 = 1020;
/// First shared peripheral interrupt.
pub(super) const FIRST_SPI: u32 = 32;
/// First private peripheral interrupt.
const FIRST_PPI: u32 = 16;

/// What EL2's SGIs mean: only "look at your pending work".
pub(crate) const KICK_SGI: u32 = 0;

/// INTID of the maintenance interrupt: PPI 9 (BSA, "PPI assignments") unless the tree knows better.
static MAINTENANCE: AtomicU32 = AtomicU32::new(25);

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

/// Sets the controller up, and the calling CPU's part of it. `map` maps registers for ever.
pub(crate) fn init(gic: &Gic, map: impl Fn(PaRange) -> Mmio) -> Result<(), GicError> {
    let maintenance = match gic {
        Gic::V2(v2) => {
            let interface = map(GicV2::interface_pages(v2.cpu_interface));
            let hypervisor = v2.hypervisor.ok_or(GicError::Short("GICH frame"))?;
            gicv2::init(map(v2.distributor), interface, map(hypervisor))?;
            v2.maintenance
        }
        Gic::V3(v3) => {
            let redistributors = v3.redistributors.iter().copied().map(&map).collect();
            gicv3::init(map(v3.distributor), redistributors, v3.stride)?;
            v3.maintenance
        }
    };
    if let Some(intid @ FIRST_PPI..FIRST_SPI) = maintenance {
        MAINTENANCE.store(intid, Ordering::Relaxed);
    }
    init_cpu()
}

/// Sets up what the calling CPU has of its own.
pub(crate) fn init_cpu() -> Result<(), GicError> {
    match gicv2::get() {
        Some(gic) => gic.init_cpu(),
        None => gicv3::init_cpu(),
    }
}

/// Which version it is.
pub(crate) fn version() -> GicVersion {
    if gicv2::get().is_some() { GicVersion::V2 } else { GicVersion::V3 }
}

/// INTID of the maintenance interrupt.
#[inline]
pub(crate) fn maintenance_intid() -> u32 {
    MAINTENANCE.load(Ordering::Relaxed)
}

/// Priority bits of the virtual CPU interface, 5 to 8.
pub(crate) fn priority_bits() -> u32 {
    match gicv2::get() {
        Some(gic) => gic.hypervisor().priority_bits(),
        None => ich::priority_bits(),
    }
}

/// The virtual CPU interface of the calling CPU.
#[inline]
pub(super) fn virtual_interface() -> VirtualInterface {
    match gicv2::get() {
        Some(gic) => VirtualInterface::V2(gic.hypervisor()),
        None => VirtualInterface::V3,
    }
}

/// Enables a PPI of the calling CPU.
pub(crate) fn enable_ppi(intid: u32) {
    if !(FIRST_PPI..FIRST_SPI).contains(&intid) {
        return;
    }
    match gicv2::get() {
        Some(gic) => gic.enable_ppi(intid),
        None => gicv3::enable_ppi(intid),
    }
}

/// Enables an SPI and routes it to CPU number `cpu`.
pub(crate) fn enable_spi(intid: u32, cpu: usize) {
    if !(FIRST_SPI..SPECIAL).contains(&intid) {
        return;
    }
    match (gicv2::get(), PerCpu::nth(cpu)) {
        (Some(gic), _) => gic.enable_spi(intid, cpu),
        (None, Some(cpu)) => gicv3::enable_spi(intid, cpu.mpidr()),
        (None, None) => {}
    }
}

/// Acknowledges the most urgent pending interrupt, if there is one.
#[inline]
pub(crate) fn acknowledge() -> Option<Claim> {
    match gicv2::get() {
        Some(gic) => gic.acknowledge(),
        None => gicv3::acknowledge().map(|intid| Claim { intid, whole: intid }),
    }
}

/// Drops the running priority. The interrupt stays active.
#[inline]
pub(crate) fn drop_priority(claim: Claim) {
    match gicv2::get() {
        Some(gic) => gic.drop_priority(claim),
        None => gicv3::drop_priority(claim.intid),
    }
}

/// Deactivates an interrupt whose priority was dropped.
#[inline]
pub(crate) fn deactivate(claim: Claim) {
    match gicv2::get() {
        Some(gic) => gic.deactivate(claim.whole),
        None => gicv3::deactivate(claim.intid),
    }
}

/// Sends [`KICK_SGI`] to CPU number `cpu`.
pub(crate) fn kick(cpu: usize) {
    match (gicv2::get(), PerCpu::nth(cpu)) {
        (Some(gic), _) => gic.kick(cpu),
        (None, Some(cpu)) => gicv3::kick(cpu.mpidr()),
        (None, None) => {}
    }
}
