//! The GICv3 distributor's registers (IHI0069, section 12.9). What is reserved, absent without LPIs,
//! message-based SPIs or extended ranges, belongs to SGIs and PPIs, or is accessed with a width the
//! register does not have, reads as zero and ignores writes.

use super::bits::{byte, low};
use super::fields::Scope;
use super::lr::CpuInterface;
use super::regs::{Component, IIDR, identification, is_aligned, read_part, write_part};
use super::spi::SPI_WORDS;
use super::word::BitRegister;
use super::{Kicks, Read, Vgic, spi_number};
use crate::esr::Width;
use crate::sync::Ordering;
use hyp_abi::vplatform::{FIRST_SPI, GICD_SIZE, MAX_VCPUS};

mod ctlr {
    /// EnableGrp0 and EnableGrp1, all that can be written with one Security state.
    pub(super) const ENABLES: u32 = 3;
    /// Affinity routing enabled: read-as-one.
    pub(super) const ARE: u32 = 1 << 4;
    /// Disable Security: read-as-one.
    pub(super) const DS: u32 = 1 << 6;
    /// A write of this register or of ICENABLER is not yet in effect everywhere.
    pub(super) const RWP: u32 = 1 << 31;
}

/// GICD_TYPER: ITLinesNumber, IDbits = 10, No1N (an SPI goes to the vCPU its router names, so
/// GICD_IROUTER.IRM is RAZ/WI). No extended SPIs, LPIs, message-based SPIs, range selector, affinity 3.
const TYPER: u32 = 3 | 9 << 19 | 1 << 25;

const IROUTER: u64 = 0x6000;

/// What lies at an offset.
enum Register {
    Ctlr,
    Typer,
    Iidr,
    /// SPI.
    Router(u32),
    Identification,
    Reserved,
}

fn decode(offset: u64, width: Width) -> Register {
    use Width::{Double, Word};
    if !is_aligned(offset, width) || offset >= GICD_SIZE {
        return Register::Reserved;
    }
    match (offset, width) {
        (0x0000, Word) => Register::Ctlr,
        (0x0004, Word) => Register::Typer,
        (0x0008, Word) => Register::Iidr,
        (IROUTER..0x8000, Word | Double) => {
            let intid = low(offset.wrapping_sub(IROUTER) >> 3);
            spi_number(intid).map_or(Register::Reserved, Register::Router)
        }
        (0xffd0..0x1_0000, Word) => Register::Identification,
        _ => Register::Reserved,
    }
}

/// GICD_IROUTER from affinity bytes 3.2.1.0.
fn router_of(affinity: u32) -> u64 {
    let affinity = u64::from(affinity);
    (affinity & 0x00ff_ffff) | (affinity & 0xff00_0000) << 8
}

/// The inverse; bit 31 (IRM) and the reserved bits are dropped.
fn affinity_of(router: u64) -> u32 {
    low(router & 0x00ff_ffff) | low((router >> 8) & 0xff00_0000)
}

impl Vgic {
    /// What a load at `offset` in the distributor of a GICv3 reads, if it is the same for ever.
    #[inline(always)]
    pub fn dist_constant(offset: u64, width: Width) -> Option<u64> {
        match (offset, width) {
            (0x0004, Width::Word) => Some(u64::from(TYPER)),
            (0x0008, Width::Word) => Some(u64::from(IIDR)),
            _ => None,
        }
    }

    /// Whether a store of zero at `offset` in the distributor of a GICv3 changes nothing: to the
    /// registers whose ones set or clear.
    #[inline(always)]
    pub fn is_idle_zero(offset: u64, width: Width) -> bool {
        BitRegister::at(offset, width).is_some_and(|(register, _)| register != BitRegister::Group)
    }

    /// A load at `offset` in the distributor of a GICv3 by `vcpu`.
    pub fn dist_read(
        &self,
        vcpu: usize,
        offset: u64,
        width: Width,
        iface: &mut impl CpuInterface,
    ) -> Read {
        let scope = Scope { private: None, has_spis: true };
        if let Some(read) = self.read_field(vcpu, &scope, offset, width, iface) {
            return read;
        }
        Read::Value(match decode(offset, width) {
            Register::Ctlr => {
                let pending = self.is_write_pending(0..MAX_VCPUS);
                let rwp = if pending { ctlr::RWP } else { 0 };
                let enables = self.control.load(Ordering::Relaxed);
                u64::from(enables | ctlr::ARE | ctlr::DS | rwp)
            }
            Register::Typer => u64::from(TYPER),
            Register::Iidr => u64::from(IIDR),
            Register::Router(spi) => {
                read_part(router_of(self.spis.lock().route(spi)), offset, width)
            }
            Register::Identification => u64::from(identification(Component::Distributor, offset)),
            Register::Reserved => 0,
        })
    }

    /// A store at `offset` in the distributor of a GICv3 by `vcpu`.
    #[inline]
    pub fn dist_write(
        &self,
        vcpu: usize,
        offset: u64,
        width: Width,
        value: u64,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        // By far the most enable and disable SPIs.
        if let Some((register, word @ 1..)) = BitRegister::at(offset, width) {
            return self.write_bits(vcpu, register, word.wrapping_sub(1), low(value), iface);
        }
        self.dist_write_other(vcpu, offset, width, value, iface)
    }

    #[inline(never)]
    fn dist_write_other(
        &self,
        vcpu: usize,
        offset: u64,
        width: Width,
        value: u64,
        iface: &mut impl CpuInterface,
    ) -> Kicks {
        let scope = Scope { private: None, has_spis: true };
        if let Some(kicks) = self.write_field(vcpu, &scope, offset, width, value, iface) {
            return kicks;
        }
        let kicks = self.write_other(offset, width, value);
        self.settle(vcpu, kicks, iface)
    }

    /// A store to any other register; says who has to look at its list registers.
    fn write_other(&self, offset: u64, width: Width, value: u64) -> Kicks {
        let mut spis = self.spis.lock();
        let groups = self.groups();
        match decode(offset, width) {
            Register::Ctlr => self.write_control(low(value) & ctlr::ENABLES),
            Register::Router(spi) => {
                let old = router_of(spis.route(spi));
                let affinity = affinity_of(write_part(old, offset, width, value));
                spis.set_route(spi, affinity, self.vcpu_at(affinity), groups)
            }
            Register::Typer | Register::Iidr | Register::Identification | Register::Reserved => {
                Kicks::NONE
            }
        }
    }

    /// The vCPU with the affinity bytes 3.2.1.0: vCPU n has 0.0.0.n.
    pub(super) fn vcpu_at(&self, affinity: u32) -> Option<usize> {
        usize::try_from(affinity).ok().filter(|&vcpu| vcpu < self.vcpus)
    }

    /// Changes the group enables, under the SPI lock; everybody's choice of interrupts may change.
    pub(super) fn write_control(&self, enables: u32) -> Kicks {
        if self.control.swap(enables, Ordering::AcqRel) == enables {
            return Kicks::NONE;
        }
        (0..self.vcpus).fold(Kicks::NONE, Kicks::with)
    }
}

const _: () =
    assert!(SPI_WORDS <= 31 && FIRST_SPI == 32 && byte(TYPER as u64) as usize == SPI_WORDS);
