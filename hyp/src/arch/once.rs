//! Values that are set once, at boot.

use core::cell::UnsafeCell;
use core::mem::{ManuallyDrop, MaybeUninit};

use super::cpu::Yield;

/// A value that is set once, at boot.
///
/// Who comes first is settled by one [`spin::once::Once`] without a value: with the value in it, each
/// kind of value would have a copy of the code that settles it.
pub(crate) struct Once<T> {
    is_set: spin::once::Once<(), Yield>,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is written before `is_set` says so, by the one caller that `is_set` picks, and
// only read from then on; so it moves between threads once, and references to it are shared.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// Not set yet.
    pub(crate) const fn new() -> Self {
        Self { is_set: spin::once::Once::new(), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Sets the value, if it is the first; returns the one that is set.
    pub(crate) fn set(&self, value: T) -> &T {
        let value = ManuallyDrop::new(value);
        let from: *const ManuallyDrop<T> = &raw const value;
        // SAFETY: `value` is forgotten here, so its bytes may become the value; they are written by
        // one caller, while nobody reads.
        unsafe { settle(&self.is_set, from.cast(), self.value.get().cast(), size_of::<T>()) };
        // SAFETY: set above, by this caller or by one before it, and nobody writes any more.
        unsafe { &*self.value.get().cast::<T>() }
    }

    /// The value, once there is one.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&T> {
        self.is_set.get()?;
        // SAFETY: it is set, and nobody writes any more.
        Some(unsafe { &*self.value.get().cast::<T>() })
    }
}

/// Copies `bytes` bytes and says that the value is set, unless somebody has before.
///
/// # Safety
///
/// `from` has to point to so many bytes, and `to` to other memory for as many, which nobody else
/// touches before `is_set` says that the value is set.
#[inline(never)]
unsafe fn settle(is_set: &spin::once::Once<(), Yield>, from: *const u8, to: *mut u8, bytes: usize) {
    is_set.call_once(|| {
        // SAFETY: by the caller's promise; `is_set` runs one of all such closures, once.
        unsafe { to.copy_from_nonoverlapping(from, bytes) };
    });
}
