//! Two CPUs with a TLB each and one page of memory that is watched, for loom.

use hyp_core_interleaved::addr::{Ipa, Pa};
use hyp_core_interleaved::memory::PaRange;
use hyp_core_interleaved::ports::{GuestMemory, Table, TableMemory, Tlb};
use hyp_core_interleaved::stage2::Vmid;
use hyp_core_interleaved::sync::Ordering;
use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};

/// Where the table frames lie.
const TABLES: u64 = 0x7_0000_0000;
/// What table frames hold before they are used: valid leaves that lead elsewhere.
pub(crate) const LEFTOVER: u64 = 0x0bad_0000_07ff;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// Memory at one physical address. Whoever has it for himself writes to it, guests read it: loom
/// finds two at once.
pub(crate) struct Page {
    pub(crate) pa: u64,
    cell: UnsafeCell<()>,
}

impl Page {
    fn use_alone(&self) {
        self.cell.with_mut(|_| ());
    }

    fn use_as_guest(&self) {
        self.cell.with(|_| ());
    }
}

pub(crate) struct Machine {
    tables: Vec<Table>,
    /// One translation of each CPU: page of the IPA and entry.
    tlbs: [Mutex<Option<(u64, u64)>>; 2],
    page: Page,
    /// TLBI reaches the CPU that executes it and no other.
    pub(crate) forgets_others: bool,
}

/// The ports.
#[derive(Clone)]
pub(crate) struct Ports(pub(crate) Arc<Machine>);

impl Ports {
    /// `frames` table frames, and watches the page at `pa`.
    pub(crate) fn new(frames: usize, pa: u64, forgets_others: bool) -> Self {
        let tables: Vec<Table> = (0..frames).map(|_| Table::new()).collect();
        for table in &tables {
            table.fill(|_| LEFTOVER);
        }
        let page = Page { pa, cell: UnsafeCell::new(()) };
        let tlbs = [Mutex::new(None), Mutex::new(None)];
        Self(Arc::new(Machine { tables, tlbs, page, forgets_others }))
    }

    pub(crate) fn frames(&self) -> PaRange {
        PaRange::new(Pa(TABLES), self.0.tables.len() as u64 * 4096).unwrap()
    }

    /// Has the entries for `ipas` at level 3 of the frames that are still free take part in the
    /// model, with their leftovers in them.
    pub(crate) fn watch_free_frames(&self, ipas: &[u64]) {
        let machine = &self.0;
        let is_free = |table: &&Table| load(table, 511) == LEFTOVER;
        for table in machine.tables.iter().filter(is_free).take(1) {
            for ipa in ipas {
                load(table, (ipa >> 12 & 0x1ff) as usize);
            }
        }
    }

    /// An access of the guest on `cpu` to the page at `ipa`, as the hardware makes it: through the
    /// TLB or by a walk from the root, whose first level is 1. `false` if it faults.
    pub(crate) fn access(&self, cpu: usize, ipa: u64) -> bool {
        // A TLBI is complete only after the accesses that use what it drops.
        let mut tlb = self.0.tlbs[cpu].lock().unwrap();
        let cached = tlb.filter(|(page, _)| *page == ipa & !0xfff).map(|(_, entry)| entry);
        let Some(entry) = cached.or_else(|| self.walk(ipa)) else { return false };
        *tlb = Some((ipa & !0xfff, entry));
        let size = if entry & 2 == 0 { 2 << 20 } else { 4096 };
        let base = entry & ADDRESS;
        if (base..base + size).contains(&self.0.page.pa) {
            self.0.page.use_as_guest();
        }
        true
    }

    fn walk(&self, ipa: u64) -> Option<u64> {
        let mut at = TABLES + (ipa >> 30 << 3);
        for level in 1..=3 {
            let table = self.table(Pa(at & !0xfff)).expect("a walk leads off the tables");
            let entry = load(table, (at % 4096 / 8) as usize);
            if entry & 1 == 0 {
                return None;
            }
            if level == 3 || entry & 2 == 0 {
                return Some(entry);
            }
            let shift = 12 + 9 * (2 - level);
            at = (entry & ADDRESS) + (ipa >> shift & 0x1ff) * 8;
        }
        None
    }

    /// The page that is watched belongs to nobody else now.
    pub(crate) fn use_page_alone(&self) {
        self.0.page.use_alone();
    }
}

fn load(table: &Table, index: usize) -> u64 {
    table.entry(index).unwrap().load(Ordering::Acquire)
}

impl TableMemory for Ports {
    fn table(&self, pa: Pa) -> Option<&Table> {
        let offset = pa.get().checked_sub(TABLES).filter(|offset| offset % 4096 == 0)?;
        self.0.tables.get((offset / 4096) as usize)
    }
}

impl Tlb for Ports {
    fn publish(&self) {}

    fn invalidate(&self, vmid: Vmid, _: Ipa, _: u64, _: u64) {
        self.invalidate_vmid(vmid);
    }

    fn invalidate_vmid(&self, _: Vmid) {
        if !self.0.forgets_others {
            for tlb in &self.0.tlbs {
                *tlb.lock().unwrap() = None;
            }
        }
    }
}

impl GuestMemory for Ports {
    fn zero(&self, pa: Pa, bytes: u64) {
        if (pa.get()..pa.get() + bytes).contains(&self.0.page.pa) {
            self.0.page.use_alone();
        }
    }

    fn write(&self, pa: Pa, data: &[u8]) {
        self.zero(pa, data.len() as u64);
    }

    fn read(&self, _: Pa, buffer: &mut [u8]) {
        buffer.fill(0);
    }

    fn synchronize_fetches(&self) {}
}
