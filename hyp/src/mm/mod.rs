//! EL2's own memory: its map, its heap, the extents it keeps for tables, and the windows through
//! which it touches a guest's memory.
#![expect(unsafe_code, reason = "raw memory is turned into references here and nowhere else")]

pub(crate) mod el2_map;
pub(crate) mod heap;
mod layout;
pub(crate) mod ports;
pub(crate) mod provoke;
mod window;

use hyp_core::addr::BLOCK_2M;
use hyp_core::memory::FreeMemory;

/// Fills all free memory with a byte that nobody expects to read, so that a test sees memory that
/// was handed out without being zeroed.
pub(crate) fn poison(memory: &FreeMemory) {
    const POISON: u8 = 0xa5;
    for piece in memory.pieces() {
        let mut at = piece.base();
        while at < piece.end() {
            let left = piece.end().get() - at.get();
            let bytes = left.min(BLOCK_2M - (at.get() & (BLOCK_2M - 1)));
            window::fill(at, crate::arch::word(bytes), POISON);
            at = hyp_core::addr::Pa(at.get() + bytes);
        }
    }
}
