//! Assembly entry points and the Rust functions that they call.
#![expect(unsafe_code, reason = "symbols shared with assembly")]

use core::arch::global_asm;

use guest_runtime::start::tree;

global_asm!(include_str!("../../../runtime/src/macros.S"), include_str!("boot.S"));

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
