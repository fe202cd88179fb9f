//! vCPUs of which nearly all are at something all the time, and all orders of what they did, tried one by
//! one.

use std::collections::BTreeSet;

use ghost::model::{Answer, Event, Start};
use ghost::{Deed, Tally};

use crate::machine::returns;
use crate::machine::{AFFINITY_INFO, ALREADY_ON, CPU_ON, ENTRY, Machine, ON_PENDING, Random, Vcpu};

/// What a vCPU did between two moments at which none did anything.
struct Interval {
    deed: Deed,
    answer: Answer,
    /// When it began and ended.
    times: (usize, usize),
}

/// Some vCPU goes one step further, many times over: it begins something, it does it, it is told what came
/// of it. Nearly always all are at something. One answer in `lies` is another than it was; `0` for
/// none. After each time that nobody was at anything, `check` hears what everybody did since the last one,
/// how things stand, and what the judge had against it. Ends there or after `steps`.
fn crowd(
    vcpus: usize,
    steps: usize,
    lies: usize,
    seed: u64,
    mut check: impl FnMut(&[Interval], &[(bool, bool)], Option<String>) -> bool,
) -> Tally {
    let machine = Machine::started(vcpus);
    let mut random = Random(seed);
    let mut states: Vec<Vcpu> = (0..vcpus).map(|_| Vcpu::default()).collect();
    let mut begun = vec![0; vcpus];
    let (mut done, mut complaint) = (Vec::new(), None);
    for step in 0..steps {
        let vcpu = random.below(vcpus);
        let state = &mut states[vcpu];
        match state.at.take() {
            None => {
                let deed = state.next(vcpu, vcpus, &mut random);
                machine.begins(vcpu, deed);
                begun[vcpu] = step;
                state.at = Some((deed, None));
            }
            Some((deed, None)) => state.at = Some((deed, Some(machine.performs(deed)))),
            Some((deed, Some(answer))) => {
                state.learn(deed, answer);
                let told = match answer {
                    Answer::Returns(_) if lies > 0 && random.below(lies) == 0 => {
                        returns([0, 1, 2, ALREADY_ON, ON_PENDING][random.below(5)])
                    }
                    answer => answer,
                };
                let verdict = machine.ends(vcpu, &told);
                complaint = complaint.or(verdict.err());
                done.push(Interval { deed, answer: told, times: (begun[vcpu], step) });
                if states.iter().all(|state| state.at.is_none()) {
                    if !check(&done, &machine.seen(), complaint.take()) {
                        break;
                    }
                    done.clear();
                }
            }
        }
    }
    assert_eq!(complaint.filter(|_| lies == 0), None);
    machine.judge.into_inner().unwrap().tally
}

const PENDING: u64 = 16;

/// The states that some order of `deeds`, each within its time, leads to from `powers`, but for those
/// `done`; all are tried. Each vCPU is 0 off, 1 on, or [`PENDING`] and the context it starts with.
fn outcomes(deeds: &[Interval], powers: &[u64], done: u64, found: &mut BTreeSet<Vec<u64>>) {
    let left = || deeds.iter().enumerate().filter(|(index, _)| done >> index & 1 == 0);
    let Some(end) = left().map(|(_, deed)| deed.times.1).min() else {
        found.insert(powers.to_vec());
        return;
    };
    for (index, deed) in left().filter(|(_, deed)| deed.times.0 < end) {
        let mut next = powers.to_vec();
        if apply(&mut next, deed.deed) == deed.answer {
            outcomes(deeds, &next, done | 1 << index, found);
        }
    }
}

/// The vCPU with this affinity.
fn place(target: u64) -> usize {
    usize::try_from(target).unwrap()
}

/// What `deed` does to `powers`, and the answer.
fn apply(powers: &mut [u64], deed: Deed) -> Answer {
    match deed {
        Deed::Call(Event::Call { x: [CPU_ON, target, _, context], .. }, _) => {
            let power = &mut powers[place(target)];
            returns(match *power {
                0 => {
                    *power = PENDING + context;
                    0
                }
                1 => ALREADY_ON,
                _ => ON_PENDING,
            })
        }
        Deed::Call(Event::Call { x: [AFFINITY_INFO, target, ..], .. }, _) => {
            returns([1, 0, 2][powers[place(target)].min(2) as usize])
        }
        Deed::Call(..) => Answer::TurnsOff,
        Deed::Wait(vcpu) if powers[vcpu] >= PENDING => {
            let context = powers[vcpu] - PENDING;
            powers[vcpu] = 1;
            Answer::Starts(Start { entry: ENTRY, context, is_big_endian: false })
        }
        Deed::Off(vcpu) => {
            powers[vcpu] = 0;
            Answer::Nothing
        }
        Deed::Wait(_) | Deed::Reset | Deed::Boot => Answer::Nothing,
    }
}

#[test]
fn all_vcpus_at_something_all_the_time_are_judged_quickly() {
    for seed in 0..4 {
        let tally = crowd(8, 20_000, 0, seed, |_, _, complaint| {
            assert_eq!(complaint, None);
            true
        });
        assert!(tally.transitions > 1000 && tally.comparisons > 5000, "{tally:?}");
    }
}

#[test]
fn the_judge_complains_of_what_no_order_explains_and_of_nothing_else() {
    let (mut sound, mut wrong, mut orders) = (0, 0, 0);
    for seed in 0..1000 {
        let mut before = BTreeSet::from([vec![PENDING, 0, 0]]);
        crowd(3, 2000, 15, seed, |deeds, seen, complaint| {
            if deeds.len() > 14 {
                // Too many orders to try.
                return false;
            }
            let mut after = BTreeSet::new();
            for powers in &before {
                outcomes(deeds, powers, 0, &mut after);
            }
            after.retain(|powers| {
                powers.iter().zip(seen).all(|(power, (is_on, is_starting))| {
                    (*power == 1, *power >= PENDING) == (*is_on, *is_starting)
                })
            });
            assert_eq!(complaint.is_some(), after.is_empty(), "seed {seed}: {complaint:?}");
            orders += usize::from(deeds.len() > 2);
            *(if after.is_empty() { &mut wrong } else { &mut sound }) += 1;
            // After a complaint the judge knows of no way.
            before = after;
            !before.is_empty()
        });
    }
    println!("{sound} sound, {wrong} wrong, {orders} with more than two");
    assert!(sound > 1000 && wrong > 100 && orders > 500, "{sound} {wrong} {orders}");
}
