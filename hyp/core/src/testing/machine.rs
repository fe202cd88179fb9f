//! A machine made of host memory that watches what is done to it.
//!
//! At each operation of a port it compares all tables that a walker could reach with how they were
//! at the operation before. So it sees what an emulator forgives: an entry replaced without a
//! break, memory touched while a TLB may still hold its page, a page made executable before the
//! instruction caches were told.

use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use core::sync::atomic::Ordering;

use crate::addr::{Ipa, PAGE_SIZE, Pa};
use crate::memory::PaRange;
use crate::ports::{GuestMemory, TABLE_ENTRIES, Table, TableMemory, Tlb};
use crate::stage2::Vmid;

/// What was asked of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// [`Tlb::publish`].
    Publish,
    /// [`Tlb::invalidate`].
    Invalidate {
        /// The first address.
        ipa: Ipa,
        /// How many bytes.
        bytes: u64,
        /// Bytes that one entry covered.
        leaf: u64,
    },
    /// [`Tlb::invalidate_vmid`].
    InvalidateVmid,
    /// [`GuestMemory::zero`].
    Zero {
        /// The first address.
        pa: Pa,
        /// How many bytes.
        bytes: u64,
    },
    /// [`GuestMemory::write`].
    Write {
        /// The first address.
        pa: Pa,
        /// How many bytes.
        bytes: u64,
    },
    /// [`GuestMemory::synchronize_fetches`].
    SynchronizeFetches,
}

/// What every byte holds before anything was written.
pub(crate) const LEFTOVER: u8 = 0xa5;
/// Bits of a valid entry that the hardware ignores and software may change at any time.
const SOFTWARE: u64 = 0xf << 55;

type Page = [u8; 4096];

/// An entry that a walker can reach and that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The first address that it translates.
    pub ipa: u64,
    /// The level of its table.
    pub level: u32,
    /// The descriptor.
    pub value: u64,
}

/// All such entries, by address and then level: the order in which a walk meets them.
type Snapshot = Vec<Entry>;

impl Entry {
    /// Where a valid leaf points.
    fn leaf_pa(&self) -> Option<u64> {
        let leaf = self.value & 1 == 1 && (self.level == 3 || self.value & 2 == 0);
        leaf.then_some(self.value & 0x0000_ffff_ffff_f000)
    }
}

#[derive(Debug)]
struct Stale {
    ipa: u64,
    size: u64,
    pa: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    root: Option<Root>,
    pages: BTreeMap<u64, Option<Box<Page>>>,
    seen: Snapshot,
    stale: Vec<Stale>,
    unpublished: bool,
    unsynchronized: BTreeSet<u64>,
    ops: Vec<Op>,
}

#[derive(Debug, Clone, Copy)]
struct Root {
    base: u64,
    ipa_bits: u32,
    start: u32,
    vmid: Vmid,
}

/// The machine. Its table frames lie at [`FakeMachine::TABLES`].
#[derive(Debug)]
pub struct FakeMachine {
    tables: Vec<Table>,
    state: Mutex<State>,
}

impl FakeMachine {
    /// Where the table frames lie.
    pub const TABLES: u64 = 0x7_0000_0000;

    /// A machine with `bytes` of table frames, full of leftovers.
    pub fn new(bytes: u64) -> Self {
        let tables: Vec<Table> = (0..bytes / PAGE_SIZE).map(|_| Table::new()).collect();
        for table in &tables {
            table.fill(|index| 0xa5a5_a5a5_a5a5_a5a5 ^ index as u64);
        }
        Self { tables, state: Mutex::default() }
    }

    /// The table frames.
    pub fn frames(&self) -> PaRange {
        PaRange::new(Pa(Self::TABLES), self.tables.len() as u64 * PAGE_SIZE).unwrap()
    }

