//! The GICv3 distributor's registers (IHI0069, section 12.9). What is absent without LPIs,
//! message-based SPIs or extended ranges, or belongs to SGIs and PPIs, is reserved.

use super::bits::{byte, low};
use super::files::{Register, Single};
use super::regs::{Component, IIDR};
use super::spi::SPI_WORDS;
use super::spi_number;
use crate::esr::Width;
use hyp_abi::vplatform::FIRST_SPI;

/// GICD_CTLR: EnableGrp0 and EnableGrp1, all that can be written with one Security state.
pub(super) const CTLR_ENABLES: u32 = 3;
/// GICD_CTLR: affinity routing enabled, one Security state (ARE, DS): read-as-one.
pub(super) const CTLR_FIXED: u32 = 1 << 4 | 1 << 6;
/// GICD_CTLR.RWP: a write of this register or of ICENABLER is not yet in effect everywhere.
pub(super) const CTLR_RWP: u32 = 1 << 31;

/// GICD_TYPER: ITLinesNumber, IDbits = 10, No1N (an SPI goes to the vCPU its router names, so
/// GICD_IROUTER.IRM is RAZ/WI). No extended SPIs, LPIs, message-based SPIs, range selector, affinity 3.
const TYPER: u32 = 3 | 9 << 19 | 1 << 25;

const IROUTER: u64 = 0x6000;

/// What lies at `offset`, for an aligned access.
#[inline(always)]
pub(super) fn register(offset: u64, width: Width) -> Register {
    use Width::{Double, Word};
    match (offset, width) {
        (0x0000, Word) => Register::Single(Single::Control),
        (0x0004, Word) => Register::Fixed(u64::from(TYPER)),
        (0x0008, Word) => Register::Fixed(u64::from(IIDR)),
        (IROUTER..0x8000, Word | Double) => {
            let intid = low(offset.wrapping_sub(IROUTER) >> 3);
            spi_number(intid).map_or(Register::NONE, |spi| Register::Single(Single::Router(spi)))
        }
        (0xffd0..0x1_0000, Word) => {
            Register::Single(Single::Identification(Component::Distributor))
        }
        _ => Register::NONE,
    }
}

/// GICD_IROUTER from affinity bytes 3.2.1.0.
pub(super) fn router_of(affinity: u32) -> u64 {
    let affinity = u64::from(affinity);
    (affinity & 0x00ff_ffff) | (affinity & 0xff00_0000) << 8
}

/// The inverse; bit 31 (IRM) and the reserved bits are dropped.
pub(super) fn affinity_of(router: u64) -> u32 {
    low(router & 0x00ff_ffff) | low((router >> 8) & 0xff00_0000)
}

const _: () =
    assert!(SPI_WORDS <= 31 && FIRST_SPI == 32 && byte(TYPER as u64) as usize == SPI_WORDS);
