//! The ends of guests that never get anywhere again.
#![expect(unsafe_code, reason = "deliberate crashes")]

use core::arch::global_asm;

use super::probe::Piece;

global_asm!(include_str!("hostile.S"));

// SAFETY: `hostile.S` has them; none comes back.
unsafe extern "C" {
    fn hostile_own_vector(nothing: u64) -> !;
    fn hostile_return(nothing: u64) -> !;
    fn hostile_nowhere(nothing: u64) -> !;
    fn hostile_nowhere_flat(nothing: u64) -> !;
    fn hostile_undefined(nothing: u64) -> !;
    fn hostile_no_vectors(nothing: u64) -> !;
    fn load32_patiently();
    fn clear_block_at();
    fn hostile_retry(nothing: u64, tries: *mut u64, data: u64, pause: u64);
}

/// Loads from `nothing` with an abort handler that tries 3,000 times, waits `pause` ticks of the virtual
/// counter each time and writes a full stop to `data`, a PL011's data register, every 500 times. Answers how
/// often it tried.
pub(crate) fn retry(nothing: u64, data: u64, pause: u64) -> u64 {
    let mut tries = 0;
    // SAFETY: it returns with the vectors as they were; its handler writes the counter it is given and the
    // UART, and keeps all registers that Rust counts on.
    unsafe { hostile_retry(nothing, &raw mut tries, data, pause) };
    tries
}

/// Loads 32 bits, again and again until there is no exception.
pub(crate) fn patient_load() -> Piece {
    Piece::at(load32_patiently as *const () as u64, 0)
}

/// Zeroes a block (DC ZVA), as kernels do to pages.
pub(crate) fn clear_block() -> Piece {
    Piece::at(clear_block_at as *const () as u64, 0)
}

/// A way to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The abort handler makes the access that it is to handle.
    OwnVector,
    /// The abort handler returns to the access without any change.
    Return,
    /// A jump to where the guest's own tables have no code; the vectors are there too.
    Nowhere,
    /// The same with the MMU off.
    NowhereFlat,
    /// The vectors hold no instructions.
    Undefined,
    /// There are no vectors: MMU off, VBAR_EL1 0.
    NoVectors,
}

/// Goes wrong on this CPU. `nothing` is an address with nothing behind it, 2 KiB aligned.
pub(crate) fn end(how: End, nothing: u64) -> ! {
    let function = match how {
        End::OwnVector => hostile_own_vector,
        End::Return => hostile_return,
        End::Nowhere => hostile_nowhere,
        End::NowhereFlat => hostile_nowhere_flat,
        End::Undefined => hostile_undefined,
        End::NoVectors => hostile_no_vectors,
    };
    // SAFETY: none of them returns, and what they do to this CPU's registers nobody sees.
    unsafe { function(nothing) }
}
