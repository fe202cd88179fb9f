//! The MMIO guard's calls.

use hyp_abi::smccc::FunctionId;
use hyp_abi::vendor::{HAS_RANGE, list_2021, pkvm};

use crate::conduit::Conduit;
use crate::error::{self, Error};
use crate::features::{Dialect, Features};

/// A hypervisor that lets a guest name the pages behind which it expects devices.
///
/// Addresses are physical, as the guest sees them (IPA).
pub trait MmioGuardedHypervisor {
    /// Switches the guard on for the whole VM, for good. Protected VMs may be enrolled from the
    /// start; calling this again does no harm.
    ///
    /// # Errors
    ///
    /// What the hypervisor answers.
    fn enroll(&self) -> Result<(), Error>;

    /// Declares the granule at `address` (aligned) to be a device's. A second time is no error.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] ([`Error::NotSupported`] in the `list-2021` dialect) if
    /// `address` is not aligned, is memory, or lies outside the guest's address space.
    fn map(&self, address: u64) -> Result<(), Error>;

    /// Takes the declaration of the granule at `address` back.
    ///
    /// # Errors
    ///
    /// What the hypervisor answers. Hosts differ for granules that were not declared, and
    /// android13-5.15 answers -1 where it succeeded: log it, do not rely on it.
    fn unmap(&self, address: u64) -> Result<(), Error>;

    /// Bytes of a granule, a power of two.
    ///
    /// # Errors
    ///
    /// What the hypervisor answers; [`Error::Granule`] if that is no granule.
    fn granule(&self) -> Result<u64, Error>;

    /// Declares up to `count` granules from `base` on, and returns how many: at least one. The
    /// caller goes on behind them.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map); then none of these granules was declared by this call.
    fn map_range(&self, base: u64, count: u64) -> Result<u64, Error>;

    /// Takes up to `count` declarations from `base` on back, and returns how many: at least one.
    ///
    /// # Errors
    ///
    /// As [`unmap`](Self::unmap).
    fn unmap_range(&self, base: u64, count: u64) -> Result<u64, Error>;
}

impl<T: MmioGuardedHypervisor + ?Sized> MmioGuardedHypervisor for &T {
    fn enroll(&self) -> Result<(), Error> {
        (**self).enroll()
    }

    fn map(&self, address: u64) -> Result<(), Error> {
        (**self).map(address)
    }

    fn unmap(&self, address: u64) -> Result<(), Error> {
        (**self).unmap(address)
    }

    fn granule(&self) -> Result<u64, Error> {
        (**self).granule()
    }

    fn map_range(&self, base: u64, count: u64) -> Result<u64, Error> {
        (**self).map_range(base, count)
    }

    fn unmap_range(&self, base: u64, count: u64) -> Result<u64, Error> {
        (**self).unmap_range(base, count)
    }
}

/// The guard of a hypervisor found by [`Services`](crate::Services).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard<C> {
    conduit: C,
    dialect: Dialect,
    features: Features,
    /// Bits 10 and 11 are set and INFO says that it means them.
    has_range: bool,
}

impl<C: Conduit> Guard<C> {
    pub(crate) fn new(conduit: C, dialect: Dialect, features: &Features) -> Option<Self> {
        let mut guard = Self { conduit, dialect, features: *features, has_range: false };
        if !features.has(guard.map_function().function()) || guard.is_other_dialect() {
            return None;
        }
        guard.has_range = dialect == Dialect::Pkvm
            && features.has_all(&[
                pkvm::MMIO_GUARD_INFO,
                pkvm::MMIO_RGUARD_MAP,
                pkvm::MMIO_RGUARD_UNMAP,
            ])
            && {
                let [granule, flags, ..] = guard.conduit.call(pkvm::MMIO_GUARD_INFO, [0; 3]);
                error::granule(pkvm::MMIO_GUARD_INFO, granule).is_ok() && flags & HAS_RANGE != 0
            };
        Some(guard)
    }

    /// Whether range calls are offered; without them the range methods do one granule each.
    #[must_use]
    pub fn has_range(&self) -> bool {
        self.has_range
    }

    /// Whether all of INFO, ENROLL, MAP and UNMAP are announced, and not MAP alone.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.features.has_all(&match self.dialect {
            Dialect::Pkvm => [
                pkvm::MMIO_GUARD_INFO,
                pkvm::MMIO_GUARD_ENROLL,
                pkvm::MMIO_GUARD_MAP,
                pkvm::MMIO_GUARD_UNMAP,
            ],
            Dialect::List2021 => [
                list_2021::MMIO_GUARD_INFO,
                list_2021::MMIO_GUARD_ENROLL,
                list_2021::MMIO_GUARD_MAP,
                list_2021::MMIO_GUARD_UNMAP,
            ],
        })
    }

    /// Whether a host that is taken for one of the list postings announces what only came after
    /// them: their numbers end at 5, the other dialect's guard begins there.
    fn is_other_dialect(&self) -> bool {
        let first = pkvm::MMIO_GUARD_ENROLL.function();
        self.dialect == Dialect::List2021 && (first..64).any(|number| self.features.has(number))
    }

    fn map_function(&self) -> FunctionId {
        match self.dialect {
            Dialect::Pkvm => pkvm::MMIO_GUARD_MAP,
            Dialect::List2021 => list_2021::MMIO_GUARD_MAP,
        }
    }

    fn one(&self, function: FunctionId, address: u64) -> Result<(), Error> {
        error::success(function, self.conduit.call(function, [address, 0, 0])[0])
    }
}

impl<C: Conduit> MmioGuardedHypervisor for Guard<C> {
    fn enroll(&self) -> Result<(), Error> {
        let function = match self.dialect {
            Dialect::Pkvm => pkvm::MMIO_GUARD_ENROLL,
            Dialect::List2021 => list_2021::MMIO_GUARD_ENROLL,
        };
        error::success(function, self.conduit.call(function, [0; 3])[0])
    }

    fn map(&self, address: u64) -> Result<(), Error> {
        self.one(self.map_function(), address)
    }

    fn unmap(&self, address: u64) -> Result<(), Error> {
        let function = match self.dialect {
            Dialect::Pkvm => pkvm::MMIO_GUARD_UNMAP,
            Dialect::List2021 => list_2021::MMIO_GUARD_UNMAP,
        };
        self.one(function, address)
    }

    fn granule(&self) -> Result<u64, Error> {
        // Hosts that announce MAP alone tell the granule by MEMINFO.
        let function = match self.dialect {
            Dialect::List2021 => list_2021::MMIO_GUARD_INFO,
            Dialect::Pkvm if self.features.has(pkvm::MMIO_GUARD_INFO.function()) => {
                pkvm::MMIO_GUARD_INFO
            }
            Dialect::Pkvm => pkvm::HYP_MEMINFO,
        };
        error::granule(function, self.conduit.call(function, [0; 3])[0])
    }

    fn map_range(&self, base: u64, count: u64) -> Result<u64, Error> {
        if self.has_range {
            let function = pkvm::MMIO_RGUARD_MAP;
            error::progress(function, count, self.conduit.call(function, [base, count, 0]))
        } else {
            self.map(base).map(|()| 1)
        }
    }

    fn unmap_range(&self, base: u64, count: u64) -> Result<u64, Error> {
        if self.has_range {
            let function = pkvm::MMIO_RGUARD_UNMAP;
            error::progress(function, count, self.conduit.call(function, [base, count, 0]))
        } else {
            self.unmap(base).map(|()| 1)
        }
    }
}
