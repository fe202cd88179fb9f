//! The hardware behind `hyp_core::ports`.

use core::ptr::NonNull;

use hyp_core::addr::{BLOCK_2M, Ipa, PAGE_SIZE, Pa};
use hyp_core::ports::{GuestMemory, Table, TableMemory, Tlb};
use hyp_core::stage2::Vmid;

use super::el2_map::{self, MapError};
use super::window;
use crate::arch::{barrier, cache, tlb, word};

/// Prepares what the ports need; once, before the first [`Hardware`] is used.
pub(crate) fn init() -> Result<(), MapError> {
    window::init()
}

/// Who is told of what [`TableMemory`] tells.
#[cfg(feature = "ghost")]
pub(crate) struct Watcher {
    /// [`TableMemory::opened`].
    pub(crate) opened: fn(),
    /// [`TableMemory::settled`].
    pub(crate) settled: fn((u64, u64), &[Ipa]),
}

#[cfg(feature = "ghost")]
static WATCHER: crate::arch::once::Once<Watcher> = crate::arch::once::Once::new();

/// Tells `watcher` from now on.
#[cfg(feature = "ghost")]
pub(crate) fn watch(watcher: Watcher) {
    WATCHER.set(watcher);
}

/// Implements the ports of one VM: its extent of table frames, the TLBs, guest memory.
#[derive(Debug)]
pub(crate) struct Hardware {
    base: Pa,
    bytes: u64,
    va: NonNull<Table>,
}

// SAFETY: `va` leads to nothing but atomics, which every CPU may reach at once.
unsafe impl Send for Hardware {}
// SAFETY: as above.
unsafe impl Sync for Hardware {}

impl Hardware {
    /// Takes the extent of table frames of a new VM, whole pages that nobody else owns.
    pub(crate) fn new(base: Pa, bytes: u64) -> Result<Self, MapError> {
        let va = el2_map::owned(base, bytes)?;
        let va = NonNull::new(va as *mut Table).ok_or(MapError::NoRoom)?;
        Ok(Self { base, bytes, va })
    }
}

impl TableMemory for Hardware {
    #[inline(always)]
    fn table(&self, pa: Pa) -> Option<&Table> {
        let offset = pa.get().wrapping_sub(self.base.get());
        if offset >= injected!(frames(self.bytes), self.bytes) || !pa.is_aligned(PAGE_SIZE) {
            return None;
        }
        // SAFETY: the page lies in the extent, which is mapped in one piece.
        let table = unsafe { self.va.byte_add(word(offset)) };
        // SAFETY: it is mapped for ever, aligned, and only ever accessed as tables of atomics.
        Some(unsafe { table.as_ref() })
    }

    #[cfg(feature = "ghost")]
    fn opened(&self) {
        if let Some(watcher) = WATCHER.get() {
            (watcher.opened)();
        }
    }

    #[cfg(feature = "ghost")]
    fn settled(&self, used: (u64, u64), claims: impl Iterator<Item = Ipa>) {
        if let Some(watcher) = WATCHER.get() {
            (watcher.settled)(used, &alloc::vec::Vec::from_iter(claims));
        }
    }
}

impl Tlb for Hardware {
    fn publish(&self) {
        barrier::dsb_ishst();
        barrier::isb();
    }

    fn invalidate(&self, vmid: Vmid, ipa: Ipa, bytes: u64, leaf: u64) {
        let leaves = bytes.checked_div(leaf).unwrap_or(u64::MAX);
        tlb::with_vmid(vmid.get(), || {
            // For that many one operation on all of the VMID is cheaper.
            if leaves > 512 {
                tlb::invalidate_vm();
            } else {
                tlb::invalidate_ipas(
                    (0..leaves).map(|n| Ipa(ipa.get().wrapping_add(n.wrapping_mul(leaf)))),
                );
            }
        });
    }

    fn invalidate_vmid(&self, vmid: Vmid) {
        tlb::with_vmid(vmid.get(), tlb::invalidate_vm);
    }
}

impl GuestMemory for Hardware {
    fn zero(&self, pa: Pa, bytes: u64) {
        window::zero(pa, word(bytes.min(BLOCK_2M)));
    }

    fn write(&self, pa: Pa, data: &[u8]) {
        window::write(pa, data);
    }

    fn read(&self, pa: Pa, buffer: &mut [u8]) {
        window::read(pa, buffer);
    }

    fn synchronize_fetches(&self) {
        cache::invalidate_instructions();
    }
}
