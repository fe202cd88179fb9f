//! All the ways in which what was seen of the vCPUs' power states can have come about.
//!
//! Who changes a power state tells when it begins and when it is through, and has been heard at some
//! moment in between. Nobody says at which; so every order is followed that the answers leave
//! possible (Lowe, "Testing for linearizability", 2017: what has begun is taken to have happened only
//! where an answer asks for it).

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use model::{Answer, Choice, Config, Event, State};

use crate::cause;

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

/// A deed that has happened and of which nobody has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Done {
    answer: Answer,
    is_change: bool,
}

/// One way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// Power states by vCPU.
    pub(crate) power: Vec<model::Power>,
    /// By who does it.
    done: Vec<Option<Done>>,
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
        let first = Way { power: vec![model::Power::Off; vcpus], done: vec![None; vcpus] };
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
        let mut expected = None;
        let mut is_change = false;
        let mut next = 0;
        while let Some(way) = known.get(next).cloned() {
            next += 1;
            match way.done.get(who).copied().flatten() {
                Some(done) if done.answer == *answer => {
                    is_change |= done.is_change;
                    let told = way.told(who);
                    if !self.left.contains(&told) {
                        self.left.push(told);
                    }
                }
                Some(done) => {
                    expected.get_or_insert(done.answer);
                }
                None => {
                    for other in 0..self.doing.len() {
                        if let Some(way) = self.happens(&way, other)
                            && !known.contains(&way)
                        {
                            known.push(way);
                        }
                    }
                }
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

    /// What `who` began happens now; `None` if there is nothing that has not happened yet.
    fn happens(&mut self, way: &Way, who: usize) -> Option<Way> {
        let deed = self.deed(who)?;
        if way.done.get(who)?.is_some() {
            return None;
        }
        for (vcpu, power) in way.power.iter().enumerate() {
            self.state.power.insert(vcpu, *power);
        }
        let mut next = way.clone();
        let answer = self.apply(deed);
        // What ends a run of the vCPU happens once it is out.
        if !matches!(answer, Answer::TurnsOff | Answer::PowersOff | Answer::Resets) {
            next.power = self.state.power.values().copied().collect();
        }
        let is_change = next.power != way.power;
        *next.done.get_mut(who)? = Some(Done { answer, is_change });
        Some(next)
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
        if let Some(done) = self.done.get_mut(who) {
            *done = None;
        }
        self
    }
}
