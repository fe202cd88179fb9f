//! Memory that comes into being when it is touched.
//!
//! A 2 MiB block is zeroed, cleaned and then mapped. That is long for a CPU with its interrupts
//! masked, so the work stops after a piece when an interrupt waits; the guest takes the interrupt
//! and comes back for the rest. The block is claimed meanwhile and zeroed without the lock: other
//! vCPUs go on with other blocks, and one that needs this block takes over if its claimant has
//! gone away.

use thiserror::Error;

use crate::addr::{BLOCK_2M, Ipa, PAGE_SIZE, Pa};
use crate::memory::space::{AddressSpace, Writer};
use crate::ports::Ports;
use crate::stage2::{
    Attributes, EditError, Editor, Leaf, LeafEntry, Level, Mapping, PageState, Purpose,
};
use crate::sync::Relax;
use spin::RelaxStrategy;

/// Bytes zeroed between two looks at the interrupts.
const PIECE: u64 = 64 << 10;

/// How far populating got. In each case the guest executes its instruction again; what differs is
/// what must happen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Populated {
    /// The page is mapped.
    Mapped,
    /// Another vCPU is at work on it.
    Busy,
    /// An interrupt waits; the rest follows when the guest comes back.
    Interrupted,
}

/// Why memory cannot be populated, read or written.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum MemoryError {
    /// The VM has no memory there.
    #[error("not the VM's memory")]
    NotMemory,
    /// Nothing has touched the memory yet.
    #[error("not populated")]
    NotPopulated,
    /// The tables refused. No guest can bring that about.
    #[error("{0}")]
    Edit(#[from] EditError),
}

/// A block of memory that this CPU is to zero and map.
struct Block {
    ipa: Ipa,
    pa: Pa,
    /// Bytes zeroed, by whoever.
    done: u64,
}

/// What came of an attempt to claim the block around an address.
enum Claimed {
    /// It is this CPU's.
    Block(Block),
    /// Nothing is to do here.
    Not(Populated),
}

const fn ram(pa: Pa) -> LeafEntry {
    LeafEntry { pa, attributes: Attributes::RAM, state: PageState::Owned }
}

impl<P: Ports> AddressSpace<P> {
    /// Makes sure that the memory at `ipa` is mapped, zeroed if it was not.
    ///
    /// `interrupted` says whether an interrupt waits for this CPU. It is asked after each 64 KiB;
    /// each call makes at least that much progress.
    ///
    /// # Errors
    ///
    /// [`MemoryError::NotMemory`] where the VM has no memory.
    pub fn populate(
        &self,
        ipa: Ipa,
        mut interrupted: impl FnMut() -> bool,
    ) -> Result<Populated, MemoryError> {
        let mut block = match self.claim(ipa)? {
            Claimed::Block(block) => block,
            Claimed::Not(answer) => return Ok(answer),
        };
        loop {
            if let Some(answer) = self.go_on(&mut block)? {
                return Ok(answer);
            }
            if interrupted() {
                self.set_aside(&block);
                return Ok(Populated::Interrupted);
            }
        }
    }

    /// Begins to populate at `ipa`; done with at once where there are pages already.
    #[inline(never)]
    fn claim(&self, ipa: Ipa) -> Result<Claimed, MemoryError> {
        let memory = &self.layout.memory;
        let pa = memory.translate(ipa).ok_or(MemoryError::NotMemory)?;
        let block = Level::L2.base(ipa);
        let mut writer = self.write();
        let Writer { pool, claims } = &mut *writer;
        let mut editor = Editor::new(self.tables, &self.ports, pool);
        let slot = editor.slot(ipa)?;
        if slot.is_leaf() {
            return Ok(Claimed::Not(Populated::Mapped));
        }
        if slot.level == Level::L3 {
            self.ports.zero(pa.page(), PAGE_SIZE);
            self.ports.synchronize_fetches();
            editor.map_leaf(ipa.page(), Level::L3, ram(pa.page()), Purpose::Memory)?;
            return Ok(Claimed::Not(Populated::Mapped));
        }
        let start = memory.translate(block).ok_or(MemoryError::NotMemory)?;
        let Some(done) = claims.claim(block) else {
            drop(writer);
            Relax::relax();
            return Ok(Claimed::Not(Populated::Busy));
        };
        Ok(Claimed::Block(Block { ipa: block, pa: start, done }))
    }