    /// Watches the tables at `root`, of `ipa_bits` and beginning at level `start`.
    pub fn watch(&self, root: Pa, ipa_bits: u32, start: u32, vmid: Vmid) {
        let mut state = self.state();
        state.root = Some(Root { base: root.0, ipa_bits, start, vmid });
        state.seen = self.snapshot(&state);
        state.stale.clear();
        state.unpublished = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Eight bytes of a table.
    pub fn read_entry(&self, pa: u64) -> u64 {
        let table = self.frame(Pa(pa).page()).expect("a table frame");
        table.entry((pa % PAGE_SIZE / 8) as usize).unwrap().load(Ordering::Acquire)
    }

    /// What was asked since the last call.
    pub fn take_ops(&self) -> Vec<Op> {
        core::mem::take(&mut self.state().ops)
    }

    /// At the end of a call: everything that was begun must be complete.
    pub fn settle(&self) {
        let mut state = self.state();
        self.observe(&mut state);
        assert!(state.stale.is_empty(), "TLBs may still hold {:x?}", state.stale);
        assert!(!state.unpublished, "a valid entry was not published");
    }

    /// All entries that are not zero, for comparison.
    pub fn entries(&self) -> Vec<Entry> {
        self.snapshot(&self.state())
    }

    /// A guest's store: no port is involved.
    pub fn poke(&self, pa: Pa, value: u8) {
        let mut state = self.state();
        let page = state.pages.entry(pa.0 / PAGE_SIZE).or_insert_with(|| Some(leftover()));
        let bytes = page.get_or_insert_with(|| Box::new([0; 4096]));
        bytes[(pa.0 % PAGE_SIZE) as usize] = value;
    }

    /// A guest's load.
    pub fn peek(&self, pa: Pa) -> u8 {
        match self.state().pages.get(&(pa.0 / PAGE_SIZE)) {
            None => LEFTOVER,
            Some(None) => 0,
            Some(Some(bytes)) => bytes[(pa.0 % PAGE_SIZE) as usize],
        }
    }

    /// Whether the whole page at `pa` is zero.
    pub fn is_zero(&self, pa: Pa) -> bool {
        match self.state().pages.get(&(pa.0 / PAGE_SIZE)) {
            None => false,
            Some(None) => true,
            Some(Some(bytes)) => bytes.iter().all(|byte| *byte == 0),
        }
    }

    fn snapshot(&self, state: &State) -> Snapshot {
        let mut found = Snapshot::new();
        let Some(root) = state.root else { return found };
        let shift = 12 + 9 * (3 - root.start);
        for index in 0..1u64 << (root.ipa_bits - shift) {
            let value = self.read_entry(root.base + index * 8);
            self.collect(&mut found, root.start, index << shift, value);
        }
        found
    }

    fn collect(&self, found: &mut Snapshot, level: u32, ipa: u64, value: u64) {
        if value == 0 {
            return;
        }
        found.push(Entry { ipa, level, value });
        if level < 3 && value & 3 == 3 {
            let table = value & 0x0000_ffff_ffff_f000;
            let shift = 12 + 9 * (2 - level);
            for index in 0..TABLE_ENTRIES as u64 {
                let value = self.read_entry(table + index * 8);
                self.collect(found, level + 1, ipa + (index << shift), value);
            }
        }
    }

    /// Compares the tables with how they were and applies the rules.
    fn observe(&self, state: &mut State) {
        let now = self.snapshot(state);
        if now == state.seen {
            return;
        }
        let before = core::mem::take(&mut state.seen);
        let key = |entry: &Entry| (entry.ipa, entry.level);
        let value = |entries: &Snapshot, wanted: &Entry| {
            let found = entries.binary_search_by_key(&key(wanted), key);
            found.map_or(0, |place| entries[place].value)
        };
        for old in &before {
            let new = value(&now, old);
            if old.value & 1 == 0 || old.value == new {
                continue;
            }
            if new & 1 == 1 {
                assert_eq!((old.value ^ new) & !SOFTWARE, 0, "{old:x?} to {new:#x} at once");
                continue;
            }
            let Entry { ipa, level, .. } = *old;
            state.stale.push(Stale { ipa, size: size(level), pa: old.leaf_pa() });
        }
        for new in &now {
            if new.value & 1 == 0 || value(&before, new) & 1 == 1 {
                continue;
            }
            state.unpublished = true;
            let bytes = size(new.level);
            for old in &state.stale {
                let apart = old.ipa + old.size <= new.ipa || new.ipa + bytes <= old.ipa;
                assert!(apart, "{new:x?} made while the TLBs may hold {old:x?}");
            }
            let executable = new.value & (1 << 54) == 0;
            if let Some(pa) = new.leaf_pa().filter(|_| executable) {
                let pages = pa / PAGE_SIZE..(pa + bytes) / PAGE_SIZE;
                let late = state.unsynchronized.range(pages).next();
                assert_eq!(late, None, "executable before instruction caches were told");
            }
        }
        state.seen = now;
    }

    fn record(&self, op: Op) -> MutexGuard<'_, State> {
        let mut state = self.state();
        self.observe(&mut state);
        state.ops.push(op);
        state
    }

