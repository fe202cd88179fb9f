//! Memory sharing: pages that the host, or another VM, may see.

use hyp_abi::smccc::FunctionId;
use hyp_abi::vendor::{HAS_RANGE, pkvm};

use crate::conduit::Conduit;
use crate::error::{self, Error};
use crate::features::{Dialect, Features};

/// A hypervisor that lets a guest share granules of its memory.
///
/// What is shared can be read, written and executed by the host at any time: nothing in it may be
/// trusted, and no Rust reference may point into it.
pub trait MemSharingHypervisor {
    /// Shares the granule at `base_ipa` (aligned).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] if it is not memory of this guest, or shared already.
    fn share(&self, base_ipa: u64) -> Result<(), Error>;

    /// Takes the granule at `base_ipa` back; its contents are what the host left there.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] if it is not shared.
    fn unshare(&self, base_ipa: u64) -> Result<(), Error>;

    /// Bytes of a granule, a power of two.
    ///
    /// # Errors
    ///
    /// What the hypervisor answers; [`Error::Granule`] if that is no granule.
    fn granule(&self) -> Result<u64, Error>;

    /// Shares up to `count` granules from `base_ipa` on and returns how many: at least one.
    ///
    /// # Errors
    ///
    /// As [`share`](Self::share).
    fn share_range(&self, base_ipa: u64, count: u64) -> Result<u64, Error>;

    /// Takes up to `count` granules from `base_ipa` on back and returns how many: at least one.
    ///
    /// # Errors
    ///
    /// As [`unshare`](Self::unshare).
    fn unshare_range(&self, base_ipa: u64, count: u64) -> Result<u64, Error>;

    /// Shares `count` granules from `base_ipa` on, in as many calls as it takes.
    ///
    /// # Errors
    ///
    /// As [`share`](Self::share); what this call has shared so far is taken back then, as far as
    /// the hypervisor lets go of it. [`Error::Region`] if there are none, or not that many.
    fn share_all(&self, base_ipa: u64, count: u64) -> Result<(), Error> {
        let granule = checked_granule(self.granule()?, base_ipa, count)?;
        let mut done: u64 = 0;
        while done < count {
            let left = count.saturating_sub(done);
            match self.share_range(base_ipa.saturating_add(done.saturating_mul(granule)), left) {
                Ok(more) => done = done.saturating_add(more.clamp(1, left)),
                Err(error) => {
                    if done > 0 {
                        // The call that failed is what the caller hears of.
                        let _ = self.unshare_all(base_ipa, done);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Takes `count` granules from `base_ipa` on back, in as many calls as it takes, past refusals.
    ///
    /// # Errors
    ///
    /// The first refusal, as of [`unshare`](Self::unshare). [`Error::Region`] if there are none,
    /// or not that many.
    fn unshare_all(&self, base_ipa: u64, count: u64) -> Result<(), Error> {
        let granule = checked_granule(self.granule()?, base_ipa, count)?;
        let mut result = Ok(());
        let mut done: u64 = 0;
        while done < count {
            let left = count.saturating_sub(done);
            let at = base_ipa.saturating_add(done.saturating_mul(granule));
            let more = match self.unshare_range(at, left) {
                Ok(more) => more.clamp(1, left),
                // This granule cannot be helped; the others can.
                Err(error) => {
                    result = result.and(Err(error));
                    1
                }
            };
            done = done.saturating_add(more);
        }
        result
    }

    /// Gives the granule at `base_ipa` back to the host, which sees zeroes. When it is touched
    /// again, there is a fresh zero page. Nothing in it may be in use.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] if it is shared; [`Error::NotSupported`] if the call is not
    /// offered.
    fn relinquish(&self, base_ipa: u64) -> Result<(), Error>;
}

/// `granule`, if there is at least one from `base` on and none reaches beyond 64 bits.
fn checked_granule(granule: u64, base: u64, count: u64) -> Result<u64, Error> {
    let size = granule.saturating_mul(count);
    let last = size.checked_sub(1).and_then(|last| base.checked_add(last));
    if last.is_some() && size != u64::MAX { Ok(granule) } else { Err(Error::Region { base, size }) }
}

/// Memory sharing of a hypervisor found by [`Services`](crate::Services).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharing<C> {
    conduit: C,
    can_relinquish: bool,
    has_range: bool,
}

impl<C: Conduit> Sharing<C> {
    pub(crate) fn new(conduit: C, dialect: Dialect, features: &Features) -> Option<Self> {
        let needed = [pkvm::HYP_MEMINFO, pkvm::MEM_SHARE, pkvm::MEM_UNSHARE];
        if dialect != Dialect::Pkvm || !features.has_all(&needed) {
            return None;
        }
        let [granule, flags, ..] = conduit.call(pkvm::HYP_MEMINFO, [0; 3]);
        let has_range =
            error::granule(pkvm::HYP_MEMINFO, granule).is_ok() && flags & HAS_RANGE != 0;
        let can_relinquish = features.has(pkvm::MEM_RELINQUISH.function());
        Some(Self { conduit, can_relinquish, has_range })
    }

    /// Whether range calls are offered; without them the range methods do one granule each.
    #[must_use]
    pub fn has_range(&self) -> bool {
        self.has_range
    }

    fn one(&self, function: FunctionId, ipa: u64) -> Result<(), Error> {
        error::success(function, self.conduit.call(function, [ipa, 0, 0])[0])
    }

    fn range(&self, function: FunctionId, ipa: u64, count: u64) -> Result<u64, Error> {
        // A count of 0 would mean one granule to the hypervisor.
        if count == 0 {
            return Err(Error::Region { base: ipa, size: 0 });
        }
        if self.has_range {
            error::progress(function, count, self.conduit.call(function, [ipa, count, 0]))
        } else {
            self.one(function, ipa).map(|()| 1)
        }
    }
}

impl<C: Conduit> MemSharingHypervisor for Sharing<C> {
    fn share(&self, base_ipa: u64) -> Result<(), Error> {
        self.one(pkvm::MEM_SHARE, base_ipa)
    }

    fn unshare(&self, base_ipa: u64) -> Result<(), Error> {
        self.one(pkvm::MEM_UNSHARE, base_ipa)
    }

    fn granule(&self) -> Result<u64, Error> {
        let function = pkvm::HYP_MEMINFO;
        error::granule(function, self.conduit.call(function, [0; 3])[0])
    }

    fn share_range(&self, base_ipa: u64, count: u64) -> Result<u64, Error> {
        self.range(pkvm::MEM_SHARE, base_ipa, count)
    }

    fn unshare_range(&self, base_ipa: u64, count: u64) -> Result<u64, Error> {
        self.range(pkvm::MEM_UNSHARE, base_ipa, count)
    }

    fn relinquish(&self, base_ipa: u64) -> Result<(), Error> {
        if !self.can_relinquish {
            return Err(Error::NotSupported(pkvm::MEM_RELINQUISH));
        }
        self.one(pkvm::MEM_RELINQUISH, base_ipa)
    }
}
