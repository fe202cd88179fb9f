//! Register facts that the distributors and the redistributors share.

use super::bits::{high, low};
use crate::esr::Width;

/// GICD_IIDR of a GICv2: GIC-400 r0p1 (DDI 0471B, 3.2.2).
pub(super) const IIDR_V2: u32 = 0x0200_143b;

/// GICD_IIDR and GICR_IIDR of a GICv3: implementer Arm (0x43b), product 0x50, as hypervisors that model Arm's
/// controller do.
pub(super) const IIDR: u32 = 0x5000_043b;

/// First of the identification registers, GICD_PIDR4, in the low 12 bits of its offset.
const ID_BASE: u64 = 0xfd0;

/// PIDR4-7, PIDR0-3, CIDR0-3 of Arm's GICv3 distributor; PIDR2 bits 7:4 say GICv3 (IHI0069,
/// section 12.1, GICD_PIDR2; values as GIC-500's technical reference manual lists them).
const DISTRIBUTOR_ID: [u8; 12] = [0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1];
/// The same of a GIC-400 (DDI 0471B, 3.2.2); PIDR2 bits 7:4 say GICv2.
const DISTRIBUTOR_V2_ID: [u8; 12] = [0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1];
/// PIDR0 of a redistributor, the only byte that differs.
const REDISTRIBUTOR_PIDR0: u8 = 0x93;
const PIDR0: u64 = 4;

/// Whose identification register is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Component {
    Distributor,
    DistributorV2,
    Redistributor,
}

/// The identification register at `offset`, of which the low 12 bits count; 0 where there is none.
pub(super) fn identification(component: Component, offset: u64) -> u32 {
    let word = (offset & 0xfff).checked_sub(ID_BASE).map(|distance| distance >> 2);
    let Some(word) = word else { return 0 };
    if word == PIDR0 && component == Component::Redistributor {
        return u32::from(REDISTRIBUTOR_PIDR0);
    }
    let bytes = match component {
        Component::DistributorV2 => &DISTRIBUTOR_V2_ID,
        Component::Distributor | Component::Redistributor => &DISTRIBUTOR_ID,
    };
    usize::try_from(word).ok().and_then(|n| bytes.get(n)).copied().map_or(0, u32::from)
}

/// Whether an access of `width` at `offset` is naturally aligned.
pub(super) const fn is_aligned(offset: u64, width: Width) -> bool {
    offset & width.bytes().wrapping_sub(1) == 0
}

/// What an access of 4 or 8 bytes at `offset` sees of a 64-bit register at a multiple of 8.
pub(super) const fn read_part(register: u64, offset: u64, width: Width) -> u64 {
    match (width, offset & 4) {
        (Width::Double, _) => register,
        (Width::Word, 0) => low(register) as u64,
        (Width::Word, _) => high(register) as u64,
        _ => 0,
    }
}

/// A 64-bit register after a write of 4 or 8 bytes at `offset`; others change nothing.
pub(super) const fn write_part(register: u64, offset: u64, width: Width, value: u64) -> u64 {
    match (width, offset & 4) {
        (Width::Double, _) => value,
        (Width::Word, 0) => (register & !0xffff_ffff) | low(value) as u64,
        (Width::Word, _) => (register & 0xffff_ffff) | (low(value) as u64) << 32,
        _ => register,
    }
}

/// The bytes that a store of `width` writes, lowest address first, each with its number: they count
/// from `first`.
pub(super) fn bytes_of(first: u32, value: u64, width: Width) -> impl Iterator<Item = (u32, u8)> {
    let numbers = (0..low(width.bytes())).map(move |n| first.wrapping_add(n));
    numbers.zip(value.to_le_bytes())
}
