//! What the decisions need from the machine: traits that the EL2 image implements.
//!
//! Everything in this crate that touches translation tables or a guest's memory is generic over
//! these traits and dispatched statically. On the host their place is taken by a fake that logs
//! each operation, so that tests check orders which no emulator shows.

use crate::addr::{Ipa, Pa};
use crate::stage2::Vmid;
use crate::sync::{AtomicU64, Ordering};

/// Entries in a translation table of the 4 KiB granule (Arm ARM DDI 0487, "Translation table granules").
pub const TABLE_ENTRIES: usize = 512;

/// One translation table as the hardware sees it.
///
/// Readers load entries with acquire order and no lock; all stores are made by whoever holds the
/// address space's writer lock.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Table([AtomicU64; TABLE_ENTRIES]);

impl Table {
    /// A table of 512 invalid entries.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; TABLE_ENTRIES])
    }

    /// The entry at `index`; `None` from [`TABLE_ENTRIES`] on.
    #[inline]
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<&AtomicU64> {
        self.0.get(index)
    }

    /// The entries from `index` on; `None` above [`TABLE_ENTRIES`].
    #[inline]
    #[must_use]
    pub fn entries(&self, index: usize) -> Option<&[AtomicU64]> {
        self.0.get(index..)
    }

    /// Makes each entry invalid and empty. Only for a table that nothing points to.
    pub fn clear(&self) {
        // Eight in a round: counting them one by one would cost more than the stores.
        let (rounds, rest) = self.0.as_chunks::<8>();
        for [a, b, c, d, e, f, g, h] in rounds {
            a.store(0, Ordering::Relaxed);
            b.store(0, Ordering::Relaxed);
            c.store(0, Ordering::Relaxed);
            d.store(0, Ordering::Relaxed);
            e.store(0, Ordering::Relaxed);
            f.store(0, Ordering::Relaxed);
            g.store(0, Ordering::Relaxed);
            h.store(0, Ordering::Relaxed);
        }
        for entry in rest {
            entry.store(0, Ordering::Relaxed);
        }
    }

    /// Stores `value(index)` in each entry. Only for a table that nothing points to.
    pub fn fill(&self, mut value: impl FnMut(usize) -> u64) {
        for (index, entry) in self.0.iter().enumerate() {
            entry.store(value(index), Ordering::Relaxed);
        }
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

/// EL2's view of the memory that holds translation tables.
pub trait TableMemory {
    /// The table at `pa`, a page of the table extent a VM was created with; `None` for any other
    /// address. On every guest access that is emulated: a bounds check and an addition.
    fn table(&self, pa: Pa) -> Option<&Table>;

    /// The writer lock of the address space that these tables belong to was taken: nobody else changes
    /// them until [`TableMemory::settled`]. For whoever checks; nothing depends on it.
    #[inline(always)]
    fn opened(&self) {}

    /// The writer lock is about to be given back: the tables say what they are to say. `used` frames
    /// hold tables over memory and over all else, and `claims` are blocks of memory that are being
    /// zeroed. For whoever checks, as [`TableMemory::opened`].
    #[inline(always)]
    fn settled(&self, used: (u64, u64), claims: impl Iterator<Item = Ipa>) {
        let _ = (used, claims);
    }
}

/// Order and invalidation of translations, on every CPU.
///
/// Each operation is complete when it returns. An implementation for the hardware begins with a
/// store barrier, because the table stores that come before must be seen by every walker before
/// the invalidation is (Arm ARM DDI 0487, "TLB maintenance").
pub trait Tlb {
    /// Makes table stores visible to the walkers of every CPU before whatever follows: DSB ISHST
    /// and ISB. Enough where an entry was invalid: an entry that faults is never cached.
    fn publish(&self);

    /// Drops what `vmid` has cached of the stage-2 entries that cover `bytes` from `ipa`, and of
    /// stage 1, whose entries may hold the combined result.
    ///
    /// `ipa` and `bytes` are multiples of `leaf`, the bytes one entry covered (4 KiB, 2 MiB or
    /// 1 GiB). The order is DSB ISHST, TLBI IPAS2E1IS once for each leaf, DSB ISH,
    /// TLBI VMALLE1IS, DSB ISH, ISB: a walk that began before the second barrier could otherwise
    /// put a combined entry back after stage 1 was invalidated. CPUs with an erratum of
    /// [`Actions::REPEAT_TLBI`](crate::errata::Actions::REPEAT_TLBI) need one more TLBI and DSB ISH before
    /// the ISB.
    fn invalidate(&self, vmid: Vmid, ipa: Ipa, bytes: u64, leaf: u64);

    /// Drops everything that `vmid` has cached of both stages, intermediate tables included:
    /// DSB ISHST, TLBI VMALLS12E1IS, DSB ISH, ISB, with one more TLBI as [`Tlb::invalidate`].
    fn invalidate_vmid(&self, vmid: Vmid);
}

/// A guest's memory by physical address, through a window that is open only during the call.
///
/// What is written is cleaned to the point of coherency before a method returns: a guest with its
/// caches off, and a bus master that does not snoop, must see it. No range that is passed in
/// leaves a 2 MiB block.
pub trait GuestMemory {
    /// Fills `bytes` from `pa` with zeroes. Both are multiples of the page size.
    fn zero(&self, pa: Pa, bytes: u64);

    /// Copies `data` to `pa`.
    fn write(&self, pa: Pa, data: &[u8]);

    /// Copies from `pa` into `buffer`.
    fn read(&self, pa: Pa, buffer: &mut [u8]);

    /// Makes the instruction fetches of every CPU see what was written: DSB ISH, IC IALLUIS,
    /// DSB ISH, ISB. Called before memory that was written becomes executable for a guest.
    fn synchronize_fetches(&self);
}

/// Everything an address space needs.
pub trait Ports: TableMemory + Tlb + GuestMemory {}

impl<P: TableMemory + Tlb + GuestMemory> Ports for P {}
