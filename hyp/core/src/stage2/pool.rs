//! The table frames of one VM: reserved when it is made, taken one after the other, given back
//! only all at once when the VM is stopped.
//!
//! Two budgets keep a guest that guards without end from using up what its own memory needs.

use crate::addr::{PAGE_SIZE, Pa};
use crate::memory::PaRange;
use crate::ports::{Table, TableMemory};

/// What a table frame is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Tables over the VM's own memory.
    Memory,
    /// Tables over everything else: marks and assigned devices.
    Marks,
}

/// Table frames that are free and in use.
#[derive(Debug)]
pub struct TablePool {
    frames: PaRange,
    taken: u64,
    memory: Budget,
    marks: Budget,
}

#[derive(Debug)]
struct Budget {
    limit: u64,
    used: u64,
}

impl Budget {
    const fn room(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

impl TablePool {
    /// A pool of `frames` whose budgets are given in frames. Their sum is at most what there is.
    #[must_use]
    pub const fn new(frames: PaRange, memory: u64, marks: u64) -> Self {
        Self {
            frames,
            taken: 0,
            memory: Budget { limit: memory, used: 0 },
            marks: Budget { limit: marks, used: 0 },
        }
    }

    /// Takes everything back. Nothing may point to any of the frames, in memory or in a TLB.
    pub const fn reset(&mut self) {
        self.taken = 0;
        self.memory.used = 0;
        self.marks.used = 0;
    }

    /// How many frames can be taken for `purpose`: [`TablePool::take`] succeeds that often.
    #[must_use]
    pub fn room(&self, purpose: Purpose) -> u64 {
        let there = (self.frames.size() / PAGE_SIZE).saturating_sub(self.taken);
        let budget = match purpose {
            Purpose::Memory => &self.memory,
            Purpose::Marks => &self.marks,
        };
        budget.room().min(there)
    }

    /// A frame, its 512 entries empty.
    pub fn take<'t>(
        &mut self,
        memory: &'t impl TableMemory,
        purpose: Purpose,
    ) -> Option<(Pa, &'t Table)> {
        if self.room(purpose) == 0 {
            return None;
        }
        let pa = self.frames.base().checked_add(self.taken.checked_mul(PAGE_SIZE)?)?;
        let table = memory.table(pa)?;
        table.clear();
        self.taken = self.taken.saturating_add(1);
        let budget = match purpose {
            Purpose::Memory => &mut self.memory,
            Purpose::Marks => &mut self.marks,
        };
        budget.used = budget.used.saturating_add(1);
        Some((pa, table))
    }

    /// Frames in use: for memory, for marks.
    #[must_use]
    pub const fn used(&self) -> (u64, u64) {
        (self.memory.used, self.marks.used)
    }

    /// Leaves `frames` to be taken and no more.
    #[cfg(test)]
    pub(crate) fn leave(&mut self, frames: u64) {
        let size = (self.taken + frames) * PAGE_SIZE;
        self.frames = PaRange::new(self.frames.base(), size).unwrap();
    }
}
