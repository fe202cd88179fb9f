//! Cache maintenance by virtual address, to the point of coherency, and zeroing.

use core::arch::asm;

use super::barrier::{dsb_ish, dsb_sy, isb};
use super::sysreg;
use super::sysreg::fields::{ctr, dczid};

/// Smallest data cache line, in bytes.
fn line() -> usize {
    4 << ctr::DMIN_LINE.read(sysreg::ctr_el0())
}

/// Writes `[va, va + len)` back to memory and drops the lines: an observer without caches, a guest
/// whose MMU is off above all, sees what was written, and the next read comes from memory.
pub(crate) fn clean_invalidate_to_poc(va: usize, len: usize) {
    let step = line();
    let end = va.saturating_add(len);
    let mut at = va & !(step - 1);
    while at < end {
        // SAFETY: what is invalidated is cleaned first, which changes no data; the caller has the
        // range mapped.
        unsafe { asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags)) };
        at += step;
    }
    dsb_sy();
}

/// Makes all CPUs fetch instructions anew, after code was written and cleaned.
pub(crate) fn invalidate_instructions() {
    // SAFETY: invalidation only makes fetches happen again.
    unsafe { asm!("ic ialluis", options(nostack, preserves_flags)) };
    dsb_ish();
    isb();
}

/// Zeroes `[va, va + len)`, both multiples of 2048.
///
/// # Safety
///
/// The range must be mapped writable, Normal, and nothing may refer to what it holds.
pub(crate) unsafe fn zero(va: usize, len: usize) {
    let end = va + len;
    let id = sysreg::dczid_el0();
    let mut at = va;
    if dczid::DZP.is_set(id) {
        // SAFETY: the caller's promise.
        unsafe { core::ptr::write_bytes(va as *mut u8, 0, len) };
        return;
    }
    let block = 4 << dczid::BS.read(id);
    while at < end {
        // SAFETY: the caller's promise; blocks are at most 2048 bytes (DCZID_EL0.BS <= 9).
        unsafe { asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags)) };
        at += block;
    }
}
