//! A VM's memory map: what is memory for the guest and where it really lies.
//!
//! This map, not a translation table, says whether an IPA is memory; a leaf may be empty because
//! nothing has touched the page yet.

use arrayvec::ArrayVec;
use thiserror::Error;

use crate::addr::{BLOCK_2M, Ipa, Pa};
use crate::memory::{IpaRange, PaRange};

/// The most extents a VM's memory may be made of.
pub const MAX_EXTENTS: usize = 8;

/// Some memory of a VM that is contiguous on both sides, in multiples of 2 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    ipa: IpaRange,
    pa: Pa,
}

impl Extent {
    /// Where the guest sees it.
    #[must_use]
    pub const fn ipa(&self) -> IpaRange {
        self.ipa
    }

    /// Where it lies.
    #[must_use]
    pub const fn pa(&self) -> Pa {
        self.pa
    }

    #[inline]
    fn translate(&self, ipa: Ipa) -> Option<Pa> {
        if !self.ipa.contains(ipa) {
            return None;
        }
        self.pa.checked_add(ipa.checked_sub(self.ipa.base())?)
    }
}

/// Why an extent cannot be added.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum MapError {
    /// An address or the size is not a multiple of 2 MiB, or the size is 0.
    #[error("memory at {ipa} ({size:#x} bytes, physical {pa}) is not made of whole 2 MiB blocks")]
    Unaligned {
        /// Where the guest would see it.
        ipa: Ipa,
        /// Where it lies.
        pa: Pa,
        /// Its size in bytes.
        size: u64,
    },
    /// The addresses wrap.
    #[error("memory of {size:#x} bytes at {ipa} ends above the address space")]
    Wraps {
        /// Where the guest would see it.
        ipa: Ipa,
        /// Its size in bytes.
        size: u64,
    },
    /// The VM has memory there, or the physical memory is used twice.
    #[error("memory at {ipa} (physical {pa}) overlaps what the VM has already")]
    Overlap {
        /// Where the guest would see it.
        ipa: Ipa,
        /// Where it lies.
        pa: Pa,
    },
    /// There are [`MAX_EXTENTS`] already.
    #[error("the VM's memory is in more than {MAX_EXTENTS} pieces")]
    Full,
}

/// All memory of a VM: extents in order of their IPA.
#[derive(Debug, Clone, Default)]
pub struct MemoryMap {
    extents: ArrayVec<Extent, MAX_EXTENTS>,
}

impl MemoryMap {
    /// A VM without memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the VM `size` bytes from `pa` as `ipa`.
    ///
    /// # Errors
    ///
    /// Where one of the three is not a multiple of 2 MiB, wraps, overlaps, or there is no room.
    /// The map is unchanged then.
    pub fn insert(&mut self, ipa: Ipa, pa: Pa, size: u64) -> Result<(), MapError> {
        let aligned = ipa.is_aligned(BLOCK_2M) && pa.is_aligned(BLOCK_2M);
        if size == 0 || !aligned || !Pa(size).is_aligned(BLOCK_2M) {
            return Err(MapError::Unaligned { ipa, pa, size });
        }
        let (Some(range), Some(physical)) = (IpaRange::new(ipa, size), PaRange::new(pa, size))
        else {
            return Err(MapError::Wraps { ipa, size });
        };
        let overlaps = |other: &Extent| {
            let theirs = PaRange::new(other.pa, other.ipa.size());
            other.ipa.overlaps(range) || theirs.is_none_or(|theirs| theirs.overlaps(physical))
        };
        if self.extents.iter().any(overlaps) {
            return Err(MapError::Overlap { ipa, pa });
        }
        let place = self.extents.partition_point(|other| other.ipa.base() < ipa);
        self.extents.try_insert(place, Extent { ipa: range, pa }).map_err(|_| MapError::Full)
    }

    /// The physical address of the memory at `ipa`, or `None` where there is none.
    #[inline]
    #[must_use]
    pub fn translate(&self, ipa: Ipa) -> Option<Pa> {
        self.extents.iter().find_map(|extent| extent.translate(ipa))
    }

    /// Whether `ipa` is memory.
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, ipa: Ipa) -> bool {
        self.extents.iter().any(|extent| extent.ipa.contains(ipa))
    }

    /// Whether a byte of `range` is memory.
    #[must_use]
    pub fn overlaps(&self, range: IpaRange) -> bool {
        self.extents.iter().any(|extent| extent.ipa.overlaps(range))
    }

    /// The extents in order.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Bytes in all.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.extents.iter().fold(0, |sum, extent| extent.ipa.size().saturating_add(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M2: u64 = BLOCK_2M;

    #[test]
    fn an_address_belongs_to_the_extent_around_it() {
        let mut map = MemoryMap::new();
        map.insert(Ipa(0x8000_0000), Pa(0x4020_0000), M2).unwrap();
        map.insert(Ipa(0x4000_0000), Pa(0x5000_0000), 2 * M2).unwrap();
        assert_eq!(map.extents().first().unwrap().ipa().base(), Ipa(0x4000_0000));
        assert_eq!(map.translate(Ipa(0x4000_0000 + 2 * M2 - 1)), Some(Pa(0x503f_ffff)));
        assert_eq!(map.translate(Ipa(0x4000_0000 + 2 * M2)), None);
        assert_eq!(map.translate(Ipa(0x3fff_ffff)), None);
        assert_eq!(map.translate(Ipa(0x8000_1234)), Some(Pa(0x4020_1234)));
        assert_eq!(map.size(), 3 * M2);
    }

    #[test]
    fn neither_side_may_overlap() {
        let mut map = MemoryMap::new();
        map.insert(Ipa(0x4000_0000), Pa(0x5000_0000), 2 * M2).unwrap();
        for (ipa, pa) in [(0x4020_0000, 0x6000_0000), (0x7000_0000, 0x5020_0000)] {
            let (ipa, pa) = (Ipa(ipa), Pa(pa));
            assert_eq!(map.insert(ipa, pa, M2), Err(MapError::Overlap { ipa, pa }));
        }
        assert!(matches!(
            map.insert(Ipa(0x1000), Pa(0x6000_0000), M2),
            Err(MapError::Unaligned { .. })
        ));
        assert!(matches!(
            map.insert(Ipa(0u64.wrapping_sub(M2)), Pa(0), M2),
            Err(MapError::Wraps { .. })
        ));
        assert_eq!(map.extents().len(), 1);
    }

    #[test]
    fn the_ninth_extent_is_refused() {
        let mut map = MemoryMap::new();
        for n in 0..8 {
            map.insert(Ipa(n * 2 * M2), Pa(n * 2 * M2), M2).unwrap();
        }
        assert_eq!(map.insert(Ipa(64 * M2), Pa(64 * M2), M2), Err(MapError::Full));
    }
}
