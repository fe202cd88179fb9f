//! EL2's own memory: its map, its heap, the extents it keeps for tables, and the windows through
//! which it touches a guest's memory.
#![expect(unsafe_code, reason = "raw memory is turned into references here and nowhere else")]

pub(crate) mod el2_map;
pub(crate) mod heap;
mod layout;
pub(crate) mod leftover;
pub(crate) mod memory_log;
pub(crate) mod ports;
pub(crate) mod provoke;
pub(crate) mod spin_table;
mod window;

use hyp_core::addr::{BLOCK_2M, Pa};
use hyp_core::memory::FreeMemory;

use crate::arch::word;

/// Fills all free memory with a byte that nobody expects to read, so that a test sees memory that
/// was handed out without being zeroed.
pub(crate) fn poison(memory: &FreeMemory) {
    const POISON: u8 = 0xa5;
    for piece in memory.pieces() {
        let mut at = piece.base();
        while at < piece.end() {
            let left = piece.end().get() - at.get();
            let bytes = left.min(BLOCK_2M - (at.get() & (BLOCK_2M - 1)));
            window::fill(at, word(bytes), POISON);
            at = Pa(at.get() + bytes);
        }
    }
}

/// Overwrites `bytes` of the tree from offset `at` with zeroes: a seed that nobody else may see.
///
/// The bytes change under the slice that [`el2_map::firmware_tree`] returned, which therefore must
/// not be read there again.
pub(crate) fn wipe_tree(tree: Pa, at: usize, bytes: usize) {
    let mut done = 0;
    while done < bytes {
        let from = tree.get() + (at + done) as u64;
        let part = (bytes - done).min(word(BLOCK_2M - from % BLOCK_2M));
        window::wipe(Pa(from), part);
        done += part;
    }
}