    /// Zeroes the next piece of `block`, and maps it after the last.
    #[inline(never)]
    fn go_on(&self, block: &mut Block) -> Result<Option<Populated>, MemoryError> {
        self.ports.zero(Pa(block.pa.0.saturating_add(block.done)), PIECE);
        block.done = block.done.saturating_add(PIECE);
        if block.done < BLOCK_2M {
            return Ok(None);
        }
        self.ports.synchronize_fetches();
        let mut writer = self.write();
        let Writer { pool, claims } = &mut *writer;
        claims.finish(block.ipa);
        let mut editor = Editor::new(self.tables, &self.ports, pool);
        editor.map_leaf(block.ipa, Level::L2, ram(block.pa), Purpose::Memory)?;
        Ok(Some(Populated::Mapped))
    }

    /// Leaves what is left of `block` to whoever claims it next.
    #[inline(never)]
    fn set_aside(&self, block: &Block) {
        self.write().claims.pause(block.ipa, block.done);
    }

    /// Writes `data` into the VM's memory at `ipa`, populating what it touches: payload at the
    /// start and after a reset. Only while no vCPU of the VM runs.
    ///
    /// # Errors
    ///
    /// [`MemoryError::NotMemory`] where a byte is not memory; what lies before it has been written.
    pub fn load(&self, ipa: Ipa, data: &[u8]) -> Result<(), MemoryError> {
        let mut ipa = ipa;
        let mut data = data;
        let mut writer = self.write();
        while !data.is_empty() {
            let Writer { pool, claims } = &mut *writer;
            let mut editor = Editor::new(self.tables, &self.ports, pool);
            let pa = self.layout.memory.translate(ipa).ok_or(MemoryError::NotMemory)?;
            let slot = editor.slot(ipa)?;
            // Whole blocks, but for a block that has been split.
            let unit = if slot.level == Level::L3 { Level::L3 } else { Level::L2 };
            let offset = ipa.0 & unit.size().saturating_sub(1);
            let (part, rest) = split(data, unit.size().saturating_sub(offset));
            let bytes = u64::try_from(part.len()).unwrap_or(u64::MAX);
            let base = Pa(pa.0.saturating_sub(offset));
            if slot.is_leaf() {
                self.ports.write(pa, part);
                self.ports.synchronize_fetches();
            } else {
                claims.finish(unit.base(ipa));
                self.zero_around(base, unit.size(), offset, bytes);
                self.ports.write(pa, part);
                self.ports.synchronize_fetches();
                editor.map_leaf(unit.base(ipa), unit, ram(base), Purpose::Memory)?;
            }
            data = rest;
            // At the end of the last part this may wrap, and is not looked at again.
            ipa = Ipa(ipa.0.wrapping_add(bytes));
        }
        Ok(())
    }

    /// Zeroes the pages of `size` bytes at `base` that `bytes` at `offset` do not fill.
    fn zero_around(&self, base: Pa, size: u64, offset: u64, bytes: u64) {
        let in_page = PAGE_SIZE.saturating_sub(1);
        let head = offset.saturating_add(in_page) & !in_page;
        let filled = offset.saturating_add(bytes) & !in_page;
        let tail = filled.max(head);
        for (from, to) in [(0, head), (tail, size)] {
            if from < to {
                self.ports.zero(Pa(base.0.saturating_add(from)), to.saturating_sub(from));
            }
        }
    }

    /// Reads the VM's memory at `ipa` into `buffer`.
    ///
    /// # Errors
    ///
    /// Where a page is not memory or not populated. The buffer's contents mean nothing then.
    pub fn read(&self, ipa: Ipa, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let mut ipa = ipa;
        let mut buffer = buffer;
        while !buffer.is_empty() {
            if !self.is_memory(ipa) {
                return Err(MemoryError::NotMemory);
            }
            let Leaf::Valid(Mapping { pa, .. }) = self.lookup(ipa) else {
                return Err(MemoryError::NotPopulated);
            };
            let room = PAGE_SIZE.saturating_sub(ipa.page_offset());
            let bytes = usize::try_from(room).unwrap_or(usize::MAX).min(buffer.len());
            let (part, rest) = buffer.split_at_mut_checked(bytes).unwrap_or_default();
            self.ports.read(pa, part);
            buffer = rest;
            ipa = Ipa(ipa.0.wrapping_add(u64::try_from(bytes).unwrap_or(0)));
        }
        Ok(())
    }
}

fn split(data: &[u8], at: u64) -> (&[u8], &[u8]) {
    let at = usize::try_from(at).unwrap_or(usize::MAX).min(data.len());
    data.split_at_checked(at).unwrap_or((data, &[]))
}
