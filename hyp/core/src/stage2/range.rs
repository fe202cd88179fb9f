//! Changes to whole ranges: blocks where they fit, splits at the borders.

use arrayvec::ArrayVec;

use crate::addr::{Ipa, PAGE_SIZE, Pa};
use crate::memory::IpaRange;
use crate::ports::{TableMemory, Tlb};
use crate::stage2::descriptor::{Descriptor, EMPTY};
use crate::stage2::{Attributes, EditError, Editor, LeafEntry, Level, PageState, Purpose, Tables};
use crate::sync::Ordering;

impl<'a, P: TableMemory + Tlb> Editor<'a, P> {
    /// Maps `range` to `pa` on, with the largest leaves that fit, where nothing is yet.
    ///
    /// # Errors
    ///
    /// Where something is there already, an address is not a multiple of the page size or above
    /// the IPA size, or frames are too few.
    pub fn map(
        &mut self,
        range: IpaRange,
        pa: Pa,
        attributes: Attributes,
        state: PageState,
        purpose: Purpose,
    ) -> Result<(), EditError> {
        if !range.is_aligned(PAGE_SIZE) || !pa.is_aligned(PAGE_SIZE) {
            return Err(EditError::Unaligned);
        }
        if range.is_empty() {
            return Ok(());
        }
        self.check_tables(range, pa, purpose)?;
        for piece in self.pieces(range, pa) {
            let Piece { ipa, pa, level } = piece?;
            let leaf = LeafEntry { pa, attributes, state };
            self.place(ipa, level, leaf.encode(level), purpose)?;
        }
        self.ports.publish();
        Ok(())
    }

