//! The heap: for what is made once, at boot or when a VM is created. Never on the way of a trap.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use buddy_system_allocator::Heap;
use hyp_abi::exit::HYP_FAILED;
use hyp_core::addr::Pa;

use super::el2_map::{self, MapError};
use crate::arch::cpu::Lock;
use crate::arch::word;
use crate::exit::fail;

/// Largest block is 2^(ORDER - 1) bytes.
const ORDER: usize = 24;

struct Locked(Lock<Heap<ORDER>>);

#[global_allocator]
static HEAP: Locked = Locked(Lock::new(Heap::new()));

// SAFETY: `Heap` gives out blocks that fit the layout and overlap no other; the lock keeps CPUs
// apart.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Whoever asks in vain would panic.
        if injected!(is_heap_used_up(), false) {
            used_up(layout);
        }
        let block = self.0.lock().alloc(layout);
        block.map_or_else(|_| used_up(layout), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: by GlobalAlloc's contract the block came from `alloc` with this layout.
            unsafe { self.0.lock().dealloc(block, layout) };
        }
    }
}

/// Ends the run, in words.
#[cold]
fn used_up(layout: Layout) -> ! {
    fail(
        HYP_FAILED,
        format_args!(
            "EL2's heap is used up: {} bytes more are needed, {} are in use; report this",
            layout.size(),
            used()
        ),
    )
}

/// Bytes given out, what rounding adds included.
pub(crate) fn used() -> usize {
    HEAP.0.lock().stats_alloc_actual()
}

/// Makes `bytes` of physical memory from `pa`, which nobody else owns, the heap. To be called
/// once.
#[inline(never)]
pub(crate) fn give(pa: Pa, bytes: u64) -> Result<(), MapError> {
    let va = el2_map::owned(pa, bytes)?;
    // SAFETY: the range was just mapped for EL2 alone and the caller gave it up.
    unsafe { HEAP.0.lock().init(va, word(bytes)) };
    Ok(())
}
