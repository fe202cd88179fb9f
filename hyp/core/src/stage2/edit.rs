//! Changes to a VM's tables.
//!
//! Each change first finds out that it can be done, table frames included, and only then writes;
//! one that fails has written nothing. What was valid is never replaced by something else that is
//! valid: the entry is cleared, the TLBs are emptied, and only then it is written again (Arm ARM
//! DDI 0487, "Using break-before-make when updating translation table entries"). The page state
//! is the exception, since the hardware ignores its bits.

use arrayvec::ArrayVec;
use thiserror::Error;

use crate::addr::{Ipa, PAGE_SIZE, Pa};
use crate::ports::{TableMemory, Tlb};
use crate::stage2::descriptor::{self, Descriptor, EMPTY, GUARD_MARK, LeafEntry};
use crate::stage2::pool::{Purpose, TablePool};
use crate::stage2::walk::{Slot, Tables};
use crate::stage2::{Level, PageState};
use crate::sync::Ordering;

/// Why tables were not changed. Of which address it is, the caller knows.
///
/// As wide as an address, so that a result with one or the other is two registers, and the errors that
/// this one is part of are whole words.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum EditError {
    /// The address is above the IPA size.
    #[error("the address is above the VM's address space")]
    OutOfRange,
    /// An address or size is not a multiple of the page size.
    #[error("the address or its size is not a multiple of the page size")]
    Unaligned,
    /// Something is mapped or marked there.
    #[error("mapped or marked already")]
    Occupied,
    /// Nothing is mapped there, or not in the state that was expected.
    #[error("not mapped in the state that the change needs")]
    WrongState,
    /// The budget of table frames is used up.
    #[error("no table frame is left")]
    NoTables,
    /// An entry points to something that is no table of this VM.
    #[error("the tables above are damaged")]
    Damaged,
}

/// The right to change one VM's tables: lives as long as its writer lock is held.
pub struct Editor<'a, P> {
    pub(super) tables: Tables,
    pub(super) ports: &'a P,
    pub(super) pool: &'a mut TablePool,
}

impl<'a, P: TableMemory + Tlb> Editor<'a, P> {
    /// The right to change `tables`, with frames from `pool`. The caller holds their writer lock.
    #[must_use]
    pub const fn new(tables: Tables, ports: &'a P, pool: &'a mut TablePool) -> Self {
        Self { tables, ports, pool }
    }

