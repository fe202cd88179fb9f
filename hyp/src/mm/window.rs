//! The window: 2 MiB of EL2's address space per CPU through which guest memory is touched.
//!
//! It shows a whole block of a VM's memory, which has nothing else in it. Of all other memory it shows the
//! pages that are meant: what shares their block may be memory that the tree calls `no-map`.
//!
//! Open for one operation at a time, on the CPU it belongs to, with interrupts masked; otherwise
//! its entry is invalid. Only this CPU uses the addresses, so invalidating its own TLB is enough:
//! what another CPU may have cached of them by speculation it never uses.

use core::sync::atomic::{AtomicU64, Ordering};

use hyp_core::addr::{BLOCK_2M, PAGE_SIZE, Pa};
use hyp_core::ports::Table;

use super::el2_map::{self, MapError};
use super::layout::{WINDOW_SIZE, WINDOWS};
use crate::arch::once::Once;
use crate::arch::{barrier, cache, percpu, tlb, word};

static TABLE: Once<&'static Table> = Once::new();
/// The pages of the boot CPU's window, where it shows pages.
static PAGES: Table = Table::new();

/// Prepares the windows of all CPUs.
pub(super) fn init() -> Result<(), MapError> {
    let table = el2_map::window_table()?;
    TABLE.set(table);
    Ok(())
}

/// An open window onto one 2 MiB block. Closed on drop.
struct Window {
    base: usize,
    entry: &'static AtomicU64,
}

impl Window {
    /// Opens this CPU's window with `descriptor` as its entry; `None` before [`init`] or when it is open
    /// already, which would be a bug.
    fn open(descriptor: u64) -> Option<Self> {
        let cpu = percpu::index();
        let entry = TABLE.get()?.entry(cpu)?;
        if entry.load(Ordering::Relaxed) != 0 {
            return None;
        }
        entry.store(descriptor, Ordering::Relaxed);
        barrier::dsb_ishst();
        barrier::isb();
        Some(Self { base: WINDOWS + cpu * WINDOW_SIZE, entry })
    }

    /// Address of `pa`, whose block this is.
    const fn at(&self, pa: Pa) -> usize {
        self.base.wrapping_add(word(pa.get() & (BLOCK_2M - 1)))
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.entry.store(0, Ordering::Relaxed);
        tlb::invalidate_el2_local(self.base);
    }
}

/// Runs `f` with the address of `pa`, in a VM's memory. A range that leaves its block, or a window that is open
/// already, is a bug of EL2's: a guest can bring neither about.
fn with(pa: Pa, bytes: usize, f: impl FnOnce(usize)) {
    let room = BLOCK_2M - (pa.get() & (BLOCK_2M - 1));
    assert!(bytes as u64 <= room, "window: {pa} + {bytes:#x} leaves its block");
    let block = pa.get() & !(BLOCK_2M - 1);
    injected!(maps(block, BLOCK_2M));
    match Window::open(el2_map::window_block(Pa(block))) {
        Some(window) => f(window.at(pa)),
        None => panic!("window: not there, or open already"),
    }
}

/// Calls `f` with `bytes` from `pa` mapped, in any memory, and no other page. Only by the boot CPU, before
/// it runs a guest: there is one table for this.
fn with_pages(pa: Pa, bytes: usize, f: impl FnOnce(usize)) {
    let block = pa.get() & !(BLOCK_2M - 1);
    let (first, end) = (pa.page().get(), pa.get() + bytes as u64);
    assert!(end - block <= BLOCK_2M, "window: {pa} + {bytes:#x} leaves its block");
    injected!(maps(first, end - first));
    let pages = (block..).step_by(word(PAGE_SIZE));
    for (entry, page) in PAGES.entries(0).unwrap_or(&[]).iter().zip(pages) {
        let is_meant = page >= first && page < end;
        entry.store(if is_meant { el2_map::window_page(Pa(page)) } else { 0 }, Ordering::Relaxed);
    }
    match Window::open(el2_map::window_pages(&PAGES)) {
        Some(window) => f(window.at(pa)),
        None => panic!("window: not there, or open already"),
    }
    // The window itself forgets one entry.
    tlb::invalidate_all_el2();
}

/// Zeroes `bytes` from `pa`, multiples of the page size, and leaves nothing of them in the caches:
/// a line that stayed would hide from a guest what it writes before it turns its caches on.
pub(super) fn zero(pa: Pa, bytes: usize) {
    with(pa, bytes, |va| {
        // SAFETY: the window maps the range as Normal memory and no reference points into it.
        unsafe { cache::zero_to_poc(va, bytes) };
    });
}

/// Fills `bytes` from `pa`, of any memory, with `value`; at boot. Left in the caches: only for memory that
/// is zeroed by [`zero`] before anybody else sees it.
pub(super) fn fill(pa: Pa, bytes: usize, value: u8) {
    with_pages(pa, bytes, |va| {
        // SAFETY: as in `zero`.
        unsafe { core::ptr::write_bytes(va as *mut u8, value, bytes) };
    });
}

/// Copies `data` to `pa` and leaves nothing of it in the caches; see [`zero`].
pub(super) fn write(pa: Pa, data: &[u8]) {
    with(pa, data.len(), |va| {
        // SAFETY: the window maps the range; EL2 holds no reference into guest memory, so `data`
        // lies elsewhere.
        unsafe { core::ptr::copy_nonoverlapping(data.as_ptr(), va as *mut u8, data.len()) };
        cache::clean_invalidate_to_poc(va, data.len());
    });
}

/// Zeroes `bytes` from `pa`, of any memory, and leaves nothing of them in the caches; at boot.
pub(super) fn wipe(pa: Pa, bytes: usize) {
    with_pages(pa, bytes, |va| {
        // SAFETY: as in `zero`.
        unsafe { core::ptr::write_bytes(va as *mut u8, 0, bytes) };
        cache::clean_invalidate_to_poc(va, bytes);
    });
}

/// Copies from `pa` into `buffer`. Lines are dropped first: a guest with its caches off wrote
/// past them.
pub(super) fn read(pa: Pa, buffer: &mut [u8]) {
    with(pa, buffer.len(), |va| {
        cache::clean_invalidate_to_poc(va, buffer.len());
        // SAFETY: as in `write`.
        unsafe {
            core::ptr::copy_nonoverlapping(va as *const u8, buffer.as_mut_ptr(), buffer.len());
        }
    });
}
