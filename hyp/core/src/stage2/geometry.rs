//! The shape of a VM's tables: how many levels, how large the root, which bits index what.

use crate::addr::{Ipa, PAGE_SIZE};
use crate::vm_type::MAX_IPA_BITS;

/// A level of lookup in the 4 KiB granule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// 512 GiB an entry; tables only.
    L0,
    /// 1 GiB an entry.
    L1,
    /// 2 MiB an entry.
    L2,
    /// 4 KiB an entry; pages only.
    L3,
}

impl Level {
    /// log2 of the bytes an entry covers (Arm ARM DDI 0487, "Translation table granules").
    #[inline(always)]
    #[must_use]
    pub const fn shift(self) -> u32 {
        // Each level resolves nine bits.
        39u32.wrapping_sub(9u32.wrapping_mul(self as u32))
    }

    /// The level whose [`Level::shift`] this is.
    #[inline]
    pub(super) const fn of_shift(shift: u32) -> Self {
        match shift {
            12 => Self::L3,
            21 => Self::L2,
            30 => Self::L1,
            _ => Self::L0,
        }
    }

    /// Bytes an entry covers.
    #[inline]
    #[must_use]
    pub const fn size(self) -> u64 {
        1u64.wrapping_shl(self.shift())
    }

    /// The level below, whose tables this level's entries point to.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::L0 => Some(Self::L1),
            Self::L1 => Some(Self::L2),
            Self::L2 => Some(Self::L3),
            Self::L3 => None,
        }
    }

    /// Whether an entry can map memory by itself: pages and 2 MiB and 1 GiB blocks.
    #[must_use]
    pub const fn has_leaves(self) -> bool {
        !matches!(self, Self::L0)
    }

    /// Index within one table of the entry that covers `ipa`: 0 to 511.
    #[inline]
    #[must_use]
    pub const fn index(self, ipa: Ipa) -> usize {
        ((ipa.0 >> self.shift()) & 0x1ff) as usize
    }

    /// The first address that the entry for `ipa` covers.
    #[inline]
    #[must_use]
    pub const fn base(self, ipa: Ipa) -> Ipa {
        Ipa(ipa.0 & !self.size().wrapping_sub(1))
    }
}

/// The shape of the tables for one IPA size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    ipa_bits: u32,
    start: Level,
    /// Of `start`.
    start_shift: u32,
}

impl Geometry {
    /// The shape for `ipa_bits`, 32 to 48; `None` for any other size.
    ///
    /// The walk starts as low as it can: up to 16 tables of one level lie next to each other as
    /// the root, which saves a level (Arm ARM DDI 0487, "Concatenated translation tables"; the
    /// ranges are those of pseudocode function `AArch64.S2InconsistentSL`).
    #[must_use]
    pub const fn new(ipa_bits: u32) -> Option<Self> {
        let start = match ipa_bits {
            32..=34 => Level::L2,
            35..=43 => Level::L1,
            44..=MAX_IPA_BITS => Level::L0,
            _ => return None,
        };
        Some(Self { ipa_bits, start, start_shift: start.shift() })
    }

    /// Bits of an IPA.
    #[must_use]
    pub const fn ipa_bits(self) -> u32 {
        self.ipa_bits
    }

    /// The level of the root.
    #[inline]
    #[must_use]
    pub const fn start(self) -> Level {
        self.start
    }

    /// [`Level::shift`] of [`Self::start`].
    #[inline(always)]
    pub(super) const fn start_shift(self) -> u32 {
        self.start_shift
    }

    /// Whether `ipa` is below 2^`ipa_bits`.
    #[inline(always)]
    #[must_use]
    pub const fn contains(self, ipa: Ipa) -> bool {
        ipa.0.wrapping_shr(self.ipa_bits) == 0
    }

    /// Tables in the root: 1 to 16.
    #[must_use]
    pub const fn root_tables(self) -> u64 {
        let one_table = self.start_shift.saturating_add(9);
        1u64.wrapping_shl(self.ipa_bits.saturating_sub(one_table))
    }

    /// Bytes of the root, which is also its alignment.
    #[must_use]
    pub const fn root_bytes(self) -> u64 {
        self.root_tables().saturating_mul(PAGE_SIZE)
    }

    /// Offset into the root, in bytes, of the table that covers `ipa`.
    #[inline(always)]
    #[must_use]
    pub const fn root_offset(self, ipa: Ipa) -> u64 {
        let tables = ipa.0.wrapping_shr(self.start_shift) >> 9;
        tables.wrapping_mul(PAGE_SIZE)
    }

    /// VTCR_EL2 for these tables on a machine with `pa_bits` of physical address (the smallest
    /// `ID_AA64MMFR0_EL1.PARange` of its CPUs, in bits).
    ///
    /// 4 KiB granule, walks cacheable write-back and inner shareable, 8-bit VMIDs, no hardware
    /// update of the access flag (Arm ARM DDI 0487, VTCR_EL2).
    #[must_use]
    pub const fn vtcr(self, pa_bits: u32) -> u64 {
        const RES1: u64 = 1 << 31;
        const SH0_INNER: u64 = 0b11 << 12;
        const ORGN0_WRITE_BACK: u64 = 0b01 << 10;
        const IRGN0_WRITE_BACK: u64 = 0b01 << 8;
        let t0sz = 64u32.saturating_sub(self.ipa_bits) as u64;
        // SL0 for the 4 KiB granule: 0 starts at level 2, 1 at level 1, 2 at level 0.
        let sl0: u64 = match self.start {
            Level::L0 => 2,
            Level::L1 => 1,
            Level::L2 | Level::L3 => 0,
        };
        // PS holds the encoding of PARange; 48 bits is the most without FEAT_LPA.
        let ps: u64 = match pa_bits {
            ..36 => 0,
            36..40 => 1,
            40..42 => 2,
            42..44 => 3,
            44..48 => 4,
            48.. => 5,
        };
        RES1 | (ps << 16) | SH0_INNER | ORGN0_WRITE_BACK | IRGN0_WRITE_BACK | (sl0 << 6) | t0sz
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_has_one_to_sixteen_tables() {
        let cases = [
            (32, Level::L2, 4),
            (34, Level::L2, 16),
            (35, Level::L1, 1),
            (39, Level::L1, 1),
            (40, Level::L1, 2),
            (43, Level::L1, 16),
            (44, Level::L0, 1),
            (48, Level::L0, 1),
        ];
        for (bits, start, tables) in cases {
            let geometry = Geometry::new(bits).unwrap();
            assert_eq!((geometry.start(), geometry.root_tables()), (start, tables), "{bits}");
            let last = Ipa((1 << bits) - 1);
            assert!(geometry.contains(last) && !geometry.contains(Ipa(1 << bits)));
            let offset = geometry.root_offset(last);
            assert_eq!(offset, geometry.root_bytes() - PAGE_SIZE, "{bits}");
        }
        assert_eq!(Geometry::new(31), None);
        assert_eq!(Geometry::new(49), None);
    }

    // Linux writes this very value for a 40-bit VM on a CPU with 44 bits and 8-bit VMIDs, apart
    // from the access flag (kvm_get_vtcr).
    #[test]
    fn vtcr_is_put_together_as_documented() {
        assert_eq!(Geometry::new(40).unwrap().vtcr(44), 0x8004_3558);
        assert_eq!(Geometry::new(32).unwrap().vtcr(40), 0x8002_3520);
        assert_eq!(Geometry::new(48).unwrap().vtcr(52), 0x8005_3590);
    }
}
