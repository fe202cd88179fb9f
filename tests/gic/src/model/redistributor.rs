//! GICv3: the Redistributors (IHI 0069, registers GICR_*), without LPIs.

use super::distributor_v3::identification;
use super::registers::{Common, common};
use super::{Expected, FIRST_SPI, Gic};

/// RD_base and SGI_base, 64 KiB each.
pub const FRAMES: u64 = 0x2_0000;
const SGI_BASE: u64 = 0x1_0000;

impl Gic {
    /// A load of `bytes` by `vcpu`, `offset` from the first redistributor.
    pub(super) fn read_redistributor(&self, vcpu: usize, offset: u64, bytes: u64) -> Expected {
        let Some(owner) = self.owner(offset) else { return Expected::ZERO };
        let offset = offset % FRAMES;
        if let Some(register) = private(offset, bytes) {
            return self.read_common(vcpu, owner, register, bytes);
        }
        match (offset, bytes) {
            // GICR_CTLR: no LPIs to enable, nothing under way.
            (0x0, 4) => Expected::ZERO,
            // GICR_IIDR.
            (0x4, 4) => Expected::constant(0, 0),
            // GICR_TYPER, in halves, too: the affinity is the number of the vCPU, so is
            // Processor_Number; Last; no LPIs, no DPGS.
            (0x8, 8) => Expected::exactly(self.typer(owner)),
            (0x8, 4) => Expected::exactly(self.typer(owner) & 0xffff_ffff),
            (0xc, 4) => Expected::exactly(self.typer(owner) >> 32),
            // GICR_WAKER: ChildrenAsleep follows ProcessorSleep.
            (0x14, 4) => {
                let is_asleep = self.asleep.contains(&owner);
                let value = if is_asleep { 0b110 } else { 0 };
                Expected { is_constant: false, ..Expected::exactly(value) }
            }
            (0xf000..SGI_BASE, _) => identification(offset, bytes, 3),
            _ => Expected::ZERO,
        }
    }

    /// A store of `bytes`, `offset` from the first redistributor. All are in one memory map, so any vCPU may write any.
    pub(super) fn write_redistributor(&mut self, offset: u64, bytes: u64, value: u64) {
        let Some(owner) = self.owner(offset) else { return };
        let offset = offset % FRAMES;
        if let Some(register) = private(offset, bytes) {
            self.write_common(owner, register, bytes, value);
        } else if (offset, bytes) == (0x14, 4) {
            if value & 0b10 == 0 {
                self.asleep.remove(&owner);
            } else {
                self.asleep.insert(owner);
            }
        }
    }

    pub(super) fn owner(&self, offset: u64) -> Option<usize> {
        usize::try_from(offset / FRAMES).ok().filter(|&owner| owner < self.config.vcpus)
    }

    fn typer(&self, owner: usize) -> u64 {
        let number = owner as u64;
        number << 32 | number << 8 | u64::from(owner + 1 == self.config.vcpus) << 4
    }
}

/// The registers of SGIs and PPIs; there are no extended PPIs.
pub(super) fn private(offset: u64, bytes: u64) -> Option<Common> {
    let offset = offset.checked_sub(SGI_BASE)?;
    let (Common::Bits(_, first) | Common::Priority(first) | Common::Config(first)) =
        common(offset, bytes)?;
    common(offset, bytes).filter(|_| first < FIRST_SPI)
}
