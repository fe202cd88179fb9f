//! The power states of `hyp-core` under the eyes of the ghost, changed by threads at once; and histories
//! that cannot be.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ghost::model::{Answer, Conduit, Config, Dialect, Event, Start};
use ghost::{Deed, Power, Seen, Tally};
use hyp_core::psci;

const CPU_ON: u64 = 0xc400_0003;
const AFFINITY_INFO: u64 = 0xc400_0004;
const CPU_OFF: u64 = 0x8400_0002;
const ALREADY_ON: u64 = (-4i64).cast_unsigned();
const ON_PENDING: u64 = (-5i64).cast_unsigned();
const ENTRY: u64 = 0x4020_0000;

fn config(vcpus: usize) -> Config {
    Config {
        is_protected: true,
        ipa_bits: 40,
        dialect: Dialect::Pkvm,
        with_guard: true,
        smc_is_undefined: false,
        affinities: (0..vcpus).map(|vcpu| (vcpu as u64, vcpu)).collect(),
        boot: Start { entry: ENTRY, context: 0, is_big_endian: false },
        memory: BTreeMap::new(),
        emulated: BTreeMap::new(),
        assigned: BTreeMap::new(),
        guarded: BTreeSet::new(),
    }
}

fn call(vcpu: usize, x: [u64; 4]) -> Deed {
    Deed::Call(Event::Call { vcpu, conduit: Conduit::Hvc, immediate: 0, x }, false)
}

const fn returns(x0: u64) -> Answer {
    Answer::Returns([x0, 0, 0, 0])
}

/// The machine: what the hypervisor has, and its judge.
struct Machine {
    power: psci::Power,
    judge: Mutex<Power>,
}

impl Machine {
    /// The first vCPU is about to start.
    fn started(vcpus: usize) -> Self {
        let judge = Mutex::new(Power::new(&config(vcpus)));
        let machine = Self { power: psci::Power::new(vcpus), judge };
        let start = psci::Start { entry: ENTRY, context: 0, big_endian: false };
        machine.does(0, Deed::Boot, || {
            assert!(machine.power.boot(0, &start));
            Answer::Nothing
        });
        machine
    }

    fn does(&self, vcpu: usize, deed: Deed, op: impl FnOnce() -> Answer) -> Answer {
        self.judge.lock().unwrap().begin(vcpu, deed);
        // So that others are at something, too.
        thread::yield_now();
        let answer = op();
        thread::yield_now();
        let mut judge = self.judge.lock().unwrap();
        let vcpus: Vec<_> = (0..self.power.count())
            .map(|vcpu| (self.power.is_on(vcpu), self.power.is_starting(vcpu)))
            .collect();
        let seen = Seen { vcpus: &vcpus, is_any_alive: self.power.is_any_alive() };
        judge.finish(vcpu, &answer, &seen).unwrap_or_else(|error| panic!("{error}"));
        answer
    }

    /// The vCPU looks whether it is to start.
    fn starts(&self, vcpu: usize) -> bool {
        let answer = self.does(vcpu, Deed::Wait(vcpu), || {
            self.power.take_start(vcpu).map_or(Answer::Nothing, |start| {
                Answer::Starts(Start {
                    entry: start.entry,
                    context: start.context,
                    is_big_endian: start.big_endian,
                })
            })
        });
        answer != Answer::Nothing
    }

    /// It calls.
    fn calls(&self, vcpu: usize, x: [u64; 4]) {
        self.does(vcpu, call(vcpu, x), || {
            let result = match x {
                [CPU_ON, target, entry, context] => {
                    let start = psci::Start { entry, context, big_endian: false };
                    self.power.cpu_on(target, &start).map(|_| 0)
                }
                [AFFINITY_INFO, target, level, _] => self.power.affinity_info(target, level),
                _ => return Answer::TurnsOff,
            };
            returns(result.unwrap_or_else(|status| status).cast_unsigned())
        });
    }
}

/// Each thread is a vCPU; the first one stays on, so that there is always one to start the others, which
/// do `steps` steps each.
fn race(vcpus: usize, steps: u64) -> Tally {
    let machine = Machine::started(vcpus);
    let through = AtomicUsize::new(1);
    thread::scope(|scope| {
        for vcpu in 0..vcpus {
            let (machine, through) = (&machine, &through);
            scope.spawn(move || {
                let mut is_on = false;
                let mut random = vcpu as u64 * 977 + 11;
                let mut step = 0;
                let is_needed = || vcpu == 0 && through.load(Ordering::Relaxed) < vcpus;
                while is_needed() || (vcpu != 0 && step < steps) {
                    // Of one that is off, the steps do not count.
                    step += u64::from(is_on);
                    random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405);
                    let other = (random >> 33) % vcpus as u64;
                    if !is_on {
                        is_on = machine.starts(vcpu);
                    } else if vcpu != 0 && (random >> 60) < 5 {
                        machine.calls(vcpu, [CPU_OFF, 0, 0, 0]);
                        machine.does(vcpu, Deed::Off(vcpu), || {
                            machine.power.turn_off(vcpu);
                            Answer::Nothing
                        });
                        is_on = false;
                    } else if (random >> 60) < 12 {
                        machine.calls(vcpu, [CPU_ON, other, ENTRY + step, random]);
                    } else {
                        machine.calls(vcpu, [AFFINITY_INFO, other, random >> 40 & 3, 0]);
                    }
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
