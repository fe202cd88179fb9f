//! A machine that does nothing but tell [`Hostile`] what it is asked to do, instruction by
//! instruction as the EL2 image does it (`hyp/src/mm/ports.rs`, `hyp/src/arch/tlb.rs`; that the
//! image has these instructions in this order is checked in its machine code, by xtask).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hyp_core_interleaved::addr::{Ipa, Pa};
use hyp_core_interleaved::memory::PaRange;
use hyp_core_interleaved::ports::{GuestMemory, Table, TableMemory, Tlb};
use hyp_core_interleaved::stage2::Vmid;
use hyp_core_interleaved::sync::watched::{Store, note_stores};
use hyp_core_interleaved::sync::{AtomicU64, Ordering};

use crate::hostile::{Hostile, Op, Root};

/// Where the table frames lie.
pub(crate) const TABLES: u64 = 0x7_0000_0000;

/// A mistake that the ports make on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    None,
    /// `publish` has no barrier.
    NoPublish,
    /// `invalidate` begins without a barrier.
    NoBarrierBefore,
    /// `invalidate` forgets stage 2.
    NoStage2,
    /// `invalidate` covers the first leaf only.
    FirstLeafOnly,
    /// `invalidate` forgets combined entries.
    NoCombined,
    /// Combined entries are dropped before stage 2 is.
    CombinedFirst,
    /// No barrier between stage 2 and combined entries.
    NoBarrierBetween,
    /// `invalidate` ends without a barrier.
    NoBarrierAfter,
    /// `invalidate_vmid` does nothing.
    NoVmid,
    /// What is written is not cleaned.
    NoClean,
    /// Cleaning ends without a barrier.
    NoCleanBarrier,
    /// Instruction caches are not told.
    NoFetch,
    /// Instruction caches are told, but nobody waits.
    NoFetchBarrier,
    /// Store-releases are ordinary stores.
    NoRelease,
    /// No second TLBI on CPUs that need it.
    NoRepeat,
    /// A second TLBI, but nobody waits.
    NoRepeatBarrier,
}

impl Mistake {
    /// Those that are mistakes on every CPU.
    pub(crate) const ALL: [Self; 14] = [
        Self::NoPublish,
        Self::NoBarrierBefore,
        Self::NoStage2,
        Self::FirstLeafOnly,
        Self::NoCombined,
        Self::CombinedFirst,
        Self::NoBarrierBetween,
        Self::NoBarrierAfter,
        Self::NoVmid,
        Self::NoClean,
        Self::NoCleanBarrier,
        Self::NoFetch,
        Self::NoFetchBarrier,
        Self::NoRelease,
    ];

    /// Those that are none but on CPUs that need every TLBI twice.
    pub(crate) const LATE: [Self; 2] = [Self::NoRepeat, Self::NoRepeatBarrier];
}

pub(crate) struct Machine {
    tables: Vec<Table>,
    tlb: RefCell<Hostile>,
    repeats: bool,
    mistake: Cell<Mistake>,
}

/// The ports: a machine that is shared.
#[derive(Clone)]
pub(crate) struct Ports(pub(crate) Rc<Machine>);

impl Ports {
    /// A machine with this many table frames, full of leftovers that look like valid leaves, and CPUs that
    /// need every TLBI twice, or once.
    pub(crate) fn new(frames: usize, is_late: bool, mistake: Mistake) -> Self {
        let tables: Vec<Table> = (0..frames).map(|_| Table::new()).collect();
        for table in &tables {
            table.fill(|index| 0x0bad_0000_07ff | (index as u64) << 12);
        }
        let tlb = RefCell::new(if is_late { Hostile::late() } else { Hostile::default() });
        let mistake = Cell::new(mistake);
        let machine = Rc::new(Machine { tables, tlb, repeats: is_late, mistake });
        let told = Rc::clone(&machine);
        note_stores(Some(Box::new(move |store| told.stored(store))));
        Self(machine)
    }

    pub(crate) fn frames(&self) -> PaRange {
        PaRange::new(Pa(TABLES), self.0.tables.len() as u64 * 4096).unwrap()
    }
}

impl Machine {
    pub(crate) fn make(&self, mistake: Mistake) {
        self.mistake.set(mistake);
    }

    fn is(&self, mistake: Mistake) -> bool {
        self.mistake.get() == mistake
    }

    pub(crate) fn see(&self, op: Op) {
        self.tlb.borrow_mut().see(op, &|pa| self.read(pa));
    }

    pub(crate) fn run(&self, vmid: u8, root: Root) {
        self.see(Op::Root { vmid, root });
    }

    pub(crate) fn stop(&self, vmid: u8) {
        self.tlb.borrow_mut().stop(vmid);
    }

