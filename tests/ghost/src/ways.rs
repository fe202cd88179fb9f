//! All the ways in which what was seen of the vCPUs' power states can have come about.
//!
//! Who changes a power state tells when it begins and when it is through, and has been heard at some
//! moment in between. Nobody says at which; so every order is followed that the answers leave
//! possible (Lowe, "Testing for linearizability", 2017: what has begun is taken to have happened only
//! where an answer asks for it). Eight vCPUs that are all at something have tens of thousands of
//! orders, most of which come to the same. So only changes have an order: of what changes nothing, each
//! way keeps the answers it could have had so far. And a change waits as long as no answer hangs on a
//! vCPU that it concerns, since changes of different vCPUs commute.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use model::{Answer, Choice, Config, Event, State};

use crate::cause;

/// The bit of a function number that says that the arguments are 64 bits wide, DEN0028 section 2.5.
const WIDE: u64 = 1 << 30;

/// Function numbers without it, DEN0022 sections 5.1.4 and 5.1.5.
const CPU_ON: u64 = 0x8400_0003;
const AFFINITY_INFO: u64 = 0x8400_0004;

/// What somebody does about power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A PSCI call of a vCPU whose data is big-endian or not.
    Call(Event, bool),
    /// A vCPU that is off looks whether it is to start.
    Wait(usize),
    /// A vCPU is out: it turned itself off, or its VM stops.
    Off(usize),
    /// The VM is reset and not started.
    Reset,
    /// The VM is started.
    Boot,
}

/// What has come of a deed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// There is none, or whose it is knows.
    Known,
    /// No change yet. It may have happened without one, at a moment with one of these answers.
    Open(Vec<Answer>),
    /// It has happened, with this answer, of which nobody has been told; whether it changed anything.
    Done(Answer, bool),
}

/// One way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// Power states by vCPU.
    pub(crate) power: Vec<model::Power>,
    /// By who does it.
    outcomes: Vec<Outcome>,
}

/// All that are left.
#[derive(Debug)]
pub(crate) struct Ways {
    /// The VM, for the model to work on.
    state: State,
    doing: Vec<Option<Deed>>,
    /// Never none, but after an answer that none leads to.
    pub(crate) left: Vec<Way>,
}

impl Ways {
    /// Of a VM that was just made and not started.
    pub(crate) fn new(config: &Config) -> Self {
        let mut config = config.clone();
        config.guarded.clear();
        let vcpus = config.affinities.len();
        let outcomes = vec![Outcome::Known; vcpus];
        let first = Way { power: vec![model::Power::Off; vcpus], outcomes };
        Self { state: State::new(config), doing: vec![None; vcpus], left: vec![first] }
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.state.config
    }

    /// `who` begins `deed`.
    pub(crate) fn begin(&mut self, who: usize, deed: Deed) {
        if let Some(doing) = self.doing.get_mut(who) {
            *doing = Some(deed);
        }
        let mut left = core::mem::take(&mut self.left);
        for way in &mut left {
            if let Some(outcome) = way.outcomes.get_mut(who) {
                *outcome = Outcome::Open(Vec::new());
            }
            self.look(way, who);
        }
        self.left = left;
    }

    /// What `who` began.
    pub(crate) fn deed(&self, who: usize) -> Option<Deed> {
        self.doing.get(who).copied().flatten()
    }

    /// Whether nobody is at anything.
    pub(crate) fn is_quiet(&self) -> bool {
        self.doing.iter().all(Option::is_none)
    }

    /// `who` is through and was told `answer`; whether that changed a power state.
    ///
    /// # Errors
    ///
    /// No way leads to the answer: what one of them leads to.
    pub(crate) fn end(&mut self, who: usize, answer: &Answer) -> Result<bool, String> {
        let mut known = core::mem::take(&mut self.left);
        let concerned = self.concerned(who);
        let mut expected = None;
        let mut is_change = false;
        let mut next = 0;
        while let Some(way) = known.get(next).cloned() {
            next += 1;
            match way.outcomes.get(who) {
                Some(Outcome::Done(done, changes)) if done == answer => {
                    is_change |= changes;
                    self.leave(way.told(who));
                }
                Some(Outcome::Open(answers)) if answers.contains(answer) => {
                    self.leave(way.told(who));
                }
                Some(Outcome::Done(done, _)) => {
                    expected.get_or_insert(*done);
                }
                Some(Outcome::Open(answers)) => {
                    expected = expected.or_else(|| answers.first().copied());
                    for other in 0..self.doing.len() {
                        if self.touches(other) & concerned != 0
                            && let Some(way) = self.happens(&way, other)
                            && !known.contains(&way)
                        {
                            known.push(way);
                        }
                    }
                }
                Some(Outcome::Known) | None => {}
            }
        }
        if let Some(doing) = self.doing.get_mut(who) {
            *doing = None;
        }
        if self.left.is_empty() {
            return Err(expected.map_or_else(String::new, |answer| cause::answer(&answer)));
        }
        Ok(is_change)
    }

    /// One more way is left, unless one that is already allows for all that it does.
    fn leave(&mut self, way: Way) {
        if !self.left.iter().any(|other| other.covers(&way)) {
            self.left.push(way);
        }
    }

