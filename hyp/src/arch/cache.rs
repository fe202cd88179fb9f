//! Cache maintenance by virtual address, to the point of coherency, and zeroing.

use core::arch::asm;

use super::barrier::{dsb_ish, dsb_sy, isb};
use super::sysreg;
use super::sysreg::fields::{ctr, dczid};

/// Smallest data cache line, in bytes.
fn line() -> usize {
    4 << ctr::DMIN_LINE.read(sysreg::ctr_el0())
}

/// Lines that a loop over memory takes in one round: a branch for each would cost as much as they.
const UNROLLED: usize = 8;

/// Writes `[va, va + len)` back to memory and drops the lines: an observer without caches, a guest
/// whose MMU is off above all, sees what was written, and the next read comes from memory.
pub(crate) fn clean_invalidate_to_poc(va: usize, len: usize) {
    let step = line();
    let end = va.saturating_add(len);
    let mut at = va & step.wrapping_neg();
    let round = step.wrapping_mul(UNROLLED);
    let whole = at.wrapping_add(end.saturating_sub(at) & round.wrapping_neg());
    if at < whole {
        // SAFETY: what is invalidated is cleaned first, which changes no data; the caller has the
        // range mapped, and the loop ends at `whole`, which is in it.
        unsafe {
            asm!(
                "2:",
                ".rept {unrolled}",
                "dc civac, {at}",
                "add {at}, {at}, {step}",
                ".endr",
                "cmp {at}, {whole}",
                "b.lo 2b",
                at = inout(reg) at,
                step = in(reg) step,
                whole = in(reg) whole,
                unrolled = const UNROLLED,
                options(nostack),
            );
        }
    }
    while at < end {
        // SAFETY: as above.
        unsafe { asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags)) };
        at = at.saturating_add(step);
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

/// Zeroes `[va, va + len)`, both multiples of the page size, and leaves nothing of it in the caches.
///
/// # Safety
///
/// The range must be mapped writable, Normal, and nothing may refer to what it holds.
pub(crate) unsafe fn zero_to_poc(va: usize, len: usize) {
    let step = line();
    if block() != Some(step) || !len.is_multiple_of(step.wrapping_mul(UNROLLED)) || len == 0 {
        // SAFETY: the caller's promise.
        unsafe { zero(va, len) };
        return clean_invalidate_to_poc(va, len);
    }
    // SAFETY: the caller's promise; the loop ends at the range's end, which is whole rounds away.
    unsafe {
        asm!(
            "2:",
            ".rept {unrolled}",
            "dc zva, {at}",
            "dc civac, {at}",
            "add {at}, {at}, {step}",
            ".endr",
            "cmp {at}, {end}",
            "b.lo 2b",
            at = inout(reg) va => _,
            step = in(reg) step,
            end = in(reg) va.wrapping_add(len),
            unrolled = const UNROLLED,
            options(nostack),
        );
    }
    dsb_sy();
}

/// Bytes that DC ZVA zeroes, at most 2048; `None` where it is prohibited.
fn block() -> Option<usize> {
    let id = sysreg::dczid_el0();
    (!dczid::DZP.is_set(id)).then(|| 4 << dczid::BS.read(id))
}

/// Zeroes `[va, va + len)`, both multiples of 2048.
///
/// # Safety
///
/// As for [`zero_to_poc`].
unsafe fn zero(va: usize, len: usize) {
    let Some(block) = block() else {
        // SAFETY: the caller's promise.
        unsafe { core::ptr::write_bytes(va as *mut u8, 0, len) };
        return;
    };
    let mut at = va;
    let end = va.saturating_add(len);
    while at < end {
        // SAFETY: the caller's promise.
        unsafe { asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags)) };
        at = at.saturating_add(block);
    }
}
