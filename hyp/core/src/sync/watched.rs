//! The same names for package `interleave`: inside [`model`] they are loom's, elsewhere they are
//! ordinary ones; stores are noted for whoever asked with [`note_stores`].
//!
//! A model is small and a translation table has 512 entries, so an atomic becomes loom's only when
//! it takes part: at its first use that is not a relaxed store. What is filled in bulk before it is
//! linked stays out, unless the model has loaded it before.

use core::cell::{Cell, RefCell};
use core::sync::atomic as plain;
use std::boxed::Box;
use std::sync::OnceLock;

pub use core::sync::atomic::Ordering;

/// Whether this is part of a [`model`].
pub(super) fn is_in_model() -> bool {
    IN_MODEL.get()
}

/// Which order a model leaves out, to show that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weaken {
    /// None: the code as it is.
    #[default]
    Nothing,
    /// Loads are relaxed.
    Acquire,
    /// Stores are relaxed.
    Release,
}

/// A store as it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store {
    /// The host's address of the atomic.
    pub at: usize,
    /// What it held.
    pub old: u64,
    /// What it holds now.
    pub new: u64,
    /// Whether stores before it are seen by whoever sees it.
    pub is_release: bool,
}

type Listener = Box<dyn FnMut(Store)>;

std::thread_local! {
    static IN_MODEL: Cell<bool> = const { Cell::new(false) };
    static WEAKEN: Cell<Weaken> = const { Cell::new(Weaken::Nothing) };
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

/// Runs `f` in every order of its threads' steps that `bounds` allow. loom runs its threads on the
/// calling one, where this is noted.
pub fn model(bounds: &loom::model::Builder, weaken: Weaken, f: impl Fn() + Sync + Send + 'static) {
    struct Left;
    impl Drop for Left {
        fn drop(&mut self) {
            IN_MODEL.set(false);
            WEAKEN.set(Weaken::Nothing);
        }
    }
    let _left = Left;
    IN_MODEL.set(true);
    WEAKEN.set(weaken);
    bounds.check(f);
}

/// Has every store to an [`AtomicU64`] made on this thread from now on told to `listener`.
pub fn note_stores(listener: Option<Listener>) {
    LISTENER.set(listener);
}

fn tell(at: usize, old: u64, new: u64, order: Ordering) {
    LISTENER.with_borrow_mut(|listener| {
        if let Some(listener) = listener {
            let is_release =
                matches!(order, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst);
            listener(Store { at, old, new, is_release });
        }
    });
}

/// `order` less what the model leaves out.
fn weakened(order: Ordering) -> Ordering {
    match (WEAKEN.get(), order) {
        (Weaken::Acquire, Ordering::Acquire) | (Weaken::Release, Ordering::Release) => {
            Ordering::Relaxed
        }
        (Weaken::Acquire, Ordering::AcqRel) => Ordering::Release,
        (Weaken::Release, Ordering::AcqRel) => Ordering::Acquire,
        (_, order) => order,
    }
}

/// The order in which threads come to an atomic. loom compares each access with the one before it
/// only, and two loads it takes to be free of order; so a thread that loads before it stores would
/// hide that another one has loaded before. Here every access is an exchange.
struct Turns(loom::sync::atomic::AtomicUsize);

impl Turns {
    fn new() -> Self {
        Self(loom::sync::atomic::AtomicUsize::new(0))
    }

    /// Orders nothing but the threads' steps.
    fn take(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

macro_rules! atomics {
    ($($name:ident($value:ty, $word:expr);)*) => {$(
        #[doc = concat!("An `", stringify!($name), "` that is watched.")]
        pub struct $name {
            plain: plain::$name,
            model: OnceLock<(loom::sync::atomic::$name, Turns)>,
        }

        impl $name {
            #[doc = "Holds `value`."]
            #[must_use]
            pub const fn new(value: $value) -> Self {
                Self { plain: plain::$name::new(value), model: OnceLock::new() }
            }

            fn in_model(&self) -> Option<&loom::sync::atomic::$name> {
                IN_MODEL.get().then(|| {
                    let value = || self.plain.load(Ordering::Relaxed);
                    let new = || (loom::sync::atomic::$name::new(value()), Turns::new());
                    let (model, turns) = self.model.get_or_init(new);
                    turns.take();
                    model
                })
            }

            #[doc = "As of `core`."]
            pub fn load(&self, order: Ordering) -> $value {
                match self.in_model() {
                    Some(model) => model.load(weakened(order)),
                    None => self.plain.load(order),
                }
            }

            #[doc = "As of `core`."]
            pub fn store(&self, value: $value, order: Ordering) {
                let is_out = order == Ordering::Relaxed && self.model.get().is_none();
                match if is_out { None } else { self.in_model() } {
                    Some(model) => model.store(value, weakened(order)),
                    None => {
                        let old = self.plain.swap(value, Ordering::SeqCst);
                        let word: fn($value) -> u64 = $word;
                        tell(core::ptr::from_ref(self) as usize, word(old), word(value), order);
                    }
                }
            }

            #[doc = "As of `core`."]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                match self.in_model() {
                    Some(model) => model.swap(value, weakened(order)),
                    None => self.plain.swap(value, order),
                }
            }

            #[doc = "As of `core`."]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                match self.in_model() {
                    Some(model) => {
                        model.compare_exchange(current, new, weakened(success), weakened(failure))
                    }
                    None => self.plain.compare_exchange(current, new, success, failure),
                }
            }

            #[doc = "As of `core`; never fails without a reason."]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }

            #[doc = "As of `core`."]
            pub fn try_update(
                &self,
                success: Ordering,
                failure: Ordering,
                mut next: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut old = self.load(failure);
                while let Some(new) = next(old) {
                    match self.compare_exchange(old, new, success, failure) {
                        Ok(old) => return Ok(old),
                        Err(now) => old = now,
                    }
                }
                Err(old)
            }

            #[doc = "As of `core`, where it goes by both names."]
            pub fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                next: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                self.try_update(success, failure, next)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.plain.fmt(f)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new(<$value>::default())
            }
        }
    )*};
}

macro_rules! arithmetic {
    ($($name:ident($value:ty): $($method:ident)*;)*) => {$(
        impl $name {$(
            #[doc = "As of `core`."]
            pub fn $method(&self, value: $value, order: Ordering) -> $value {
                match self.in_model() {
                    Some(model) => model.$method(value, weakened(order)),
                    None => self.plain.$method(value, order),
                }
            }
        )*}
    )*};
}

atomics! {
    AtomicBool(bool, u64::from);
    AtomicU8(u8, u64::from);
    AtomicU32(u32, u64::from);
    AtomicU64(u64, |value| value);
    AtomicUsize(usize, |value| value as u64);
}
arithmetic! {
    AtomicU32(u32): fetch_add fetch_sub fetch_and fetch_or;
    AtomicU64(u64): fetch_add fetch_sub fetch_and fetch_or;
    AtomicUsize(usize): fetch_add fetch_sub;
}
