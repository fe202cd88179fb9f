//! Walks the frame records of the calling CPU's stack (AAPCS64, 6.4.6: the frame chain).

use core::arch::asm;

use super::percpu;

/// The most frames that are printed.
const DEPTH: usize = 24;

/// This function's frame pointer.
#[inline(always)]
pub(crate) fn frame_pointer() -> u64 {
    let value;
    // SAFETY: reads a general register.
    unsafe { asm!("mov {}, x29", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Return addresses from the frame record at `fp` outward. Ends at the first record that does not
/// lie on this CPU's stacks or does not lead upward, so a damaged chain is cut, not followed.
pub(crate) fn from(fp: u64) -> impl Iterator<Item = u64> {
    let slot = percpu::slot();
    let mut fp = usize::try_from(fp).unwrap_or(0);
    core::iter::from_fn(move || {
        let page = fp.wrapping_sub(slot.start) & !0xfff;
        let on_stack = slot.contains(&fp) && !percpu::GUARD_PAGES.contains(&page);
        if fp % 16 != 0 || !on_stack {
            return None;
        }
        // SAFETY: two words within this CPU's slot, off the guard pages, aligned.
        let [next, address] = unsafe { (fp as *const [u64; 2]).read() };
        let next = usize::try_from(next).unwrap_or(0);
        fp = if next > fp { next } else { 0 };
        (address != 0).then_some(address)
    })
    .take(DEPTH)
}
