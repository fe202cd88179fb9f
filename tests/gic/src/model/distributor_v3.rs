//! GICv3: the Distributor with affinity routing and one Security state (IHI 0069, registers GICD_*),
//! and the registers that send SGIs (ICC_SGI0R_EL1, ICC_SGI1R_EL1, ICC_ASGI1R_EL1).

use super::registers::{Common, common};
use super::{Expected, FIRST_SPI, Gic};

/// GICD_CTLR with one Security state: ARE is read-as-one, as in a GICv3 without legacy operation, DS,
/// too; RWP is clear once writes have been seen to.
const ARE: u64 = 1 << 4;
const DS: u64 = 1 << 6;

/// Which register sends an SGI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// ICC_SGI0R_EL1.
    Group0,
    /// ICC_SGI1R_EL1.
    Group1,
    /// ICC_ASGI1R_EL1.
    Other,
}

/// GICD_IROUTER: Aff3 and Aff2 to Aff0; Interrupt_Routing_Mode is RES0 where GICD_TYPER.No1N
/// is set.
const AFFINITY: u64 = 0xff_00ff_ffff;

impl Gic {
    /// A load of `bytes` at `offset`.
    pub(super) fn read_distributor_v3(&self, vcpu: usize, offset: u64, bytes: u64) -> Expected {
        if let Some(register) = self.shared(offset, bytes) {
            return self.read_common(vcpu, vcpu, register, bytes);
        }
        if let Some((spi, shift, mask)) = self.route_at(offset, bytes) {
            let router = self.router.get(&spi).copied().unwrap_or(0);
            return Expected { is_constant: false, ..Expected::exactly(router >> shift & mask) };
        }
        match (offset, bytes) {
            (0x0, 4) => Expected {
                is_constant: false,
                ..Expected::exactly(u64::from(self.group_enables) | ARE | DS)
            },
            // GICD_TYPER: ITLinesNumber; No1N (25); the width of INTIDs (23:19) is free; no
            // LPIs (17), message-based SPIs (16), extended SPIs (8), and, as DS is set, no second
            // Security state (10); CPUNumber (7:5) is 0 without legacy operation.
            (0x4, 4) => {
                let lines = u64::from(self.config.end / 32 - 1);
                Expected::constant(lines | 1 << 25, !(0x1f << 19))
            }
            // GICD_IIDR.
            (0x8, 4) => Expected::constant(0, 0),
            (0xf000.., _) => identification(offset, bytes, 3),
            _ => Expected::ZERO,
        }
    }

    /// A store of `bytes` at `offset`.
    pub(super) fn write_distributor_v3(&mut self, offset: u64, bytes: u64, value: u64) {
        if let Some(register) = self.shared(offset, bytes) {
            self.write_common(0, register, bytes, value);
        } else if let Some((spi, shift, mask)) = self.route_at(offset, bytes) {
            let router = self.router.entry(spi).or_default();
            *router = (*router & !(mask << shift) | (value & mask) << shift) & AFFINITY;
        } else if (offset, bytes) == (0, 4) {
            self.group_enables = u32::try_from(value & 3).unwrap_or(0);
        }
    }

    /// The registers of SPIs. Those of SGIs and PPIs, and GICD_ITARGETSR, are RES0 with affinity
    /// routing (IHI 0069, by name).
    pub(super) fn shared(&self, offset: u64, bytes: u64) -> Option<Common> {
        let (Common::Bits(_, first) | Common::Priority(first) | Common::Config(first)) =
            common(offset, bytes)?;
        common(offset, bytes).filter(|_| (FIRST_SPI..self.config.end).contains(&first))
    }

    /// GICD_IROUTER: 64 bits that may be accessed in halves; INTID, shift and mask.
    fn route_at(&self, offset: u64, bytes: u64) -> Option<(u32, u64, u64)> {
        let intid = u32::try_from(offset.checked_sub(0x6000)? / 8).ok()?;
        let is_there = (FIRST_SPI..self.config.end).contains(&intid);
        match (is_there, bytes, offset % 8) {
            (true, 8, 0) => Some((intid, 0, !0)),
            (true, 4, shift @ (0 | 4)) => Some((intid, 8 * shift, 0xffff_ffff)),
            _ => None,
        }
    }

    /// `vcpu` writes `value` to a register that sends SGIs.
    ///
    /// IRM (40) is all but oneself; else Aff3.Aff2.Aff1 and the bits of the target list with the range
    /// selector (47:44), of which GICD_TYPER.RSS = 0 leaves 0. With one Security state (ICC_SGI1R_EL1, on
    /// which SGIs are generated): ICC_SGI1R_EL1 reaches interrupts of either group, the two others those of
    /// group 0.
    pub fn send(&mut self, vcpu: usize, register: Sender, value: u64) {
        let number = u32::try_from(value >> 24 & 0xf).unwrap_or(0);
        let is_near = value & (0xff << 48 | 0xf << 44 | 0xff << 32 | 0xff << 16) == 0;
        for target in 0..self.config.vcpus {
            let is_meant = if value >> 40 & 1 == 1 {
                target != vcpu
            } else {
                is_near && value >> target & 1 == 1
            };
            let Some(id) = self.id(target, number).filter(|_| is_meant) else { continue };
            if register == Sender::Group1 || !self.group1.contains(&id) {
                self.latch.insert(id);
            }
        }
    }
}

/// The last registers of a frame: GICD_PIDR2.ArchRev (IHI 0048, 4.3.18, for GICv2) is the
/// architecture's, GICD_CIDR0 to 3 are CoreSight's, the others free.
pub(super) fn identification(offset: u64, bytes: u64, version: u64) -> Expected {
    if bytes != 4 || !offset.is_multiple_of(4) {
        return Expected::ZERO;
    }
    match offset & 0xfff {
        0xfe8 => Expected::constant(version << 4, !0xf),
        0xff0 => Expected::exactly(0x0d),
        0xff4 => Expected::exactly(0xf0),
        0xff8 => Expected::exactly(0x05),
        0xffc => Expected::exactly(0xb1),
        0xfd0..=0xfec => Expected::constant(0, 0xffff_ffff_ffff_ff00),
        _ => Expected::ZERO,
    }
}
