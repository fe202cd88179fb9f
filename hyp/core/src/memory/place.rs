//! Finds physical memory for a VM's RAM.

use thiserror::Error;

use crate::addr::{BLOCK_2M, Ipa};
use crate::memory::{FreeMemory, IpaRange, MapError, MemoryMap, PhysicalError};

/// Why a VM's RAM cannot be placed.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum PlaceError {
    /// There is not enough memory, or not in few enough pieces.
    #[error(
        "its memory needs {need} MiB more than the machine has free in usable pieces ({free} MiB \
         in all): give the VM less (--mem) or the machine more (--ram)"
    )]
    NoMemory {
        /// MiB that found no place.
        need: u64,
        /// MiB free before.
        free: u64,
    },
    /// The ranges are impossible as a memory map.
    #[error("{0}")]
    Map(#[from] MapError),
}

/// Takes memory for `ranges` (whole 2 MiB blocks) out of `free`: each in one piece if there is
/// one, else in the largest pieces there are.
///
/// # Errors
///
/// Where memory does not suffice or the ranges overlap. `free` may be smaller then.
#[inline(never)]
pub fn place_memory(ranges: &[IpaRange], free: &mut FreeMemory) -> Result<MemoryMap, PlaceError> {
    let mut map = MemoryMap::new();
    let before = free.total();
    for range in ranges {
        let mut ipa = range.base();
        while ipa < range.end() {
            let rest = range.end().checked_sub(ipa).unwrap_or(0);
            let none = PlaceError::NoMemory { need: rest >> 20, free: before >> 20 };
            let piece = take(free, rest).ok_or(none)?;
            map.insert(ipa, piece.0, piece.1)?;
            ipa = Ipa(ipa.0.saturating_add(piece.1));
        }
    }
    Ok(map)
}

/// Up to `bytes` bytes in whole blocks: where they lie and how many.
fn take(free: &mut FreeMemory, bytes: u64) -> Option<(crate::addr::Pa, u64)> {
    // A whole block is lost at most to alignment, so a second try with that much less finds
    // what the largest piece can give.
    let largest = free.largest() & !BLOCK_2M.wrapping_sub(1);
    for size in [bytes, largest.min(bytes), largest.saturating_sub(BLOCK_2M).min(bytes)] {
        if size == 0 {
            continue;
        }
        match free.allocate(size, BLOCK_2M) {
            Ok(range) => return Some((range.base(), size)),
            Err(PhysicalError::NoMemory { .. }) => {}
            Err(PhysicalError::TooManyPieces(_)) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Pa;
    use crate::memory::PaRange;

    const M: u64 = 1 << 20;

    fn free(pieces: &[(u64, u64)]) -> FreeMemory {
        let mut free = FreeMemory::new();
        for &(base, size) in pieces {
            free.add(PaRange::new(Pa(base), size).unwrap()).unwrap();
        }
        free
    }

    fn ram(size: u64) -> IpaRange {
        IpaRange::new(Ipa(0x4000_0000), size).unwrap()
    }

    #[test]
    fn one_piece_where_there_is_one() {
        let mut free = free(&[(0x1000, 64 * M), (0x1_0000_0000, 512 * M)]);
        let map = place_memory(&[ram(256 * M)], &mut free).unwrap();
        assert_eq!(map.extents().len(), 1);
        assert_eq!(map.size(), 256 * M);
    }

    #[test]
    fn several_pieces_where_there_is_none() {
        let mut free = free(&[(0x10_0000, 65 * M), (0x1_0000_1000, 66 * M)]);
        let map = place_memory(&[ram(100 * M)], &mut free).unwrap();
        assert!(map.extents().len() > 1);
        assert_eq!(map.size(), 100 * M);
        for extent in map.extents() {
            assert!(extent.pa().is_aligned(BLOCK_2M));
        }
    }

    /// EL2's windows and stage 2 map guest memory in blocks: none may hold what is not the guest's.
    #[test]
    fn no_block_has_a_reserved_page() {
        let mut free = free(&[(0, 64 * M)]);
        let reserved: [u64; 4] = [3 * M, 7 * M + 0x1000, 16 * M, 40 * M - 0x1000];
        for page in reserved {
            free.reserve(PaRange::new(Pa(page), 0x1000).unwrap()).unwrap();
        }
        // All blocks but the four that are touched.
        let map = place_memory(&[ram(56 * M)], &mut free).unwrap();
        for extent in map.extents() {
            assert!(
                extent.pa().is_aligned(BLOCK_2M) && extent.ipa().size().is_multiple_of(BLOCK_2M)
            );
            let taken = PaRange::new(extent.pa(), extent.ipa().size()).unwrap();
            assert!(reserved.iter().all(|page| !taken.contains(Pa(*page))), "{taken}");
        }
        assert!(place_memory(&[ram(2 * M)], &mut free).is_err());
    }

    #[test]
    fn too_little_memory_says_how_much_is_missing() {
        let mut free = free(&[(0, 64 * M)]);
        let error = place_memory(&[ram(128 * M)], &mut free).unwrap_err();
        assert_eq!(error, PlaceError::NoMemory { need: 64, free: 64 });
    }
}
