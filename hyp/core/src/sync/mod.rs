//! The atomics and the lock through which CPUs meet, each by one name.
//!
//! Package `interleave` builds this crate a second time with `cfg(interleave)`. There these names
//! stand for types that loom tries all orders of and that note every store, so that the code that
//! is checked is this code and no copy of it.

#[cfg(not(interleave))]
pub use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
#[cfg(not(interleave))]
pub use spin::mutex::{TicketMutex, TicketMutexGuard};

#[cfg(interleave)]
mod lock;
#[cfg(interleave)]
pub mod watched;
#[cfg(interleave)]
pub use lock::{TicketMutex, TicketMutexGuard};
#[cfg(interleave)]
pub use watched::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
