//! Assembly entry points and the Rust functions that they call.
#![expect(unsafe_code, reason = "symbols shared with assembly")]

use core::arch::global_asm;

use super::sysreg;

global_asm!(include_str!("boot.S"));
global_asm!(include_str!("vectors.S"));

// SAFETY: labels of `boot.S`, of which only the address is used.
unsafe extern "C" {
    fn secondary_entry();
}

/// Where CPU_ON sends a CPU.
pub(crate) fn secondary_address() -> u64 {
    secondary_entry as *const () as u64
}

/// The device tree at `address`, for which the loader vouches.
pub(crate) fn tree(address: u64) -> &'static [u8] {
    const MAGIC: u32 = 0xd00d_feed;
    let start = address as *const u8;
    // SAFETY: by the boot protocol x0 was the address of a tree in RAM, at least a header long,
    // which nobody changes while this guest runs; the image is linked to run where RAM begins.
    let header = unsafe { core::slice::from_raw_parts(start, 8) };
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| header[at + i]));
    if address == 0 || word(0) != MAGIC {
        return &[];
    }
    // SAFETY: as above; the second word of a tree is the number of its bytes.
    unsafe { core::slice::from_raw_parts(start, word(4) as usize) }
}

// Runs with the MMU off: plain loads and stores only.
// SAFETY: boot.S calls it once, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn prepare(tree_address: u64) {
    let tree = tree(tree_address);
    super::mmu::build(crate::tree::memory(tree));
    crate::console_guard::announce(tree);
}

// SAFETY: boot.S calls it once on the first CPU, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn main_first(tree_address: u64, left_in_registers: u64) -> ! {
    crate::run(tree(tree_address), left_in_registers)
}

// SAFETY: boot.S calls it once on each start of another CPU, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn main_secondary(context: u64, left_in_registers: u64, sctlr: u64, pstate: u64) -> ! {
    crate::smp::enter(crate::smp::Arrival { context, left_in_registers, sctlr, pstate })
}

// SAFETY: vectors.S calls it, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn take_interrupt() {
    crate::gic::take_interrupt();
}

// SAFETY: vectors.S calls it, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn unexpected_exception(esr: u64, far: u64, elr: u64, spsr: u64, vector: u64) -> ! {
    let cpu = sysreg::tpidr_el1();
    crate::tap::bail_out(format_args!(
        "CPU {cpu}: exception at vector {vector:#x}: ESR {esr:#x} FAR {far:#x} ELR {elr:#x} SPSR {spsr:#x}"
    ))
}
