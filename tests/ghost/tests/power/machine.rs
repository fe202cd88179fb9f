//! A machine of `hyp-core`'s power states and its judge, and vCPUs that use it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;

use ghost::model::{Answer, Conduit, Config, Dialect, Event, Start};
use ghost::{Deed, Power, Seen};
use hyp_core::psci;

pub(crate) const CPU_ON: u64 = 0xc400_0003;
pub(crate) const AFFINITY_INFO: u64 = 0xc400_0004;
pub(crate) const CPU_OFF: u64 = 0x8400_0002;
pub(crate) const ALREADY_ON: u64 = (-4i64).cast_unsigned();
pub(crate) const ON_PENDING: u64 = (-5i64).cast_unsigned();
pub(crate) const ENTRY: u64 = 0x4020_0000;

pub(crate) fn config(vcpus: usize) -> Config {
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

pub(crate) fn call(vcpu: usize, x: [u64; 4]) -> Deed {
    Deed::Call(Event::Call { vcpu, conduit: Conduit::Hvc, immediate: 0, x }, false)
}

pub(crate) const fn returns(x0: u64) -> Answer {
    Answer::Returns([x0, 0, 0, 0])
}

/// The machine: what the hypervisor has, and its judge.
pub(crate) struct Machine {
    pub(crate) power: psci::Power,
    pub(crate) judge: Mutex<Power>,
}

impl Machine {
    /// The first vCPU is about to start.
    pub(crate) fn started(vcpus: usize) -> Self {
        let judge = Mutex::new(Power::new(&config(vcpus)));
        let machine = Self { power: psci::Power::new(vcpus), judge };
        let start = psci::Start { entry: ENTRY, context: 0, big_endian: false };
        machine.does(0, Deed::Boot, || {
            assert!(machine.power.boot(0, &start));
            Answer::Nothing
        });
        machine
    }

    pub(crate) fn begins(&self, vcpu: usize, deed: Deed) {
        self.judge.lock().unwrap().begin(vcpu, deed);
    }

    /// What the judge has against the `answer` that `vcpu` got.
    pub(crate) fn ends(&self, vcpu: usize, answer: &Answer) -> Result<(), String> {
        let mut judge = self.judge.lock().unwrap();
        let vcpus = self.seen();
        let seen = Seen { vcpus: &vcpus, is_any_alive: self.power.is_any_alive() };
        judge.finish(vcpu, answer, &seen).map_err(|error| error.to_string())
    }

    pub(crate) fn seen(&self) -> Vec<(bool, bool)> {
        (0..self.power.count())
            .map(|vcpu| (self.power.is_on(vcpu), self.power.is_starting(vcpu)))
            .collect()
    }

    pub(crate) fn does(&self, vcpu: usize, deed: Deed, op: impl FnOnce() -> Answer) -> Answer {
        self.begins(vcpu, deed);
        // So that others are at something, too.
        thread::yield_now();
        let answer = op();
        thread::yield_now();
        self.ends(vcpu, &answer).unwrap_or_else(|error| panic!("{error}"));
        answer
    }

    /// What `deed` does to the machine.
    pub(crate) fn performs(&self, deed: Deed) -> Answer {
        match deed {
            Deed::Call(Event::Call { x, .. }, _) => {
                let result = match x {
                    [CPU_ON, target, entry, context] => {
                        let start = psci::Start { entry, context, big_endian: false };
                        self.power.cpu_on(target, &start).map(|_| 0)
                    }
                    [AFFINITY_INFO, target, level, _] => self.power.affinity_info(target, level),
                    _ => return Answer::TurnsOff,
                };
                returns(result.unwrap_or_else(|status| status).cast_unsigned())
            }
            Deed::Wait(vcpu) => self.power.take_start(vcpu).map_or(Answer::Nothing, |start| {
                Answer::Starts(Start {
                    entry: start.entry,
                    context: start.context,
                    is_big_endian: start.big_endian,
                })
            }),
            Deed::Off(vcpu) => {
                self.power.turn_off(vcpu);
                Answer::Nothing
            }
            Deed::Call(..) | Deed::Reset | Deed::Boot => unreachable!(),
        }
    }
}

/// Numbers that look as if they were random.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next one below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405);
        (self.0 >> 33) as usize % limit
    }
}

/// A vCPU that does one thing after the other.
#[derive(Default)]
pub(crate) struct Vcpu {
    pub(crate) is_on: bool,
    /// It has called CPU_OFF and has to leave.
    is_leaving: bool,
    /// What it is at, and the answer once there is one.
    pub(crate) at: Option<(Deed, Option<Answer>)>,
}

impl Vcpu {
    /// What it begins next. The first vCPU stays on, so that there is always one to start the others.
    pub(crate) fn next(&self, vcpu: usize, vcpus: usize, random: &mut Random) -> Deed {
        let other = random.below(vcpus) as u64;
        match random.below(16) {
            _ if self.is_leaving => Deed::Off(vcpu),
            _ if !self.is_on => Deed::Wait(vcpu),
            0..5 if vcpu != 0 => call(vcpu, [CPU_OFF, 0, 0, 0]),
            0..12 => call(vcpu, [CPU_ON, other, ENTRY, random.below(3) as u64]),
            _ => call(vcpu, [AFFINITY_INFO, other, 0, 0]),
        }
    }

    /// What its answer to `deed` makes of it.
    pub(crate) fn learn(&mut self, deed: Deed, answer: Answer) {
        self.is_leaving = answer == Answer::TurnsOff;
        self.is_on = match deed {
            Deed::Wait(_) => answer != Answer::Nothing,
            Deed::Off(_) => false,
            _ => self.is_on,
        };
    }
}
