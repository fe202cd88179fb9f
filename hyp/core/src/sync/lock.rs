//! The lock for package `interleave`: see [`super::watched`].

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::watched::is_in_model;

/// A lock that is watched. `R` says what waiting does in the one it stands for.
#[derive(Debug)]
pub struct TicketMutex<T, R> {
    /// What keeps threads apart, and in which order they come, in a model.
    model: OnceLock<loom::sync::Mutex<()>>,
    /// In a model never waited for.
    value: Mutex<T>,
    relax: PhantomData<R>,
}

/// A lock that is held.
#[derive(Debug)]
pub struct TicketMutexGuard<'a, T, R> {
    // Let go of in this order.
    value: MutexGuard<'a, T>,
    _model: Option<loom::sync::MutexGuard<'a, ()>>,
    relax: PhantomData<R>,
}

impl<T, R> TicketMutex<T, R> {
    /// Protects `value`.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { model: OnceLock::new(), value: Mutex::new(value), relax: PhantomData }
    }

    /// Waits for the lock.
    pub fn lock(&self) -> TicketMutexGuard<'_, T, R> {
        let model = is_in_model().then(|| {
            let lock = self.model.get_or_init(|| loom::sync::Mutex::new(()));
            lock.lock().unwrap_or_else(PoisonError::into_inner)
        });
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        TicketMutexGuard { value, _model: model, relax: PhantomData }
    }
}

impl<T, R> Deref for TicketMutexGuard<'_, T, R> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T, R> DerefMut for TicketMutexGuard<'_, T, R> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
