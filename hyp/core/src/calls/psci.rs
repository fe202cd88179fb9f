//! PSCI calls that take arguments (DEN0022, version 1.1).

use hyp_abi::psci::{self, status};
use hyp_abi::smccc::{self, FunctionId};

use super::{CallServices, Outcome, by_convention, done};
use crate::psci::Start;

/// The first `SYSTEM_RESET2` type that vendors define.
const RESET2_VENDOR: u64 = 0x8000_0000;

/// `CPU_ON`.
#[inline(never)]
pub(super) fn cpu_on<S: CallServices>(
    services: &S,
    id: FunctionId,
    target: u64,
    entry: u64,
    context: u64,
) -> Outcome {
    let start = Start {
        entry: by_convention(id, entry),
        context: by_convention(id, context),
        big_endian: services.caller_is_big_endian(),
    };
    match services.power().cpu_on(by_convention(id, target), &start) {
        Ok(index) => {
            services.wake(index);
            done(status::SUCCESS)
        }
        Err(status) => done(status),
    }
}

/// `AFFINITY_INFO`.
#[inline(never)]
pub(super) fn affinity_info<S: CallServices>(
    services: &S,
    id: FunctionId,
    target: u64,
    level: u64,
) -> Outcome {
    match services.power().affinity_info(by_convention(id, target), by_convention(id, level)) {
        Ok(answer) | Err(answer) => done(answer),
    }
}

/// `SYSTEM_RESET2`. The architecture defines type 0, a warm reset; a vendor's own resets are all
/// the same one here. The types between are reserved.
pub(super) fn reset2(kind: u64) -> Outcome {
    match kind & 0xffff_ffff {
        0 | RESET2_VENDOR.. => Outcome::SystemReset,
        _ => done(status::INVALID_PARAMETERS),
    }
}

/// `PSCI_FEATURES`. No function has feature flags: `CPU_SUSPEND` takes the original parameter
/// format and is platform-coordinated.
#[inline(never)]
pub(super) fn features(queried: u64) -> Outcome {
    done(match FunctionId::from_x0(queried) {
        smccc::VERSION
        | psci::VERSION
        | psci::CPU_SUSPEND_32
        | psci::CPU_SUSPEND_64
        | psci::CPU_OFF
        | psci::CPU_ON_32
        | psci::CPU_ON_64
        | psci::AFFINITY_INFO_32
        | psci::AFFINITY_INFO_64
        | psci::MIGRATE_INFO_TYPE
        | psci::SYSTEM_OFF
        | psci::SYSTEM_RESET
        | psci::SYSTEM_RESET2_32
        | psci::SYSTEM_RESET2_64
        | psci::FEATURES => status::SUCCESS,
        _ => status::NOT_SUPPORTED,
    })
}
