//! What the functions return: 0, a positive word or a negative reason.

use guest_shim::{DiscoveryError, Error};

/// Done.
pub const OK: i32 = 0;
/// The command line does not ask for the guard; nothing was called.
pub const NOT_ASKED: i32 = 1;
/// The hypervisor does not offer this call.
pub const NOT_SUPPORTED: i32 = -1;
/// The hypervisor refuses these arguments.
pub const INVALID_PARAMETER: i32 = -3;
/// The hypervisor answers a code that the ABI does not define.
pub const UNKNOWN_ANSWER: i32 = -100;
/// A range call claims to have done nothing, or more than it was asked for.
pub const PROGRESS: i32 = -101;
/// The granule is no power of two, or larger than the guest's pages.
pub const GRANULE: i32 = -102;
/// The region is empty or does not end within 64 bits.
pub const REGION: i32 = -103;
/// A null pointer, an unknown dialect, or a struct that no successful call has filled.
pub const ARGUMENT: i32 = -104;
/// PSCI 1.0 is not there.
pub const NO_PSCI: i32 = -110;
/// SMCCC 1.1 is not there.
pub const NO_SMCCC: i32 = -111;
/// Another hypervisor, or none.
pub const OTHER_HYPERVISOR: i32 = -112;
/// The hypervisor is the right one but does not tell its features.
pub const NO_FEATURES: i32 = -113;

pub(crate) fn of_discovery(error: DiscoveryError) -> i32 {
    match error {
        DiscoveryError::NoPsci(_) => NO_PSCI,
        DiscoveryError::NoSmccc(_) => NO_SMCCC,
        DiscoveryError::OtherHypervisor(_) => OTHER_HYPERVISOR,
        DiscoveryError::NoFeatures(_) => NO_FEATURES,
    }
}

pub(crate) fn of_error(error: Error) -> i32 {
    match error {
        Error::NotSupported(_) => NOT_SUPPORTED,
        Error::InvalidParameter(_) => INVALID_PARAMETER,
        Error::Unknown { .. } => UNKNOWN_ANSWER,
        Error::Progress { .. } => PROGRESS,
        Error::Granule(_) => GRANULE,
        Error::Region { .. } => REGION,
    }
}

pub(crate) fn of(result: Result<(), Error>) -> i32 {
    result.map_or_else(of_error, |()| OK)
}
