//! What can go wrong with a call, and how an answer becomes a result.

use hyp_abi::smccc::{self, FunctionId};
use thiserror::Error;

/// Why a call, or a sequence of calls, did not do what was asked.
///
/// Nothing of it is fatal for a guest by itself, but a page whose guard call failed will abort
/// when it is touched.
#[must_use]
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The hypervisor does not know this function (-1).
    #[error("call {:#x} is not supported", .0.0)]
    NotSupported(FunctionId),
    /// An argument is out of range, or the page is in a state that forbids the change (-3).
    #[error("call {:#x} refuses its arguments", .0.0)]
    InvalidParameter(FunctionId),
    /// A code that the ABI does not define.
    #[error("call {:#x} answers {code}", .function.0)]
    Unknown {
        /// The function.
        function: FunctionId,
        /// Its answer.
        code: i64,
    },
    /// A range call claims to have done nothing, or more than it was asked for.
    #[error("call {:#x} claims to have done {done} granules of {asked}", .function.0)]
    Progress {
        /// The function.
        function: FunctionId,
        /// Granules that it was asked to do.
        asked: u64,
        /// Granules that it claims to have done.
        done: u64,
    },
    /// The granule is 0, no power of two, or larger than the guest's pages.
    #[error("a granule of {0} bytes cannot be used")]
    Granule(u64),
    /// The region is empty or does not end within 64 bits.
    #[error("no region of {size:#x} bytes at {base:#x}")]
    Region {
        /// Its first byte.
        base: u64,
        /// Its bytes.
        size: u64,
    },
}

/// The code in an x0 that holds 0 or an error.
///
/// Errors are negative numbers of 64 bits; android13-5.15 answers some of them in 32 bits with the
/// upper half zero, so only the low half is looked at.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
fn code(x0: u64) -> i64 {
    i64::from(x0 as u32 as i32)
}

fn failure(function: FunctionId, code: i64) -> Error {
    match code {
        smccc::NOT_SUPPORTED => Error::NotSupported(function),
        smccc::INVALID_PARAMETER => Error::InvalidParameter(function),
        code => Error::Unknown { function, code },
    }
}

/// A call that answers 0 or an error.
pub(crate) fn success(function: FunctionId, x0: u64) -> Result<(), Error> {
    match (x0, code(x0)) {
        (0, _) => Ok(()),
        // Something in the upper half only.
        (_, 0) => Err(Error::Unknown { function, code: x0.cast_signed() }),
        (_, code) => Err(failure(function, code)),
    }
}

/// A call that answers a granule or an error.
pub(crate) fn granule(function: FunctionId, x0: u64) -> Result<u64, Error> {
    if code(x0) < 0 {
        Err(failure(function, code(x0)))
    } else if x0.is_power_of_two() {
        Ok(x0)
    } else {
        Err(Error::Granule(x0))
    }
}

/// A range call that answers 0 and how much it did, or an error.
pub(crate) fn progress(
    function: FunctionId,
    asked: u64,
    [x0, done, ..]: [u64; 4],
) -> Result<u64, Error> {
    success(function, x0)?;
    if (1..=asked).contains(&done) {
        Ok(done)
    } else {
        Err(Error::Progress { function, asked, done })
    }
}
