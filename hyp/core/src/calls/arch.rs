//! Arm architecture calls (DEN0028, section 7; DEN0070 for the workarounds).

use hyp_abi::smccc::{self, FunctionId, NOT_REQUIRED, NOT_SUPPORTED, SUCCESS};

use super::{CallServices, Outcome, done};

/// A vulnerability for which firmware interfaces define a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workaround {
    /// CVE-2017-5715, branch target injection.
    One,
    /// CVE-2018-3639, speculative store bypass.
    Two,
    /// CVE-2022-23960, branch history injection.
    Three,
}

/// How a machine stands to a vulnerability, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mitigation {
    /// Affected, and there is no call that helps.
    Vulnerable,
    /// Affected, and the call helps.
    Mitigated,
    /// Not affected.
    Unaffected,
}

/// `SMCCC_ARCH_FEATURES`.
#[inline(never)]
pub(super) fn features<S: CallServices>(services: &S, queried: u64) -> Outcome {
    let by_mitigation = |workaround, unaffected| match services.mitigation(workaround) {
        Mitigation::Vulnerable => NOT_SUPPORTED,
        Mitigation::Mitigated => SUCCESS,
        Mitigation::Unaffected => unaffected,
    };
    done(match FunctionId::from_x0(queried) {
        // KVM answers NOT_SUPPORTED for these two; the convention says they are there.
        smccc::VERSION | smccc::ARCH_FEATURES => SUCCESS,
        smccc::ARCH_WORKAROUND_1 => by_mitigation(Workaround::One, 1),
        smccc::ARCH_WORKAROUND_2 => by_mitigation(Workaround::Two, NOT_REQUIRED),
        smccc::ARCH_WORKAROUND_3 => by_mitigation(Workaround::Three, 1),
        _ => NOT_SUPPORTED,
    })
}

/// A workaround call. One that is not needed does nothing.
#[inline(never)]
pub(super) fn workaround<S: CallServices>(services: &S, workaround: Workaround) -> Outcome {
    match services.mitigation(workaround) {
        Mitigation::Vulnerable => return super::not_supported(),
        Mitigation::Mitigated => services.mitigate(workaround),
        Mitigation::Unaffected => {}
    }
    done(SUCCESS)
}
