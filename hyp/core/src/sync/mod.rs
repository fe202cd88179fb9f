//! The atomics and the lock through which CPUs meet, each by one name.
//!
//! Package `interleave` builds this crate a second time with `cfg(interleave)`. There these names
//! stand for types that loom tries all orders of and that note every store, so that the code that
//! is checked is this code and no copy of it.

#[cfg(not(interleave))]
pub use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// A lock between CPUs, first come first served.
#[cfg(not(interleave))]
pub type TicketMutex<T> = spin::mutex::TicketMutex<T, Relax>;
/// A [`TicketMutex`] that is held.
#[cfg(not(interleave))]
pub type TicketMutexGuard<'a, T> = spin::mutex::TicketMutexGuard<'a, T, Relax>;

#[cfg(interleave)]
mod lock;
#[cfg(interleave)]
pub mod watched;
#[cfg(interleave)]
pub use lock::{TicketMutex, TicketMutexGuard};
#[cfg(interleave)]
pub use watched::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Relaxes a CPU that waits for a lock, as [`relax_by`] says.
#[derive(Debug, Clone, Copy)]
pub struct Relax;

static RELAX: spin::Once<fn()> = spin::Once::new();

/// Has CPUs that wait for a lock call `relax` in each round: on the machine a YIELD, which is an
/// instruction that this crate has no name for. The first call counts.
pub fn relax_by(relax: fn()) {
    RELAX.call_once(|| relax);
}

impl spin::RelaxStrategy for Relax {
    // Waiting is rare: what it needs of registers is not paid for where a lock is free.
    #[cold]
    #[inline(never)]
    fn relax() {
        if let Some(relax) = RELAX.get() {
            return relax();
        }
        #[cfg(interleave)]
        if watched::is_in_model() {
            return loom::thread::yield_now();
        }
        #[cfg(any(test, interleave, feature = "testing"))]
        std::thread::yield_now();
        #[cfg(not(any(test, interleave, feature = "testing")))]
        core::hint::spin_loop();
    }
}
