//! RAM that the layout sets aside for tests, by address.
#![expect(unsafe_code, reason = "volatile access by address")]

use core::arch::asm;

use crate::layout;

/// Reads the word at `address`, which is in the test areas; 0 elsewhere.
pub(crate) fn read(address: u64) -> u64 {
    if !layout::is_test_ram(address, 8) {
        return 0;
    }
    // SAFETY: RAM that no Rust object occupies.
    unsafe { (address as *const u64).read_volatile() }
}

/// Writes the word at `address`, which is in the test areas; nothing elsewhere.
pub(crate) fn write(address: u64, value: u64) {
    if layout::is_test_ram(address, 8) {
        // SAFETY: RAM that no Rust object occupies.
        unsafe { (address as *mut u64).write_volatile(value) };
    }
}

/// Writes the instruction at `address`, which is in the test areas.
pub(crate) fn write_code(address: u64, instruction: u32) {
    if layout::is_test_ram(address, 4) {
        // SAFETY: RAM that no Rust object occupies; what it does when executed is judged in
        // `Shot::fire`.
        unsafe { (address as *mut u32).write_volatile(instruction) };
    }
}

/// Makes instructions written to `[address, address + bytes)` visible to fetches of all CPUs.
pub(crate) fn publish_code(address: u64, bytes: u64) {
    let mut at = address & !15;
    while at < address + bytes {
        // SAFETY: cache maintenance changes no memory.
        unsafe { asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", in(reg) at, options(nostack)) };
        at += 16;
    }
    // SAFETY: barriers.
    unsafe { asm!("dsb ish", "isb", options(nostack)) };
}
