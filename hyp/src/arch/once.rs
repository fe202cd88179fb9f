//! A value that is set once, at boot, and then only read.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering};

use super::cpu::yield_now;

const EMPTY: u8 = 0;
const BUSY: u8 = 1;
const SET: u8 = 2;

/// A value that is set once.
#[derive(Debug)]
pub(crate) struct Once<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: only the CPU that has taken the state from EMPTY to BUSY writes the value, and others see
// it as `&T` only once the state is SET, after which nobody writes.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// Without a value yet.
    pub(crate) const fn new() -> Self {
        Self { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// The value, if it is set.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: nobody writes any more.
        let value = unsafe { &*self.value.get() };
        // SAFETY: `set` has written it before the state became SET.
        Some(unsafe { value.assume_init_ref() })
    }

    /// Makes `value` the value unless there is one; returns the one that counts.
    pub(crate) fn set(&self, value: T) -> &T {
        let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
        if self.state.compare_exchange(EMPTY, BUSY, success, failure).is_ok() {
            // SAFETY: one CPU comes here, once, and nobody reads while the state is BUSY.
            unsafe { self.value.get().write(MaybeUninit::new(value)) };
            self.state.store(SET, Ordering::Release);
        }
        loop {
            if let Some(value) = self.get() {
                return value;
            }
            yield_now();
        }
    }
}
