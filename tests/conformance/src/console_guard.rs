//! The first thing a protected guest does: guard its console, before the MMU is on.
//!
//! All of it is the shim's own code path, as a firmware author would write it, and so proves that
//! the shim needs neither MMU nor caches nor a heap.

use core::sync::atomic::{AtomicU64, Ordering};

use guest_shim::{Error, Hvc, IoremapGuard, MmioRegion, Place, Services};

use crate::config::{Config, Kinds, PAGE};

/// What came of it: 0, or a code that [`answer`] explains.
static ANSWER: AtomicU64 = AtomicU64::new(NOT_NEEDED);

/// The guard is not in force, nothing was called.
const NOT_NEEDED: u64 = 1;
/// Discovery failed.
const NO_SERVICES: u64 = 2;
/// The guard is not offered.
const NO_GUARD: u64 = 3;

/// Guards the console's page where that is needed. Runs with the MMU off.
pub(crate) fn announce(tree: &[u8]) {
    let config = Config::from_tree(tree, 0);
    if Kinds::ANY_PROTECTED.contains(config.kind) {
        ANSWER.store(try_announce(&config), Ordering::Relaxed);
    }
}

fn try_announce(config: &Config) -> u64 {
    let Ok(services) = Services::discover(Hvc, config.dialect()) else { return NO_SERVICES };
    let Some(calls) = services.mmio_guard() else { return NO_GUARD };
    let console = || Some(MmioRegion { base: config.uart, size: PAGE });
    let guarded = IoremapGuard::new(calls, PAGE, [Place::FREE; 1])
        .and_then(|mut hooks| hooks.map_early_console(console));
    match guarded {
        Ok(_) => 0,
        Err(Error::NotSupported(_)) => crate::hyper::NOT_SUPPORTED,
        Err(Error::InvalidParameter(_)) => crate::hyper::INVALID,
        Err(_) => NO_GUARD,
    }
}

/// What came of it: 0 if the page is guarded, a small number if nothing was called, else the
/// hypervisor's code.
pub(crate) fn answer() -> u64 {
    ANSWER.load(Ordering::Relaxed)
}