    pub(crate) fn returned(&self) -> Result<(), String> {
        self.tlb.borrow_mut().returned(&|pa| self.read(pa))
    }

    pub(crate) fn judged(&self) -> u64 {
        self.tlb.borrow().judged
    }

    fn read(&self, pa: u64) -> Option<u64> {
        let table = self.tables.get(usize::try_from(pa.checked_sub(TABLES)? / 4096).ok()?)?;
        Some(table.entry((pa % 4096 / 8) as usize)?.load(Ordering::Acquire))
    }

    /// A store somewhere: told if it is to a table.
    fn stored(&self, store: Store) {
        let first = self.tables.as_ptr() as usize;
        let Some(offset) = store.at.checked_sub(first) else { return };
        let place = offset / size_of::<Table>();
        let Some(table) = self.tables.get(place) else { return };
        let entry = std::ptr::from_ref(table.entry(0).unwrap()) as usize;
        let index = store.at.wrapping_sub(entry) / size_of::<AtomicU64>();
        self.see(Op::Store {
            at: TABLES + (place * 4096 + index * 8) as u64,
            old: store.old,
            new: store.new,
            is_release: store.is_release && !self.is(Mistake::NoRelease),
        });
    }

    /// Waits for TLBIs (`tlb::complete`).
    fn complete(&self) {
        if !self.is(Mistake::NoBarrierAfter) {
            self.see(Op::DsbIsh);
        }
        if self.repeats && !self.is(Mistake::NoRepeat) {
            self.see(Op::TlbiEl2);
            if !self.is(Mistake::NoRepeatBarrier) {
                self.see(Op::DsbIsh);
            }
        }
    }

    fn clean(&self, pa: Pa, bytes: u64) {
        if !self.is(Mistake::NoClean) {
            self.see(Op::Clean { pa: pa.get(), bytes });
        }
        if !self.is(Mistake::NoCleanBarrier) {
            self.see(Op::DsbSy);
        }
    }
}

impl TableMemory for Ports {
    fn table(&self, pa: Pa) -> Option<&Table> {
        let offset = pa.get().checked_sub(TABLES).filter(|offset| offset % 4096 == 0)?;
        self.0.tables.get((offset / 4096) as usize)
    }
}

impl Tlb for Ports {
    fn publish(&self) {
        if !self.0.is(Mistake::NoPublish) {
            self.0.see(Op::DsbIshst);
        }
    }

    fn invalidate(&self, vmid: Vmid, ipa: Ipa, bytes: u64, leaf: u64) {
        let machine = &self.0;
        let vmid = vmid.get();
        let leaves = bytes / leaf;
        if leaves > 512 {
            return self.invalidate_vmid(Vmid::new(vmid).unwrap());
        }
        if !machine.is(Mistake::NoBarrierBefore) {
            machine.see(Op::DsbIshst);
        }
        if machine.is(Mistake::CombinedFirst) {
            machine.see(Op::TlbiCombined { vmid });
            machine.see(Op::DsbIsh);
        }
        let leaves = if machine.is(Mistake::FirstLeafOnly) { 1 } else { leaves };
        for n in 0..leaves {
            if !machine.is(Mistake::NoStage2) {
                machine.see(Op::TlbiIpa { vmid, ipa: ipa.get() + n * leaf });
            }
        }
        if !machine.is(Mistake::NoBarrierBetween) {
            machine.see(Op::DsbIsh);
        }
        if !machine.is(Mistake::NoCombined) && !machine.is(Mistake::CombinedFirst) {
            machine.see(Op::TlbiCombined { vmid });
        }
        machine.complete();
    }

    fn invalidate_vmid(&self, vmid: Vmid) {
        if !self.0.is(Mistake::NoVmid) {
            self.0.see(Op::DsbIshst);
            self.0.see(Op::TlbiAll { vmid: vmid.get() });
            self.0.complete();
        }
    }
}

impl GuestMemory for Ports {
    fn zero(&self, pa: Pa, bytes: u64) {
        self.0.see(Op::Write { pa: pa.get(), bytes });
        self.0.clean(pa, bytes);
    }

    fn write(&self, pa: Pa, data: &[u8]) {
        let bytes = data.len() as u64;
        self.0.see(Op::Write { pa: pa.get(), bytes });
        self.0.clean(pa, bytes);
    }

    fn read(&self, _: Pa, buffer: &mut [u8]) {
        buffer.fill(0);
    }

    fn synchronize_fetches(&self) {
        if !self.0.is(Mistake::NoFetch) {
            self.0.see(Op::IcIalluis);
        }
        if !self.0.is(Mistake::NoFetchBarrier) {
            self.0.see(Op::DsbIsh);
        }
    }
}
