//! The power states of `hyp-core` under the eyes of the ghost, changed by threads at once; and histories
//! that cannot be.

#![cfg(test)]

#[path = "power/crowd.rs"]
mod crowd;
#[path = "power/machine.rs"]
mod machine;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ghost::model::{Answer, Start};
use ghost::{Deed, Power, Seen, Tally};

use machine::{AFFINITY_INFO, ALREADY_ON, CPU_ON, ENTRY, Machine, ON_PENDING, Random, Vcpu};
use machine::{call, config, returns};

/// Each thread is a vCPU; the first one stays on, so that there is always one to start the others, which
/// do `steps` steps each.
fn race(vcpus: usize, steps: u64) -> Tally {
    let machine = Machine::started(vcpus);
    let through = AtomicUsize::new(1);
    thread::scope(|scope| {
        for vcpu in 0..vcpus {
            let (machine, through) = (&machine, &through);
            scope.spawn(move || {
                let mut state = Vcpu::default();
                let mut random = Random(vcpu as u64 * 977 + 11);
                let mut step = 0;
                let is_needed = || vcpu == 0 && through.load(Ordering::Relaxed) < vcpus;
                while is_needed() || (vcpu != 0 && step < steps) {
                    // Of one that is off, the steps do not count.
                    step += u64::from(state.is_on);
                    let deed = state.next(vcpu, vcpus, &mut random);
                    let answer = machine.does(vcpu, deed, || machine.performs(deed));
                    state.learn(deed, answer);
                }
                through.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    machine.judge.into_inner().unwrap().tally
}

#[test]
fn power_calls_of_threads_at_once_are_explained() {
    for vcpus in [2, 3, 4, 8] {
        let tally = race(vcpus, 300);
        println!("{vcpus} vCPUs: {tally:?}");
        assert!(tally.transitions > 50 && tally.comparisons > 600, "{tally:?}");
    }
}

/// What is begun and what is done, by whom.
enum Word {
    Begins(usize, Deed),
    Ends(usize, Answer),
}

/// The first complaint about `words`, told to the judge of a VM whose first vCPU of three is on. `seen`
/// is how things stand whenever nothing is under way.
fn complaint(words: &[Word], seen: [(bool, bool); 3]) -> Option<String> {
    let mut judge = Power::new(&config(3));
    let first = [(true, false), (false, false), (false, false)];
    let start = Start { entry: ENTRY, context: 0, is_big_endian: false };
    judge.begin(0, Deed::Boot);
    let pending = [(false, true), (false, false), (false, false)];
    judge.finish(0, &Answer::Nothing, &Seen { vcpus: &pending, is_any_alive: true }).unwrap();
    judge.begin(0, Deed::Wait(0));
    judge.finish(0, &Answer::Starts(start), &Seen { vcpus: &first, is_any_alive: true }).unwrap();
    let seen = Seen { vcpus: &seen, is_any_alive: true };
    words.iter().find_map(|word| match word {
        Word::Begins(vcpu, deed) => {
            judge.begin(*vcpu, *deed);
            None
        }
        Word::Ends(vcpu, answer) => {
            judge.finish(*vcpu, answer, &seen).err().map(|error| error.to_string())
        }
    })
}

#[test]
fn only_what_some_order_explains_passes() {
    use Word::{Begins, Ends};
    const ON: (bool, bool) = (true, false);
    const OFF: (bool, bool) = (false, false);
    const PENDING: (bool, bool) = (false, true);
    let on = |vcpu, target, context| call(vcpu, [CPU_ON, target, ENTRY, context]);
    let start = |context| Answer::Starts(Start { entry: ENTRY, context, is_big_endian: false });
    // vCPU 1 is started by vCPU 0, and both start vCPU 2 at the same time.
    let both = |one, other, started| {
        [
            Begins(2, Deed::Wait(2)),
            Begins(0, on(0, 1, 7)),
            Begins(1, Deed::Wait(1)),
            Ends(0, returns(0)),
            Ends(1, start(7)),
            Begins(0, on(0, 2, 10)),
            Begins(1, on(1, 2, 11)),
            Ends(1, returns(other)),
            Ends(0, returns(one)),
            Ends(2, started),
        ]
    };
    let seen = [ON, ON, ON];
    for (one, other, context) in
        [(0, ON_PENDING, 10), (0, ALREADY_ON, 10), (ON_PENDING, 0, 11), (ALREADY_ON, 0, 11)]
    {
        assert_eq!(complaint(&both(one, other, start(context)), seen), None);
    }
    // Both were told that they did it; neither was; it starts as the one says that was refused.
    for (one, other, context) in
        [(0, 0, 10), (ON_PENDING, ON_PENDING, 10), (0, ALREADY_ON, 11), (ON_PENDING, 0, 10)]
    {
        assert!(
            complaint(&both(one, other, start(context)), seen).is_some(),
            "{one:#x} {other:#x}"
        );
    }
    // Nobody starts vCPU 2, and it starts; somebody has started it, and it does not hear of it.
    let alone = [Begins(2, Deed::Wait(2)), Ends(2, start(1))];
    let text = complaint(&alone, [ON, OFF, ON]).unwrap();
    assert!(text.contains("vCPU 2 looks whether it is to start"), "{text}");
    assert!(text.contains("the model says Nothing, the machine starts at 0x40200000"), "{text}");
    let deaf = [
        Begins(0, on(0, 2, 1)),
        Ends(0, returns(0)),
        Begins(2, Deed::Wait(2)),
        Ends(2, Answer::Nothing),
    ];
    let text = complaint(&deaf, [ON, OFF, PENDING]).unwrap();
    assert!(text.contains("the machine Nothing"), "{text}");
    // At the same time, it may miss it.
    let meanwhile = [
        Begins(0, on(0, 2, 1)),
        Begins(2, Deed::Wait(2)),
        Ends(0, returns(0)),
        Ends(2, Answer::Nothing),
    ];
    assert_eq!(complaint(&meanwhile, [ON, OFF, PENDING]), None);
    // But then the start still waits for it.
    let text = complaint(&meanwhile, [ON, OFF, OFF]).unwrap();
    assert!(text.contains("vCPU 2: the model says about to start, the machine off"), "{text}");
    // Off, though it was on all the time.
    let info = |answer| [Begins(0, call(0, [AFFINITY_INFO, 0, 0, 0])), Ends(0, returns(answer))];
    assert_eq!(complaint(&info(0), [ON, OFF, OFF]), None);
    assert!(complaint(&info(1), [ON, OFF, OFF]).is_some());
}