    /// `pa` is about to be zeroed: no walker and no TLB may lead there.
    fn assert_unreachable(state: &State, pa: u64, bytes: u64) {
        let overlaps = |base: u64, size: u64| base < pa + bytes && pa < base + size;
        for entry in &state.seen {
            let reached = entry.leaf_pa().is_some_and(|base| overlaps(base, size(entry.level)));
            assert!(!reached, "zeroed while mapped by {entry:x?}");
        }
        for old in &state.stale {
            let reached = old.pa.is_some_and(|base| overlaps(base, old.size));
            assert!(!reached, "zeroed while the TLBs may hold {old:x?}");
        }
    }
}

fn size(level: u32) -> u64 {
    1 << (12 + 9 * (3 - level))
}

fn leftover() -> Box<Page> {
    Box::new([LEFTOVER; 4096])
}

impl TableMemory for &FakeMachine {
    fn table(&self, pa: Pa) -> Option<&Table> {
        self.frame(pa)
    }
}

impl FakeMachine {
    fn frame(&self, pa: Pa) -> Option<&Table> {
        let offset = pa.0.checked_sub(Self::TABLES)?;
        if offset % PAGE_SIZE != 0 {
            return None;
        }
        self.tables.get((offset / PAGE_SIZE) as usize)
    }
}

impl Tlb for &FakeMachine {
    fn publish(&self) {
        self.record(Op::Publish).unpublished = false;
    }

    fn invalidate(&self, vmid: Vmid, ipa: Ipa, bytes: u64, leaf: u64) {
        let mut state = self.record(Op::Invalidate { ipa, bytes, leaf });
        if let Some(root) = state.root {
            assert_eq!(root.vmid, vmid);
        }
        assert!(ipa.0.is_multiple_of(leaf) && bytes.is_multiple_of(leaf) && bytes > 0);
        let covered = |old: &Stale| {
            old.size == leaf && ipa.0 <= old.ipa && old.ipa + old.size <= ipa.0 + bytes
        };
        state.stale.retain(|old| !covered(old));
        // It begins with a store barrier.
        state.unpublished = false;
    }

    fn invalidate_vmid(&self, vmid: Vmid) {
        let mut state = self.record(Op::InvalidateVmid);
        if let Some(root) = state.root {
            assert_eq!(root.vmid, vmid);
        }
        state.stale.clear();
        state.unpublished = false;
    }
}

impl GuestMemory for &FakeMachine {
    fn zero(&self, pa: Pa, bytes: u64) {
        assert!(pa.is_aligned(PAGE_SIZE) && bytes.is_multiple_of(PAGE_SIZE) && bytes > 0);
        assert_eq!(pa.0 >> 21, (pa.0 + bytes - 1) >> 21, "leaves its 2 MiB block");
        let mut state = self.record(Op::Zero { pa, bytes });
        FakeMachine::assert_unreachable(&state, pa.0, bytes);
        for page in pa.0 / PAGE_SIZE..(pa.0 + bytes) / PAGE_SIZE {
            state.pages.insert(page, None);
            state.unsynchronized.insert(page);
        }
    }

    fn write(&self, pa: Pa, data: &[u8]) {
        let bytes = data.len() as u64;
        assert_eq!(pa.0 >> 21, (pa.0 + bytes - 1) >> 21, "leaves its 2 MiB block");
        drop(self.record(Op::Write { pa, bytes }));
        for (offset, byte) in (0..).zip(data) {
            self.poke(Pa(pa.0 + offset), *byte);
        }
        let mut state = self.state();
        state.unsynchronized.extend(pa.0 / PAGE_SIZE..=(pa.0 + bytes - 1) / PAGE_SIZE);
    }

    fn read(&self, pa: Pa, buffer: &mut [u8]) {
        for (offset, byte) in (0..).zip(buffer) {
            *byte = self.peek(Pa(pa.0 + offset));
        }
    }

    fn synchronize_fetches(&self) {
        self.record(Op::SynchronizeFetches).unsynchronized.clear();
    }
}
