//! Physical memory that nobody has taken yet: what the firmware's tree offers less what is
//! reserved, given away at boot in whole extents.

use arrayvec::ArrayVec;
use thiserror::Error;

use crate::addr::{PAGE_SIZE, Pa};
use crate::memory::PaRange;

/// The most pieces free memory may be in.
pub const MAX_FREE: usize = 64;

/// Why memory cannot be added, reserved or allocated.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum PhysicalError {
    /// Free memory would be in more than [`MAX_FREE`] pieces.
    #[error("memory at {0} leaves free memory in more than {MAX_FREE} pieces")]
    TooManyPieces(PaRange),
    /// No free piece is large enough.
    #[error(
        "no free memory of {size:#x} bytes aligned to {align:#x}; the largest piece has {largest:#x}"
    )]
    NoMemory {
        /// Bytes asked for.
        size: u64,
        /// Alignment asked for.
        align: u64,
        /// Bytes in the largest piece.
        largest: u64,
    },
}

/// The free pieces of physical memory, sorted, apart from each other, in whole pages.
#[derive(Debug, Default)]
pub struct FreeMemory {
    pieces: ArrayVec<PaRange, MAX_FREE>,
}

impl FreeMemory {
    /// No memory at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a bank of memory. Pages it shares with what is free already count once; a page that
    /// it covers in part is left out.
    ///
    /// # Errors
    ///
    /// [`PhysicalError::TooManyPieces`]; nothing is changed then.
    pub fn add(&mut self, bank: PaRange) -> Result<(), PhysicalError> {
        let Some(bank) = inner_pages(bank) else { return Ok(()) };
        let mut base = bank.base();
        let mut end = bank.end();
        let mut pieces: ArrayVec<PaRange, MAX_FREE> = ArrayVec::new();
        for piece in &self.pieces {
            // Pieces that touch or overlap the bank become one with it.
            if piece.end() >= base && piece.base() <= end {
                base = base.min(piece.base());
                end = end.max(piece.end());
            } else {
                // As many fit as there were before.
                let _full = pieces.try_push(*piece);
            }
        }
        let merged = PaRange::between(base, end);
        let place = pieces.partition_point(|piece| piece.base() < merged.base());
        pieces.try_insert(place, merged).map_err(|_| PhysicalError::TooManyPieces(bank))?;
        self.pieces = pieces;
        Ok(())
    }

    /// Takes out each page that `range` touches, free or not.
    ///
    /// # Errors
    ///
    /// [`PhysicalError::TooManyPieces`]; nothing is changed then.
    pub fn reserve(&mut self, range: PaRange) -> Result<(), PhysicalError> {
        if range.is_empty() {
            return Ok(());
        }
        let hole =
            range.to_pages().unwrap_or_else(|| PaRange::between(range.base().page(), Pa(u64::MAX)));
        let mut pieces: ArrayVec<PaRange, MAX_FREE> = ArrayVec::new();
        for piece in &self.pieces {
            let below = PaRange::between(piece.base(), piece.end().min(hole.base()));
            let above = PaRange::between(piece.base().max(hole.end()), piece.end());
            let parts = if piece.overlaps(hole) {
                [Some(below), Some(above)]
            } else {
                [Some(*piece), None]
            };
            for part in parts.into_iter().flatten().filter(|part| !part.is_empty()) {
                pieces.try_push(part).map_err(|_| PhysicalError::TooManyPieces(range))?;
            }
        }
        self.pieces = pieces;
        Ok(())
    }

    /// Takes `size` bytes, rounded up to pages, at a multiple of `align` (a power of two) from
    /// the top of the smallest piece that has them, so that large pieces stay large.
    ///
    /// # Errors
    ///
    /// [`PhysicalError::NoMemory`], or [`PhysicalError::TooManyPieces`] where the cut would make
    /// one piece too many.
    pub fn allocate(&mut self, size: u64, align: u64) -> Result<PaRange, PhysicalError> {
        let none = PhysicalError::NoMemory { size, align, largest: self.largest() };
        let align = align.max(PAGE_SIZE);
        let bytes = size.max(1).checked_next_multiple_of(PAGE_SIZE).ok_or(none)?;
        let fit = |piece: &PaRange| {
            let base = Pa(piece.end().0.checked_sub(bytes)? & !align.wrapping_sub(1));
            (base >= piece.base()).then_some((piece.size(), base))
        };
        let (_, base) = self.pieces.iter().filter_map(fit).min().ok_or(none)?;
        let taken = PaRange::new(base, bytes).ok_or(none)?;
        self.reserve(taken)?;
        Ok(taken)
    }

