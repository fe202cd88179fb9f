//! Assembly entry points and the Rust functions that they call.
#![expect(unsafe_code, reason = "symbols shared with assembly")]

use core::arch::global_asm;

global_asm!(include_str!("boot.S"));

/// The device tree at `address`, for which the loader vouches.
fn tree(address: u64) -> &'static [u8] {
    const MAGIC: [u8; 4] = 0xd00d_feed_u32.to_be_bytes();
    let start = address as *const [u8; 8];
    if address == 0 {
        return &[];
    }
    // SAFETY: by the boot protocol x0 was the address of a tree in RAM, at least a header long,
    // which nobody changes while this guest runs.
    let [m0, m1, m2, m3, l0, l1, l2, l3] = unsafe { *start };
    if [m0, m1, m2, m3] != MAGIC {
        return &[];
    }
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    // SAFETY: as above; the second word of a tree is the number of its bytes.
    unsafe { core::slice::from_raw_parts(start.cast(), length) }
}

// Runs with the MMU off: plain loads and stores only.
// SAFETY: boot.S calls it once, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn prepare(tree_address: u64) {
    super::mmu::build(guest_runtime::tree::memory(tree(tree_address)));
}

// SAFETY: boot.S calls it once on the first CPU, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn main_first(tree_address: u64) -> ! {
    super::heap::make();
    crate::run(tree(tree_address))
}

// SAFETY: boot.S calls it once on each start of another CPU, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn main_secondary(context: u64) -> ! {
    crate::crew::arrive(context)
}
