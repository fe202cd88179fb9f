//! What happens to a vCPU, in the model's words.

use ::ghost::model::{Answer, Kind};
use hyp_core::calls::Outcome;
use hyp_core::esr::Direction;

use crate::arch::sysreg;

/// Calls that the model says nothing about: those of SMCCC about the machine, and of TRNG.
const UNKNOWN: [u32; 9] = [
    0x8000_0001,
    0x8000_3fff,
    0x8000_7fff,
    0x8000_8000,
    0x8400_0050,
    0x8400_0051,
    0x8400_0052,
    0x8400_0053,
    0xc400_0053,
];

/// Whether the model says nothing about a call with this x0.
pub(super) fn is_unknown(x0: u64) -> bool {
    UNKNOWN.into_iter().any(|id| u64::from(id) == x0 & 0xffff_ffff)
}

/// What a vCPU is told by `outcome`.
pub(super) const fn told(outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::Done(x) => Answer::Returns(*x),
        Outcome::Suspend => Answer::Suspends,
        Outcome::CpuOff => Answer::TurnsOff,
        Outcome::SystemOff => Answer::PowersOff,
        Outcome::SystemReset => Answer::Resets,
        Outcome::Undefined => Answer::Undefined,
        Outcome::Replay => Answer::Replays,
    }
}

/// Whether the guest runs at EL0.
pub(super) fn is_user() -> bool {
    let mode = sysreg::spsr_el2() & 0x1f;
    mode == 0 || mode == 0x10
}

pub(super) fn kind(direction: Direction) -> Kind {
    match direction {
        Direction::Read => Kind::Load,
        Direction::Write => Kind::Store(0),
    }
}
