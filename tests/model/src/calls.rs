//! Which call is which.

use crate::guard::{self, Error};
use crate::memory;
use crate::power::{self, Then};
use crate::rules::Rule;
use crate::state::{Choice, Dialect, State};

pub(crate) enum Outcome {
    Returns([u64; 4]),
    Suspends,
    TurnsOff,
    PowersOff,
    Resets,
    Undefined,
    Replays,
}

/// An error or another single result, as a register holds it.
const fn one(x0: i64) -> Outcome {
    Outcome::Returns([x0.cast_unsigned(), 0, 0, 0])
}

pub(crate) fn call(
    state: &mut State,
    choice: &Choice,
    vcpu: usize,
    is_smc: bool,
    immediate: u16,
    [x0, x1, x2, x3]: [u64; 4],
) -> (Outcome, Rule) {
    if is_smc && state.config.smc_is_undefined {
        return (Outcome::Undefined, Rule::SmcUndefined);
    }
    if immediate != 0 {
        return (one(-1), Rule::Immediate);
    }
    let id = x0 & 0xffff_ffff;
    match id {
        0x8000_0000 => (one(0x1_0001), Rule::SmcccVersion),
        0x8600_ff01 => {
            let words = [0xb66f_b428, 0xe911_c52e, 0x564b_caa9, 0x743a_004d];
            (Outcome::Returns(words), Rule::Uid)
        }
        0x8600_0000 if !state.config.has_guard() => (one(1), Rule::FeaturesPlain),
        0x8600_0000 => match state.config.dialect {
            Dialect::Pkvm => (one(0xffd), Rule::FeaturesPkvm),
            Dialect::List2021 => (one(0x3d), Rule::FeaturesList),
        },
        0xc600_0002..=0xc600_000b if !state.config.has_guard() => (one(-1), Rule::NoGuard),
        0xc600_0002..=0xc600_000b => {
            let function = id & 0xff;
            match state.config.dialect {
                Dialect::Pkvm => pkvm(state, choice, function, [x1, x2, x3]),
                Dialect::List2021 => list_2021(state, choice, function, x1),
            }
        }
        0x8400_0000..=0x8400_001f | 0xc400_0000..=0xc400_001f => {
            let is_64bit = id & 0x4000_0000 != 0;
            let cut = |x: u64| if is_64bit { x } else { x & 0xffff_ffff };
            let (then, rule) = power::call(state, vcpu, id, [cut(x1), cut(x2), cut(x3)]);
            let outcome = match then {
                Then::Returns(x0) => one(x0),
                Then::Suspends => Outcome::Suspends,
                Then::TurnsOff => Outcome::TurnsOff,
                Then::PowersOff => Outcome::PowersOff,
                Then::Resets => Outcome::Resets,
            };
            (outcome, rule)
        }
        _ => (one(-1), Rule::Unknown),
    }
}

/// The calls of Android's and mainline's kernels. All errors are -3.
fn pkvm(
    state: &mut State,
    choice: &Choice,
    function: u64,
    [x1, x2, x3]: [u64; 3],
) -> (Outcome, Rule) {
    let done = |result: Result<Rule, Error>| match result {
        Ok(rule) => (one(0), rule),
        Err(Error(rule)) => (one(-3), rule),
    };
    let range = |(granules, result): (u64, Result<Rule, Error>)| match result {
        Ok(rule) => (Outcome::Returns([0, granules, 0, 0]), rule),
        Err(Error(rule)) => (one(-3), rule),
    };
    let is_plain = x2 == 0 && x3 == 0;
    match function {
        2 if x1 | x2 | x3 != 0 => (one(-3), Rule::MemInfoArguments),
        2 => (one(4096), Rule::MemInfo),
        3 if !is_plain => (one(-3), Rule::ShareArguments),
        3 => match memory::share(state, choice, x1) {
            Err(Rule::ShareReplay) => (Outcome::Replays, Rule::ShareReplay),
            result => done(result.map_err(Error)),
        },
        4 if !is_plain => (one(-3), Rule::UnshareArguments),
        4 => done(memory::unshare(state, x1).map_err(Error)),
        5 if x1 | x2 | x3 != 0 => (one(-3), Rule::InfoArguments),
        5 => (Outcome::Returns([4096, 1, 0, 0]), Rule::Info),
        6 => done(Ok(guard::enroll(state))),
        7 => done(guard::map(state, choice, x1)),
        8 => done(guard::unmap(state, x1)),
        9 if !is_plain => (one(-3), Rule::RelinquishArguments),
        9 => done(memory::relinquish(state, choice, x1).map_err(Error)),
        10 => range(guard::map_range(state, choice, x1, x2, x3)),
        _ => range(guard::unmap_range(state, choice, x1, x2, x3)),
    }
}

/// The calls of the postings. All errors are -1.
fn list_2021(state: &mut State, choice: &Choice, function: u64, x1: u64) -> (Outcome, Rule) {
    let result = match function {
        2 => return (one(4096), Rule::InfoList),
        3 => Ok(guard::enroll(state)),
        4 => guard::map(state, choice, x1),
        5 => guard::unmap(state, x1 / 4096 * 4096),
        _ => Err(Error(Rule::ListOthers)),
    };
    match result {
        Ok(rule) => (one(0), rule),
        Err(Error(rule)) => (one(-1), rule),
    }
}
