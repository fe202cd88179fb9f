//! Finding out which hypervisor this is and what it offers.

use hyp_abi::smccc;
use hyp_abi::{psci, vendor};
use thiserror::Error;

use crate::conduit::Conduit;
use crate::features::{Dialect, Features};
use crate::guard::Guard;
use crate::sharing::Sharing;

/// Why there are no services.
#[must_use]
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveryError {
    /// PSCI is older than 1.0 or does not know SMCCC_VERSION.
    #[error("PSCI 1.0 with SMCCC_VERSION is not there (PSCI_VERSION {0:#x})")]
    NoPsci(u64),
    /// SMCCC is older than 1.1.
    #[error("SMCCC 1.1 is not there (SMCCC_VERSION {0:#x})")]
    NoSmccc(u64),
    /// Another hypervisor, or one that does not say who it is (all ones).
    #[error("unknown hypervisor {0:#x?}")]
    OtherHypervisor([u32; 4]),
    /// FEATURES answers an error, though the UUID is right.
    #[error("FEATURES answers {0}")]
    NoFeatures(i64),
}

/// What a hypervisor of this ABI offers, and the way to call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Services<C> {
    conduit: C,
    dialect: Dialect,
    features: Features,
}

impl<C: Conduit> Services<C> {
    /// The whole chain, as Linux goes it: PSCI_VERSION, PSCI_FEATURES(SMCCC_VERSION),
    /// SMCCC_VERSION, CALL_UID, FEATURES.
    ///
    /// # Errors
    ///
    /// The link of the chain that is missing. Then none of this crate's calls may be made.
    pub fn discover(conduit: C, dialect: Dialect) -> Result<Self, DiscoveryError> {
        let [version, ..] = conduit.call(psci::VERSION, [0; 3]);
        let is_old = !(0x1_0000..=0x7fff_ffff).contains(&version);
        let args = [u64::from(smccc::VERSION.0), 0, 0];
        if is_old || is_error(conduit.call(psci::FEATURES, args)[0]) {
            return Err(DiscoveryError::NoPsci(version));
        }
        let [version, ..] = conduit.call(smccc::VERSION, [0; 3]);
        Self::after_firmware(conduit, dialect, version)
    }

    /// The hook for a guest's firmware layer, to be called where it has found `smccc_version` (as
    /// SMCCC_VERSION answers it) by its own PSCI code: does the rest of the chain.
    ///
    /// # Errors
    ///
    /// The link of the chain that is missing. Then none of this crate's calls may be made.
    pub fn after_firmware(
        conduit: C,
        dialect: Dialect,
        smccc_version: u64,
    ) -> Result<Self, DiscoveryError> {
        if !(smccc::VERSION_1_1..=0x7fff_ffff).contains(&smccc_version) {
            return Err(DiscoveryError::NoSmccc(smccc_version));
        }
        let uid = conduit.call(vendor::CALL_UID, [0; 3]).map(low);
        if uid != vendor::KVM_UID {
            return Err(DiscoveryError::OtherHypervisor(uid));
        }
        let words = conduit.call(vendor::FEATURES, [0; 3]);
        if is_error(words[0]) {
            return Err(DiscoveryError::NoFeatures(words[0].cast_signed()));
        }
        Ok(Self { conduit, dialect, features: Features::new(words.map(low)) })
    }

    /// The feature bits.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// The numbering in use.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The MMIO guard, if at least its MAP is offered. (Mainline's hosts announce MAP alone.)
    ///
    /// A host that announces functions which the chosen dialect does not have speaks the other
    /// one, and is not called: in its numbers the guard's calls would share memory.
    #[must_use]
    pub fn mmio_guard(&self) -> Option<Guard<&C>> {
        Guard::new(&self.conduit, self.dialect, &self.features)
    }

    /// As [`mmio_guard`](Self::mmio_guard), with a conduit of its own.
    #[must_use]
    pub fn to_mmio_guard(&self) -> Option<Guard<C>>
    where
        C: Clone,
    {
        Guard::new(self.conduit.clone(), self.dialect, &self.features)
    }

    /// As [`mem_sharing`](Self::mem_sharing), with a conduit of its own.
    #[must_use]
    pub fn to_mem_sharing(&self) -> Option<Sharing<C>>
    where
        C: Clone,
    {
        Sharing::new(self.conduit.clone(), self.dialect, &self.features)
    }

    /// Memory sharing, if MEMINFO, SHARE and UNSHARE are offered.
    #[must_use]
    pub fn mem_sharing(&self) -> Option<Sharing<&C>> {
        Sharing::new(&self.conduit, self.dialect, &self.features)
    }
}

/// Whether a word of a 32-bit call is a negative number, sign-extended or not.
fn is_error(x0: u64) -> bool {
    low(x0).cast_signed() < 0
}

#[expect(clippy::cast_possible_truncation, reason = "32-bit calls answer in the low halves")]
fn low(register: u64) -> u32 {
    register as u32
}
