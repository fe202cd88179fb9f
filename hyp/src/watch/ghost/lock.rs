//! The ghost check's locks.

use spin::mutex::SpinMutex;

use crate::arch::cpu::Yield;

/// A lock for whoever is there: an emulator with fewer CPUs than its guest has would wait long for the
/// next in a row.
pub(super) type Unfair<T> = SpinMutex<T, Yield>;