    /// The lowest entry for `ipa`.
    pub(crate) fn slot(&self, ipa: Ipa) -> Result<Slot<'a>, EditError> {
        if !self.tables.geometry().contains(ipa) {
            return Err(EditError::OutOfRange);
        }
        self.tables.slot(self.ports, ipa).ok_or(EditError::Damaged)
    }

    /// Makes sure that there is a table of `level` above `ipa`, with nothing in it if it is new.
    ///
    /// # Errors
    ///
    /// Where a leaf is in the way or no frame is left.
    pub fn ensure_table(
        &mut self,
        ipa: Ipa,
        level: Level,
        purpose: Purpose,
    ) -> Result<(), EditError> {
        let slot = self.slot(ipa)?;
        if slot.level >= level {
            return Ok(());
        }
        if !slot.is_empty() {
            return Err(EditError::Occupied);
        }
        self.link(&slot, ipa, level, EMPTY, purpose)
    }

    /// Writes `value`, an entry of `level`, for `ipa` where nothing is yet.
    pub(super) fn place(
        &mut self,
        ipa: Ipa,
        level: Level,
        value: u64,
        purpose: Purpose,
    ) -> Result<(), EditError> {
        let slot = self.slot(ipa)?;
        if !slot.is_empty() || slot.level > level {
            return Err(EditError::Occupied);
        }
        self.link(&slot, ipa, level, value, purpose)
    }

    /// Stores `value` for `ipa` at `level`, building the tables between there and the empty
    /// `slot` from the bottom up; the one store into `slot` makes all of it visible.
    fn link(
        &mut self,
        slot: &Slot<'_>,
        ipa: Ipa,
        level: Level,
        value: u64,
        purpose: Purpose,
    ) -> Result<(), EditError> {
        let mut missing: ArrayVec<Level, 3> = ArrayVec::new();
        let mut below = slot.level;
        while below < level {
            below = below.next().ok_or(EditError::Damaged)?;
            missing.try_push(below).map_err(|_| EditError::Damaged)?;
        }
        if self.pool.room(purpose) < u64::try_from(missing.len()).unwrap_or(u64::MAX) {
            return Err(EditError::NoTables);
        }
        let mut value = value;
        for level in missing.into_iter().rev() {
            let (pa, table) = self.pool.take(self.ports, purpose).ok_or(EditError::NoTables)?;
            let entry = table.entry(level.index(ipa)).ok_or(EditError::Damaged)?;
            entry.store(value, Ordering::Relaxed);
            value = Descriptor::table(pa);
        }
        slot.entry.store(value, Ordering::Release);
        Ok(())
    }

    /// Maps one page or block of `level` at `ipa`, where nothing is yet.
    ///
    /// # Errors
    ///
    /// Where something is there already, an address is not a multiple of the leaf, or no frame is
    /// left.
    pub fn map_leaf(
        &mut self,
        ipa: Ipa,
        level: Level,
        leaf: LeafEntry,
        purpose: Purpose,
    ) -> Result<(), EditError> {
        if !ipa.is_aligned(level.size()) || !leaf.pa.is_aligned(level.size()) {
            return Err(EditError::Unaligned);
        }
        if !level.has_leaves() {
            return Err(EditError::WrongState);
        }
        self.place(ipa, level, leaf.encode(level), purpose)?;
        self.ports.publish();
        Ok(())
    }

    /// Replaces the block `leaf` in `slot` by a table of the next level that maps the same.
    pub(super) fn split(
        &mut self,
        slot: &Slot<'_>,
        ipa: Ipa,
        leaf: LeafEntry,
        purpose: Purpose,
    ) -> Result<(), EditError> {
        let below = slot.level.next().ok_or(EditError::WrongState)?;
        let (pa, table) = self.pool.take(self.ports, purpose).ok_or(EditError::NoTables)?;
        table.fill(|index| {
            let offset = u64::try_from(index).unwrap_or(0).wrapping_shl(below.shift());
            // The block is aligned to its size, so this is a sum.
            LeafEntry { pa: Pa(leaf.pa.0 | offset), ..leaf }.encode(below)
        });
        // Whoever faults on the gap finds memory whose leaf is not there, waits for the lock that
        // we hold, and then finds it mapped.
        slot.entry.store(EMPTY, Ordering::Release);
        let size = slot.level.size();
        self.ports.invalidate(self.tables.vmid(), slot.level.base(ipa), size, size);
        slot.entry.store(Descriptor::table(pa), Ordering::Release);
        self.ports.publish();
        Ok(())
    }

    /// The page entry for `ipa`, whose leaf must have the state `state`. A block is split down to it.
    #[inline(always)]
    fn page(&mut self, ipa: Ipa, state: PageState) -> Result<Slot<'a>, EditError> {
        loop {
            let slot = self.slot(ipa)?;
            if slot.level == Level::L3 && descriptor::is_page(slot.value, state) {
                return Ok(slot);
            }
            self.split_once(&slot, ipa, state)?;
        }
    }

    /// Splits the block `slot`, which must have the state `state`, if there are table frames to split
    /// it down to a page.
    #[cold]
    fn split_once(&mut self, slot: &Slot<'_>, ipa: Ipa, state: PageState) -> Result<(), EditError> {
        let leaf = match slot.descriptor() {
            Descriptor::Leaf(leaf) if leaf.state == state => leaf,
            _ => return Err(EditError::WrongState),
        };
        let levels = if slot.level == Level::L1 { 2 } else { 1 };
        if self.pool.room(Purpose::Memory) < levels {
            return Err(EditError::NoTables);
        }
        self.split(slot, ipa, leaf, Purpose::Memory)
    }

    /// Changes the state of the page at `ipa` from `from` to `to`.
    ///
    /// Only bits that the hardware ignores change, so no TLB has anything to forget.
    ///
    /// # Errors
    ///
    /// [`EditError::WrongState`] where the page is not mapped in state `from`;
    /// [`EditError::NoTables`] where no frame is left for the split.
    pub fn set_state(&mut self, ipa: Ipa, from: PageState, to: PageState) -> Result<(), EditError> {
        let slot = self.page(ipa, from)?;
        slot.entry.store(descriptor::with_state(slot.value, to), Ordering::Release);
        Ok(())
    }

    /// Unmaps the page at `ipa`, which must have the state `state`; answers where it lies. When
    /// this returns no CPU can reach it through this VM's tables any more.
    ///
    /// # Errors
    ///
    /// As for [`Editor::set_state`].
    pub fn take_page(&mut self, ipa: Ipa, state: PageState) -> Result<Pa, EditError> {
        let slot = self.page(ipa, state)?;
        slot.entry.store(EMPTY, Ordering::Release);
        self.ports.invalidate(self.tables.vmid(), ipa.page(), PAGE_SIZE, PAGE_SIZE);
        Ok(descriptor::address(slot.value))
    }

    /// Marks the page at `ipa`, where nothing is yet, as guarded.
    ///
    /// # Errors
    ///
    /// Where something is mapped or marked already, or no frame is left.
    pub fn mark(&mut self, ipa: Ipa) -> Result<(), EditError> {
        let slot = self.slot(ipa)?;
        self.mark_slot(&slot, ipa)
    }

    /// As [`Editor::mark`], in the `slot` that was found for `ipa`.
    pub(crate) fn mark_slot(&mut self, slot: &Slot<'_>, ipa: Ipa) -> Result<(), EditError> {
        if !slot.is_empty() {
            return Err(EditError::Occupied);
        }
        // No walker ever caches the mark; only tables that are new must be seen.
        if slot.level == Level::L3 {
            slot.entry.store(GUARD_MARK, Ordering::Release);
            return Ok(());
        }
        self.link(slot, ipa, Level::L3, GUARD_MARK, Purpose::Marks)?;
        self.ports.publish();
        Ok(())
    }

    /// Takes the mark from the page at `ipa`. The table stays.
    ///
    /// # Errors
    ///
    /// [`EditError::WrongState`] where there is no mark.
    pub fn clear_mark(&self, ipa: Ipa) -> Result<(), EditError> {
        let slot = self.slot(ipa)?;
        let is_cleared = slot.is_guarded() && slot.clear_mark();
        if is_cleared { Ok(()) } else { Err(EditError::WrongState) }
    }
}