    /// The vCPUs on whose power state hangs what comes of what `who` does, a bit each: those that it
    /// touches, and all that something touches which touches one of them.
    fn concerned(&self, who: usize) -> u64 {
        let mut concerned = self.touches(who);
        loop {
            let more = (0..self.doing.len())
                .map(|other| self.touches(other))
                .filter(|touched| touched & concerned != 0)
                .fold(concerned, |all, touched| all | touched);
            if more == concerned {
                return concerned;
            }
            concerned = more;
        }
    }

    /// The vCPUs whose power state counts for what `who` does, or is changed by it, a bit each.
    fn touches(&self, who: usize) -> u64 {
        match self.deed(who) {
            None => 0,
            Some(Deed::Wait(vcpu) | Deed::Off(vcpu)) => 1 << vcpu,
            Some(Deed::Call(Event::Call { x: [function, target, level, _], .. }, _)) => {
                let is_wide = function & WIDE != 0;
                let cut = |word: u64| if is_wide { word } else { word & 0xffff_ffff };
                match (function & 0xffff_ffff & !WIDE, cut(level)) {
                    (AFFINITY_INFO, 1..=3) => u64::MAX,
                    (CPU_ON, _) | (AFFINITY_INFO, 0) => {
                        self.config().affinities.get(&cut(target)).map_or(0, |vcpu| 1 << vcpu)
                    }
                    _ => 0,
                }
            }
            Some(Deed::Call(..)) => 0,
            Some(Deed::Reset | Deed::Boot) => u64::MAX,
        }
    }

    /// What `who` began happens now and changes something; `None` if it has happened or changes nothing.
    fn happens(&mut self, way: &Way, who: usize) -> Option<Way> {
        let deed = self.deed(who)?;
        if !matches!(way.outcomes.get(who)?, Outcome::Open(_)) {
            return None;
        }
        let (answer, power) = self.result(way, deed);
        let is_change = power.is_some();
        // What EL2 does of itself has one answer whether it changes anything or not, so when it
        // happened cannot be told from it.
        if !is_change && matches!(deed, Deed::Call(..) | Deed::Wait(_)) {
            return None;
        }
        let mut next = way.clone();
        next.power = power.unwrap_or(next.power);
        *next.outcomes.get_mut(who)? = Outcome::Done(answer, is_change);
        for other in 0..self.doing.len() {
            self.look(&mut next, other);
        }
        Some(next)
    }

    /// Notes what `who` is answered if what it began happens now and changes nothing.
    fn look(&mut self, way: &mut Way, who: usize) {
        let Some(deed @ (Deed::Call(..) | Deed::Wait(_))) = self.deed(who) else { return };
        if !matches!(way.outcomes.get(who), Some(Outcome::Open(_))) {
            return;
        }
        let (answer, power) = self.result(way, deed);
        if let Some(Outcome::Open(answers)) = way.outcomes.get_mut(who)
            && power.is_none()
            && !answers.contains(&answer)
        {
            answers.push(answer);
        }
    }

    /// What comes of `deed` now: the answer, and the power states if they change.
    fn result(&mut self, way: &Way, deed: Deed) -> (Answer, Option<Vec<model::Power>>) {
        for (vcpu, power) in way.power.iter().enumerate() {
            self.state.power.insert(vcpu, *power);
        }
        let answer = self.apply(deed);
        // What ends a run of the vCPU happens once it is out.
        if matches!(answer, Answer::TurnsOff | Answer::PowersOff | Answer::Resets) {
            return (answer, None);
        }
        let power: Vec<_> = self.state.power.values().copied().collect();
        let is_change = power != way.power;
        (answer, is_change.then_some(power))
    }

    /// Does `deed` to the model.
    fn apply(&mut self, deed: Deed) -> Answer {
        let state = &mut self.state;
        let all_off = |state: &mut State| {
            state.power.values_mut().for_each(|power| *power = model::Power::Off);
        };
        match deed {
            Deed::Call(event, is_big_endian) => {
                state.big_endian.insert(cause::vcpu_of(&event), is_big_endian);
                let answer = model::apply(state, &event, &Choice::default()).0;
                state.is_off = false;
                return answer;
            }
            Deed::Wait(vcpu) => {
                let answer = model::apply(state, &Event::Wait { vcpu }, &Choice::default()).0;
                return answer;
            }
            Deed::Off(vcpu) => {
                state.power.insert(vcpu, model::Power::Off);
            }
            Deed::Reset => all_off(state),
            Deed::Boot => *state = State::new(state.config.clone()),
        }
        Answer::Nothing
    }
}

impl Way {
    /// The same once `who` knows.
    fn told(mut self, who: usize) -> Self {
        if let Some(outcome) = self.outcomes.get_mut(who) {
            *outcome = Outcome::Known;
        }
        self
    }

    /// Whether whatever can still come of `other` can come of this one.
    fn covers(&self, other: &Self) -> bool {
        self.power == other.power
            && self.outcomes.iter().zip(&other.outcomes).all(|pair| match pair {
                (Outcome::Open(answers), Outcome::Open(others)) => {
                    others.iter().all(|answer| answers.contains(answer))
                }
                (one, other) => one == other,
            })
    }
}
