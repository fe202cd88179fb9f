//! The log in memory; see `hyp_abi::log`.
//!
//! Each piece is written back to memory at once: whoever reads it by a debugger or after a reset has no caches.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use hyp_abi::log::{MAGIC, RING, SIZE};
use hyp_core::addr::Pa;

use super::el2_map;
use crate::arch::{cache, word};

/// The log. Nobody but EL2 writes it while EL2 runs.
#[repr(C, align(4096))]
struct MemoryLog {
    magic: [AtomicU8; MAGIC.len()],
    size: AtomicU64,
    written: AtomicU64,
    ring: [AtomicU8; RING],
}

const _: () = assert!(size_of::<MemoryLog>() == SIZE);

// SAFETY: `hyp.ld` gives the section a place of its own, mapped with the image's variables, and no other variable is
// in it. It is not zeroed at boot; whatever it holds is valid.
#[unsafe(link_section = ".memory_log")]
static LOG: MemoryLog = MemoryLog {
    magic: [const { AtomicU8::new(0) }; MAGIC.len()],
    size: AtomicU64::new(0),
    written: AtomicU64::new(0),
    ring: [const { AtomicU8::new(0) }; RING],
};

/// Begins an empty log; returns where it is.
pub(crate) fn start() -> Pa {
    LOG.written.store(0, Ordering::Relaxed);
    LOG.size.store(RING as u64, Ordering::Relaxed);
    for (cell, byte) in LOG.magic.iter().zip(MAGIC) {
        cell.store(byte, Ordering::Relaxed);
    }
    let at = (&raw const LOG).addr();
    cache::clean_invalidate_to_poc(at, SIZE);
    el2_map::image_pa(at)
}

/// Adds what `next` has, until it says `None`.
pub(crate) fn write(mut next: impl FnMut() -> Option<u8>) {
    let first = place(LOG.written.load(Ordering::Relaxed));
    let mut end = first;
    while let Some(byte) = next() {
        let at = place(LOG.written.fetch_add(1, Ordering::Relaxed));
        if let Some(cell) = LOG.ring.get(at) {
            cell.store(byte, Ordering::Relaxed);
        }
        end = at.wrapping_add(1);
    }
    // From the end it goes on at the beginning.
    let (first, bytes) = if end < first { (0, RING) } else { (first, end.wrapping_sub(first)) };
    cache::clean_invalidate_to_poc(LOG.ring.as_ptr().addr().wrapping_add(first), bytes);
    cache::clean_invalidate_to_poc(LOG.written.as_ptr().addr(), size_of::<u64>());
}

/// Where in the ring byte `number` of the log is.
fn place(number: u64) -> usize {
    word(number % RING as u64)
}
