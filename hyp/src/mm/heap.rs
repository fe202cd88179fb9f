//! The heap: for what is made once, at boot or when a VM is created, and stays. What a reset needs for
//! a moment is given back before anything else is taken. Never on the way of a trap.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use hyp_core::addr::Pa;

use super::el2_map::{self, MapError};
use crate::arch::word;

/// A range of EL2's addresses of which the part from `next` on is free.
struct Heap {
    start: AtomicUsize,
    next: AtomicUsize,
    end: AtomicUsize,
}

#[global_allocator]
static HEAP: Heap =
    Heap { start: AtomicUsize::new(0), next: AtomicUsize::new(0), end: AtomicUsize::new(0) };

// SAFETY: a block is aligned as asked, lies in the range and overlaps no other: `next` is moved by one
// CPU at a time, up to behind the block, and back only from there.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let aligned = |next: usize| next.checked_next_multiple_of(layout.align());
        let behind = |next: usize| {
            let behind = aligned(next)?.checked_add(layout.size())?;
            (behind <= self.end.load(Ordering::Relaxed)).then_some(behind)
        };
        let taken = self.next.fetch_update(Ordering::Acquire, Ordering::Relaxed, behind);
        taken.ok().and_then(aligned).map_or(ptr::null_mut(), ptr::with_exposed_provenance_mut)
    }

    /// Takes the block back if it was given out last. Others are lost; [`used`] tells.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let start = block.expose_provenance();
        let behind = start.wrapping_add(layout.size());
        let (success, failure) = (Ordering::Release, Ordering::Relaxed);
        let _lost = self.next.compare_exchange(behind, start, success, failure);
    }
}

/// Bytes given out, what rounding adds included.
pub(crate) fn used() -> usize {
    HEAP.next.load(Ordering::Relaxed).wrapping_sub(HEAP.start.load(Ordering::Relaxed))
}

/// Makes `bytes` of physical memory from `pa`, which nobody else owns, the heap. To be called
/// once.
pub(crate) fn give(pa: Pa, bytes: u64) -> Result<(), MapError> {
    let va = el2_map::owned(pa, bytes)?;
    HEAP.start.store(va, Ordering::Relaxed);
    HEAP.next.store(va, Ordering::Relaxed);
    HEAP.end.store(va + word(bytes), Ordering::Relaxed);
    Ok(())
}