    /// The free pieces, from the lowest.
    #[must_use]
    pub fn pieces(&self) -> &[PaRange] {
        &self.pieces
    }

    /// Bytes in the largest piece.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.size()).max().unwrap_or(0)
    }

    /// Bytes in all pieces.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.pieces.iter().fold(0, |sum, piece| piece.size().saturating_add(sum))
    }
}

/// The whole pages within `range`.
fn inner_pages(range: PaRange) -> Option<PaRange> {
    let base = Pa(range.base().0.checked_next_multiple_of(PAGE_SIZE)?);
    let pages = PaRange::between(base, range.end().page());
    (!pages.is_empty()).then_some(pages)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn pages(first: u64, count: u64) -> PaRange {
        PaRange::new(Pa(first * PAGE_SIZE), count * PAGE_SIZE).unwrap()
    }

    fn free_pages(free: &FreeMemory) -> BTreeSet<u64> {
        let mut set = BTreeSet::new();
        let mut last_end = None;
        for piece in free.pieces() {
            assert!(piece.is_aligned(PAGE_SIZE) && !piece.is_empty());
            assert!(last_end < Some(piece.base()), "pieces are sorted and apart");
            last_end = Some(piece.end());
            set.extend(piece.base().0 / PAGE_SIZE..piece.end().0 / PAGE_SIZE);
        }
        set
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_set_of_pages(
            steps in proptest::collection::vec((0u8..3, 0u64..200, 0u64..40), 1..40),
        ) {
            let mut free = FreeMemory::new();
            let mut model = BTreeSet::new();
            for (step, first, count) in steps {
                match step {
                    0 => {
                        free.add(pages(first, count)).unwrap();
                        model.extend(first..first + count);
                    }
                    1 => {
                        free.reserve(pages(first, count)).unwrap();
                        model.retain(|page| !(first..first + count).contains(page));
                    }
                    _ => {
                        let align = 1 << (first % 4);
                        let size = count.max(1);
                        let fits = (0..256).step_by(align).any(|base| {
                            (base..base + size).all(|page| model.contains(&page))
                        });
                        let got = free.allocate(count * PAGE_SIZE, align as u64 * PAGE_SIZE);
                        prop_assert_eq!(got.is_ok(), fits);
                        if let Ok(range) = got {
                            prop_assert!(range.base().is_aligned(align as u64 * PAGE_SIZE));
                            let first = range.base().0 / PAGE_SIZE;
                            for page in first..range.end().0 / PAGE_SIZE {
                                prop_assert!(model.remove(&page));
                            }
                        }
                    }
                }
                prop_assert_eq!(free_pages(&free), model.clone());
            }
        }
    }

    #[test]
    fn parts_of_pages_are_never_given_away() {
        let mut free = FreeMemory::new();
        free.add(PaRange::new(Pa(0x1800), 0x3000).unwrap()).unwrap();
        assert_eq!(free.pieces(), [pages(2, 2)]);
        free.reserve(PaRange::new(Pa(0x2fff), 2).unwrap()).unwrap();
        assert_eq!(free.total(), 0);
        assert!(matches!(free.allocate(1, 1), Err(PhysicalError::NoMemory { largest: 0, .. })));
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let mut free = FreeMemory::new();
        for n in 0..MAX_FREE as u64 {
            free.add(pages(4 * n, 3)).unwrap();
        }
        let before: Vec<_> = free.pieces().to_vec();
        assert!(free.add(pages(1000, 1)).is_err());
        assert!(free.reserve(pages(1, 1)).is_err());
        assert_eq!(free.pieces(), before);
    }
}
