//! The heap, for the model's sets and maps.
#![expect(unsafe_code, reason = "a global allocator")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use buddy_system_allocator::Heap;
use spin::mutex::TicketMutex;

use crate::layout;

const ORDER: usize = 24;

struct Locked(TicketMutex<Heap<ORDER>>);

#[global_allocator]
static HEAP: Locked = Locked(TicketMutex::new(Heap::new()));

// SAFETY: `Heap` gives out blocks that fit the layout and overlap no other; the lock keeps CPUs
// apart.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().alloc(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: by GlobalAlloc's contract the block came from `alloc` with this layout.
            unsafe { self.0.lock().dealloc(block, layout) };
        }
    }
}

/// Makes the heap. Once, on the first CPU, with the MMU on: the lock needs it.
pub(crate) fn make() {
    let Ok(size) = usize::try_from(layout::HEAP_SIZE) else { return };
    let Ok(start) = usize::try_from(layout::HEAP) else { return };
    // SAFETY: the range is RAM that nothing else in `layout.rs` or the linker script has.
    unsafe { HEAP.0.lock().init(start, size) };
}

/// Bytes given out.
pub(crate) fn used() -> usize {
    HEAP.0.lock().stats_alloc_actual()
}
