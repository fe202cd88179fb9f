//! Vendor-specific hypervisor calls 2 and up: the MMIO guard and memory sharing, in both
//! dialects.
//!
//! `pkvm` follows Android's kernels where mainline says nothing: every error is
//! INVALID_PARAMETER, MAP and UNMAP ignore x2 and x3 (callers leave garbage there), INFO and
//! MEMINFO insist on zeroes. `list-2021` answers NOT_SUPPORTED for every error, as the postings
//! did, and has no memory calls.

use hyp_abi::smccc::{FunctionId, INVALID_PARAMETER, NOT_SUPPORTED, SUCCESS};
use hyp_abi::vendor::{HAS_RANGE, list_2021, pkvm};

use super::{CallServices, Outcome, Refusal, done};
use crate::addr::{Ipa, PAGE_SIZE};
use crate::features::Features;

/// The lowest identifier that [`call`] is to be asked about.
pub(super) const FIRST: u32 = pkvm::HYP_MEMINFO.0;
/// The highest.
pub(super) const LAST: u32 = pkvm::MMIO_RGUARD_UNMAP.0;

/// Answers a guard or memory call.
#[inline(never)]
pub(super) fn call<S: CallServices>(
    services: &S,
    id: FunctionId,
    x1: u64,
    x2: u64,
    x3: u64,
) -> Outcome {
    let features = services.features();
    // By far the most, tens of thousands while a kernel with PCI boots; without enrolment it is like
    // any other that cannot be.
    if id == pkvm::MMIO_GUARD_MAP
        && features.contains(Features::GUARD)
        && !features.contains(Features::LIST_2021)
        && services.is_enrolled()
    {
        return one(services.guard_map(Ipa(x1)));
    }
    call_other(services, id, x1, x2, x3)
}

#[inline(never)]
fn call_other<S: CallServices>(services: &S, id: FunctionId, x1: u64, x2: u64, x3: u64) -> Outcome {
    let features = services.features();
    if !features.contains(Features::GUARD) {
        // Exactly NOT_SUPPORTED tells Android's Rust client that it is not protected.
        return super::not_supported();
    }
    if features.contains(Features::LIST_2021) {
        call_list_2021(services, id, x1, x2)
    } else {
        call_pkvm(services, id, x1, x2, x3)
    }
}

fn call_pkvm<S: CallServices>(services: &S, id: FunctionId, x1: u64, x2: u64, x3: u64) -> Outcome {
    let ipa = Ipa(x1);
    match id {
        // r1 = 0, so that SHARE takes one page: one Android guest passes bytes for a count.
        pkvm::HYP_MEMINFO => granule(x1 | x2 | x3, 0),
        pkvm::MMIO_GUARD_INFO => granule(x1 | x2 | x3, HAS_RANGE),
        pkvm::MMIO_GUARD_ENROLL => {
            services.enroll();
            done(SUCCESS)
        }
        pkvm::MMIO_GUARD_UNMAP if services.is_enrolled() => one(services.guard_unmap(ipa)),
        pkvm::MMIO_RGUARD_MAP if services.is_enrolled() && x2 != 0 && x3 == 0 => {
            many(services.guard_map_range(ipa, x2))
        }
        pkvm::MMIO_RGUARD_UNMAP if services.is_enrolled() && x2 != 0 && x3 == 0 => {
            many(services.guard_unmap_range(ipa, x2))
        }
        pkvm::MEM_SHARE if x2 == 0 && x3 == 0 => one(services.share(ipa)),
        pkvm::MEM_UNSHARE if x2 == 0 && x3 == 0 => one(services.unshare(ipa)),
        pkvm::MEM_RELINQUISH if x2 == 0 && x3 == 0 => one(services.relinquish(ipa)),
        _ => done(INVALID_PARAMETER),
    }
}

fn call_list_2021<S: CallServices>(services: &S, id: FunctionId, x1: u64, x2: u64) -> Outcome {
    let result = match id {
        // Called with whatever x1 to x3 hold.
        list_2021::MMIO_GUARD_INFO => return Outcome::Done([PAGE_SIZE, 0, 0, 0]),
        list_2021::MMIO_GUARD_ENROLL => {
            services.enroll();
            Ok(())
        }
        // Callers pass all kinds of things in x2; only 0 to 7 are an index.
        list_2021::MMIO_GUARD_MAP if services.is_enrolled() => services.guard_map_as(Ipa(x1), x2),
        list_2021::MMIO_GUARD_UNMAP if services.is_enrolled() => {
            services.guard_unmap(Ipa(x1).page())
        }
        _ => Err(Refusal::Refused),
    };
    outcome(result.map(|()| [SUCCESS.cast_unsigned(), 0, 0, 0]), NOT_SUPPORTED)
}

/// The answer to INFO and MEMINFO; `arguments` are x1 to x3 in one, all of which must be 0.
fn granule(arguments: u64, flags: u64) -> Outcome {
    if arguments == 0 { Outcome::Done([PAGE_SIZE, flags, 0, 0]) } else { done(INVALID_PARAMETER) }
}

/// The answer to a call about one granule. r1 stays 0: it counts in range calls only.
fn one(result: Result<(), Refusal>) -> Outcome {
    outcome(result.map(|()| [0; 4]), INVALID_PARAMETER)
}

/// The answer to a range call: r1 counts the granules done.
fn many(result: Result<u64, Refusal>) -> Outcome {
    outcome(result.map(|granules| [0, granules, 0, 0]), INVALID_PARAMETER)
}

fn outcome(result: Result<[u64; 4], Refusal>, refused: i64) -> Outcome {
    match result {
        Ok(regs) => Outcome::Done(regs),
        Err(Refusal::Refused) => done(refused),
        Err(Refusal::Interrupted) => Outcome::Replay,
    }
}
