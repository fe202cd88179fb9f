//! Power states of the vCPUs and of the VM (DEN0022).

use alloc::vec::Vec;

use crate::rules::Rule;
use crate::state::{Power, Start, State};

pub(crate) enum Then {
    Returns(i64),
    Suspends,
    TurnsOff,
    PowersOff,
    Resets,
}

/// Bits of an MPIDR that are an affinity.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// A call with the function numbers of PSCI, its arguments cut to what its convention has.
pub(crate) fn call(
    state: &mut State,
    vcpu: usize,
    id: u64,
    [x1, x2, x3]: [u64; 3],
) -> (Then, Rule) {
    match id {
        0x8400_0000 => (Then::Returns(0x1_0001), Rule::PsciVersion),
        0x8400_0001 | 0xc400_0001 => (Then::Suspends, Rule::Suspend),
        0x8400_0002 => {
            state.power.insert(vcpu, Power::Off);
            (Then::TurnsOff, Rule::CpuOff)
        }
        0x8400_0003 | 0xc400_0003 => {
            let (x0, rule) = cpu_on(state, vcpu, x1, x2, x3);
            (Then::Returns(x0), rule)
        }
        0x8400_0004 | 0xc400_0004 => {
            let (x0, rule) = affinity_info(state, x1, x2);
            (Then::Returns(x0), rule)
        }
        0x8400_0006 => (Then::Returns(2), Rule::MigrateType),
        0x8400_0008 => {
            state.is_off = true;
            (Then::PowersOff, Rule::SystemOff)
        }
        0x8400_0009 => {
            *state = State::new(state.config.clone());
            (Then::Resets, Rule::SystemReset)
        }
        0x8400_0012 | 0xc400_0012 => match x1 & 0xffff_ffff {
            1..=0x7fff_ffff => (Then::Returns(-2), Rule::Reset2Reserved),
            _ => {
                *state = State::new(state.config.clone());
                (Then::Resets, Rule::Reset2)
            }
        },
        0x8400_000a => match x1 & 0xffff_ffff {
            0x8000_0000
            | 0x8400_0000..=0x8400_0004
            | 0xc400_0001
            | 0xc400_0003
            | 0xc400_0004
            | 0x8400_0006
            | 0x8400_0008
            | 0x8400_0009
            | 0x8400_000a
            | 0x8400_0012
            | 0xc400_0012 => (Then::Returns(0), Rule::PsciFeatures),
            _ => (Then::Returns(-1), Rule::PsciFeaturesNone),
        },
        _ => (Then::Returns(-1), Rule::Unknown),
    }
}

fn cpu_on(state: &mut State, caller: usize, target: u64, entry: u64, context: u64) -> (i64, Rule) {
    // Bits that are no affinity are in no key either.
    let Some(&vcpu) = state.config.affinities.get(&target) else {
        return (-2, Rule::CpuOnTarget);
    };
    match state.power.get(&vcpu) {
        Some(Power::On) => (-4, Rule::CpuOnRunning),
        Some(Power::Pending(_)) => (-5, Rule::CpuOnPending),
        Some(Power::Off) | None => {
            let is_big_endian = state.big_endian.get(&caller) == Some(&true);
            state.power.insert(vcpu, Power::Pending(Start { entry, context, is_big_endian }));
            (0, Rule::CpuOn)
        }
    }
}

fn affinity_info(state: &State, target: u64, level: u64) -> (i64, Rule) {
    if level > 3 {
        return (-2, Rule::AffinityLevel);
    }
    if target & !AFFINITY != 0 {
        return (-2, Rule::AffinityTarget);
    }
    // What is left of an affinity where the fields below the level do not matter.
    let above = |affinity: u64| affinity >> (8 * level) << (8 * level);
    let states: Vec<_> = state
        .config
        .affinities
        .iter()
        .filter(|(affinity, _)| above(**affinity) == above(target))
        .filter_map(|(_, vcpu)| state.power.get(vcpu))
        .collect();
    if states.is_empty() {
        (-2, Rule::AffinityTarget)
    } else if states.contains(&&Power::On) {
        (0, Rule::AffinityOn)
    } else if states.iter().any(|power| matches!(power, Power::Pending(_))) {
        (2, Rule::AffinityPending)
    } else {
        (1, Rule::AffinityOff)
    }
}

/// A vCPU that does not run looks whether it is to start.
pub(crate) fn wait(state: &mut State, vcpu: usize) -> Option<Start> {
    let Some(Power::Pending(start)) = state.power.get(&vcpu).copied() else { return None };
    state.power.insert(vcpu, Power::On);
    state.big_endian.insert(vcpu, start.is_big_endian);
    Some(start)
}