    /// Cuts `range` into the largest leaves that alignment and the tables there are allow.
    fn pieces(
        &self,
        range: IpaRange,
        pa: Pa,
    ) -> impl Iterator<Item = Result<Piece, EditError>> + use<'a, P> {
        let tables = self.tables;
        let ports = self.ports;
        let mut next = Some((range, pa));
        core::iter::from_fn(move || {
            let (range, pa) = next.take().filter(|(range, _)| !range.is_empty())?;
            let ipa = range.base();
            if !tables.geometry().contains(ipa) {
                return Some(Err(EditError::OutOfRange));
            }
            let Some(slot) = tables.slot(ports, ipa) else {
                return Some(Err(EditError::Damaged));
            };
            if !slot.is_empty() {
                return Some(Err(EditError::Occupied));
            }
            let fits = |level: &Level| {
                *level >= slot.level
                    && ipa.is_aligned(level.size())
                    && pa.is_aligned(level.size())
                    && range.size() >= level.size()
            };
            let level = [Level::L1, Level::L2].into_iter().find(fits).unwrap_or(Level::L3);
            let rest = IpaRange::between(ipa.checked_add(level.size())?, range.end());
            next = pa.checked_add(level.size()).map(|pa| (rest, pa));
            Some(Ok(Piece { ipa, pa, level }))
        })
    }

    /// Makes sure that nothing is in the way of mapping `range`, and that there are frames enough.
    fn check_tables(&self, range: IpaRange, pa: Pa, purpose: Purpose) -> Result<(), EditError> {
        let mut room = self.pool.room(purpose);
        // The last table counted at each level below the root: pieces come in order, so a table
        // that was counted is counted no second time.
        let mut counted: [(Level, Option<Ipa>); 3] =
            [(Level::L0, None), (Level::L1, None), (Level::L2, None)];
        for piece in self.pieces(range, pa) {
            let Piece { ipa, level, .. } = piece?;
            let slot = self.slot(ipa)?;
            for (parent, last) in &mut counted {
                if *parent < slot.level || *parent >= level {
                    continue;
                }
                let table = Some(parent.base(ipa));
                if *last != table {
                    *last = table;
                    room = room.checked_sub(1).ok_or(EditError::NoTables)?;
                }
            }
        }
        Ok(())
    }

    /// Unmaps every page of `range` that is mapped; marks stay. Blocks at its borders are split,
    /// with frames of `purpose`.
    ///
    /// # Errors
    ///
    /// Where a border is not a multiple of the page size or above the IPA size, or frames for the
    /// splits are too few.
    pub fn unmap(&mut self, range: IpaRange, purpose: Purpose) -> Result<(), EditError> {
        let base = range.base();
        if !range.is_aligned(PAGE_SIZE) {
            return Err(EditError::Unaligned);
        }
        if range.is_empty() {
            return Ok(());
        }
        let Some(last) = range.end().0.checked_sub(1).map(Ipa) else { return Ok(()) };
        if !self.tables.geometry().contains(last) {
            return Err(EditError::OutOfRange);
        }
        let needed = self.count_splits(range)?;
        if self.pool.room(purpose) < needed {
            return Err(EditError::NoTables);
        }
        for border in [base, range.end()] {
            self.split_at(border, purpose)?;
        }
        let mut run = InvalidateRun::default();
        let mut ipa = base;
        while ipa < range.end() {
            let slot = self.slot(ipa)?;
            if let Descriptor::Leaf(_) = slot.descriptor() {
                slot.entry.store(EMPTY, Ordering::Release);
                run.add(&self.tables, self.ports, ipa, slot.level.size());
            }
            let Some(next) = slot.level.base(ipa).checked_add(slot.level.size()) else { break };
            ipa = next;
        }
        run.finish(&self.tables, self.ports);
        Ok(())
    }

    /// How many splits make the borders of `range` fall between leaves.
    fn count_splits(&self, range: IpaRange) -> Result<u64, EditError> {
        let mut blocks: ArrayVec<(Level, Ipa), 4> = ArrayVec::new();
        for border in [range.base(), range.end()] {
            if !self.tables.geometry().contains(border) {
                continue;
            }
            let slot = self.slot(border)?;
            if !slot.is_leaf() {
                continue;
            }
            for level in [Level::L1, Level::L2] {
                let block = (level, level.base(border));
                if level >= slot.level && block.1 != border && !blocks.contains(&block) {
                    blocks.try_push(block).map_err(|_| EditError::Damaged)?;
                }
            }
        }
        u64::try_from(blocks.len()).map_err(|_| EditError::Damaged)
    }

    /// Splits the block around `border`, if any, until a leaf begins there.
    fn split_at(&mut self, border: Ipa, purpose: Purpose) -> Result<(), EditError> {
        while self.tables.geometry().contains(border) {
            let slot = self.slot(border)?;
            match slot.descriptor() {
                Descriptor::Leaf(leaf) if slot.level.base(border) != border => {
                    self.split(&slot, border, leaf, purpose)?;
                }
                _ => break,
            }
        }
        Ok(())
    }
}

/// From more leaves than this on, forgetting everything is less work.
const MAX_SINGLE: u64 = 512;

/// One leaf to be written.
struct Piece {
    ipa: Ipa,
    pa: Pa,
    level: Level,
}

/// Entries next to each other and of one size that were cleared and must leave the TLBs.
#[derive(Default)]
struct InvalidateRun {
    pending: Option<(Ipa, u64, u64)>,
}

impl InvalidateRun {
    fn add(&mut self, tables: &Tables, tlb: &impl Tlb, ipa: Ipa, leaf: u64) {
        match &mut self.pending {
            Some((start, bytes, size))
                if *size == leaf && start.checked_add(*bytes) == Some(ipa) =>
            {
                *bytes = bytes.saturating_add(leaf);
            }
            _ => {
                self.finish(tables, tlb);
                self.pending = Some((ipa, leaf, leaf));
            }
        }
    }

    fn finish(&mut self, tables: &Tables, tlb: &impl Tlb) {
        if let Some((start, bytes, leaf)) = self.pending.take() {
            if bytes.checked_div(leaf).is_none_or(|leaves| leaves > MAX_SINGLE) {
                tlb.invalidate_vmid(tables.vmid());
            } else {
                tlb.invalidate(tables.vmid(), start, bytes, leaf);
            }
        }
    }
}
