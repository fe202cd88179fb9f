//! The lock for package `interleave`: see [`super::watched`].

use core::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::watched::is_in_model;

/// A lock that is watched.
#[derive(Debug)]
pub struct TicketMutex<T> {
    /// What keeps threads apart, and in which order they come, in a model.
    model: OnceLock<loom::sync::Mutex<()>>,
    /// In a model never waited for.
    value: Mutex<T>,
}

/// A lock that is held.
#[derive(Debug)]
pub struct TicketMutexGuard<'a, T> {
    // Let go of in this order.
    value: MutexGuard<'a, T>,
    _model: Option<loom::sync::MutexGuard<'a, ()>>,
}

impl<T> TicketMutex<T> {
    /// Protects `value`.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { model: OnceLock::new(), value: Mutex::new(value) }
    }

    /// Waits for the lock.
    pub fn lock(&self) -> TicketMutexGuard<'_, T> {
        let model = is_in_model().then(|| {
            let lock = self.model.get_or_init(|| loom::sync::Mutex::new(()));
            lock.lock().unwrap_or_else(PoisonError::into_inner)
        });
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        TicketMutexGuard { value, _model: model }
    }
}

impl<T> Deref for TicketMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for TicketMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
