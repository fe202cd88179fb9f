//! The guest's own tables: which level of them lies at an address that is no memory.
//!
//! HPFAR_EL2 tells where a walk went wrong and not how far it had come; the external abort that
//! the guest takes has to say that (Arm ARM, `ESR_EL1`, DFSC 0b0101LL). So the walk
//! is done again (`AArch64.S1Walk`), up to the table that faulted.

use crate::addr::{Ipa, Va};

/// The registers that control a vCPU's stage-1 walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage1 {
    /// TCR_EL1.
    pub tcr: u64,
    /// TTBR0_EL1.
    pub ttbr0: u64,
    /// TTBR1_EL1.
    pub ttbr1: u64,
    /// SCTLR_EL1.EE: descriptors are big-endian.
    pub big_endian: bool,
}

/// The deepest table.
const LAST_LEVEL: i8 = 3;
/// Bits 1:0 of a descriptor that leads to a table.
const TABLE: u64 = 0b11;
/// TCR_EL1.DS: 52-bit addresses with small granules.
const DS: u64 = 1 << 59;

/// One half of the address space.
struct Half {
    ttbr: u64,
    /// log2 of the granule's bytes: 12, 14 or 16.
    granule: u32,
    /// Bits of a virtual address.
    bits: u32,
    /// 52-bit output addresses with granules of 4 and 16 KiB.
    has_ds: bool,
}

impl Stage1 {
    /// The level, -1 to 3, of the table in page `missing` that the walk for `va` needs; `read`
    /// reads the eight bytes at an address of the guest's memory. `None` where the walk does not
    /// come there any more: the guest changed its tables meanwhile.
    pub fn level_of(
        &self,
        va: Va,
        missing: Ipa,
        mut read: impl FnMut(Ipa) -> Option<[u8; 8]>,
    ) -> Option<i8> {
        let half = self.half(va)?;
        let stride = half.granule.saturating_sub(3);
        let mut level = half.first_level(stride)?;
        let mut table = half.root(level, stride);
        // At most five levels.
        loop {
            let place = Ipa(table.checked_add(half.index(va, level, stride)?.checked_mul(8)?)?);
            if place.page() == missing.page() {
                return Some(level);
            }
            let bytes = read(place)?;
            let descriptor =
                if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) };
            if level == LAST_LEVEL || descriptor & 3 != TABLE {
                return None;
            }
            table = half.table(descriptor);
            level = level.checked_add(1)?;
        }
    }

    /// The half of the address space that `va` lies in; `None` where its walks are off or its
    /// size is not one.
    fn half(&self, va: Va) -> Option<Half> {
        let is_upper = va.get() & (1 << 55) != 0;
        // T0SZ, EPD0 and TG0 lie 16 bits below T1SZ, EPD1 and TG1, whose codes differ.
        let tcr = if is_upper { self.tcr >> 16 } else { self.tcr };
        let granule = match (is_upper, (tcr >> 14) & 3) {
            (false, 0) | (true, 2) => 12,
            (false, 2) | (true, 1) => 14,
            (false, 1) | (true, 3) => 16,
            _ => return None,
        };
        let bits = 64u32.checked_sub(u32::try_from(tcr & 0x3f).ok()?)?;
        let is_off = tcr & (1 << 7) != 0;
        let ttbr = if is_upper { self.ttbr1 } else { self.ttbr0 };
        // TTBR's BADDR has 52 bits where IPS says so, or DS. Any other is at most 48.
        let has_ds = self.tcr & DS != 0;
        (!is_off && (16..=52).contains(&bits)).then_some(Half { ttbr, granule, bits, has_ds })
    }
}

impl Half {
    /// Where the walk starts: as many levels as the bits above the granule need.
    fn first_level(&self, stride: u32) -> Option<i8> {
        let levels = self.bits.checked_sub(self.granule)?.div_ceil(stride);
        let level = 4i8.checked_sub(i8::try_from(levels).ok()?)?;
        (-1..=LAST_LEVEL).contains(&level).then_some(level)
    }

    /// The lowest address bit that a table of `level` looks at.
    fn lowest_bit(&self, level: i8, stride: u32) -> u32 {
        let below = u32::try_from(LAST_LEVEL.saturating_sub(level)).unwrap_or(0);
        self.granule.saturating_add(stride.saturating_mul(below))
    }

    /// The entry of `va` in a table of `level`.
    fn index(&self, va: Va, level: i8, stride: u32) -> Option<u64> {
        let low = self.lowest_bit(level, stride);
        let bits = self.bits.checked_sub(low)?.min(stride);
        let mask = 1u64.checked_shl(bits)?.wrapping_sub(1);
        Some(va.get().checked_shr(low)? & mask)
    }

    /// The first table, of `level`: BADDR without what its alignment leaves out.
    fn root(&self, level: i8, stride: u32) -> u64 {
        let index_bits = self.bits.saturating_sub(self.lowest_bit(level, stride)).min(stride);
        // With addresses of 52 bits, bits 5:2 are the highest four, and 64 bytes the least table.
        let size = 1u64.checked_shl(index_bits.saturating_add(3)).unwrap_or(1);
        let low = self.ttbr & 0x0000_ffff_ffff_fffe & !size.wrapping_sub(1);
        if self.has_ds { low | ((self.ttbr >> 2) & 0xf) << 48 } else { low }
    }

    /// The table that `descriptor` leads to.
    fn table(&self, descriptor: u64) -> u64 {
        let offset = 1u64.checked_shl(self.granule).unwrap_or(1).wrapping_sub(1);
        if self.has_ds && self.granule < 16 {
            (descriptor & 0x0003_ffff_ffff_ffff & !offset) | ((descriptor >> 8) & 3) << 50
        } else {
            descriptor & 0x0000_ffff_ffff_ffff & !offset
        }
    }
}

#[cfg(test)]
#[path = "stage1_tests.rs"]
mod tests;
