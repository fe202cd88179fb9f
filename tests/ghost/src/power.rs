//! The power states of one VM's vCPUs, held against the model.
//!
//! They change without a lock. So that what is seen and what the model says belong to the same
//! moment, the hypervisor makes each change and tells of it here under one lock of its own.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::{Answer, Choice, Config, Event, Start, State, step};

use crate::cause::{self, Cause};
use crate::difference::{Difference, field};
use crate::space::Tally;

/// What the machine says about power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Of each vCPU: it is on, a start waits for it.
    pub vcpus: &'a [(bool, bool)],
    /// Some vCPU is on or about to be.
    pub is_any_alive: bool,
}

/// Whether a call with this x0 is one of PSCI's that the model knows, whoever answers it.
#[must_use]
pub const fn is_psci(x0: u64) -> bool {
    matches!(x0 & 0xffff_ffff, 0x8400_0000..=0x8400_001f | 0xc400_0000..=0xc400_001f)
}

/// The judge.
#[derive(Debug)]
pub struct Power {
    state: State,
    /// What it has done.
    pub tally: Tally,
}

impl Power {
    /// The judge of a VM that was just made and not started.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut config = config.clone();
        config.guarded.clear();
        let mut power = Self { state: State::new(config), tally: Tally::default() };
        power.all_off();
        power
    }

    fn all_off(&mut self) {
        self.state.power.values_mut().for_each(|power| *power = model::Power::Off);
    }

    /// The vCPU has made a PSCI call, and its data is big-endian or not.
    ///
    /// # Errors
    ///
    /// The machine's answer or what it says of power differs from the model's.
    pub fn call(
        &mut self,
        event: &Event,
        is_big_endian: bool,
        answer: &Answer,
        seen: &Seen<'_>,
    ) -> Result<(), Difference> {
        if let Event::Call { vcpu, .. } = event {
            self.state.big_endian.insert(*vcpu, is_big_endian);
        }
        let next = step(&self.state, event, &Choice::default());
        let mut lines = Vec::new();
        if next.answer != *answer {
            let texts = (cause::answer(&next.answer), cause::answer(answer));
            lines.push(field("the answer", texts.0, texts.1));
        }
        // What ends a run of the vCPU happens once it is out.
        if matches!(next.answer, Answer::Returns(_)) {
            self.advance(next.state);
        }
        self.conclude(&Cause::Event(*event), lines, seen)
    }

    /// The vCPU, which was off, looked whether it is to start.
    ///
    /// # Errors
    ///
    /// As [`Power::call`].
    pub fn wait(
        &mut self,
        vcpu: usize,
        start: Option<Start>,
        seen: &Seen<'_>,
    ) -> Result<(), Difference> {
        let event = Event::Wait { vcpu };
        let next = step(&self.state, &event, &Choice::default());
        let answer = start.map_or(Answer::Nothing, Answer::Starts);
        let mut lines = Vec::new();
        if next.answer != answer {
            let texts = (cause::answer(&next.answer), cause::answer(&answer));
            lines.push(field("how it starts", texts.0, texts.1));
        }
        self.advance(next.state);
        self.conclude(&Cause::Event(event), lines, seen)
    }

    /// The vCPU is out: it turned itself off, or its VM stops.
    ///
    /// # Errors
    ///
    /// As [`Power::call`].
    pub fn off(&mut self, vcpu: usize, seen: &Seen<'_>) -> Result<(), Difference> {
        let mut next = self.state.clone();
        next.power.insert(vcpu, model::Power::Off);
        self.advance(next);
        self.differ(format!("vCPU {vcpu} went off"), Vec::new(), seen)
    }

    /// The VM was reset and not started.
    ///
    /// # Errors
    ///
    /// As [`Power::call`].
    pub fn reset(&mut self, seen: &Seen<'_>) -> Result<(), Difference> {
        self.all_off();
        self.tally.transitions += 1;
        self.differ("EL2 resets the VM".into(), Vec::new(), seen)
    }

    /// The VM was started.
    ///
    /// # Errors
    ///
    /// As [`Power::call`].
    pub fn boot(&mut self, seen: &Seen<'_>) -> Result<(), Difference> {
        self.advance(State::new(self.state.config.clone()));
        self.differ("EL2 starts the VM".into(), Vec::new(), seen)
    }

    fn advance(&mut self, next: State) {
        if next.power != self.state.power {
            self.tally.transitions += 1;
        }
        self.state = next;
    }

    fn conclude(
        &mut self,
        cause: &Cause,
        lines: Vec<String>,
        seen: &Seen<'_>,
    ) -> Result<(), Difference> {
        self.tally.comparisons += 1;
        let after = cause::describe(&self.state.config, cause);
        self.differ(after, lines, seen)
    }

    /// Compares all power states; `lines` have been found before.
    fn differ(
        &mut self,
        after: String,
        mut lines: Vec<String>,
        seen: &Seen<'_>,
    ) -> Result<(), Difference> {
        for (vcpu, power) in &self.state.power {
            let expected = match power {
                model::Power::Off => (false, false),
                model::Power::Pending(_) => (false, true),
                model::Power::On => (true, false),
            };
            let found = seen.vcpus.get(*vcpu).copied().unwrap_or_default();
            if found != expected {
                let what = format!("vCPU {vcpu}");
                lines.push(field(what, power_text(expected), power_text(found)));
            }
        }
        let is_any_alive = self.state.power.values().any(|power| *power != model::Power::Off);
        if is_any_alive != seen.is_any_alive {
            lines.push(field("any vCPU on or about to be", is_any_alive, seen.is_any_alive));
        }
        self.tally.comparisons += self.state.power.len() as u64 + 1;
        if lines.is_empty() { Ok(()) } else { Err(Difference::new(after, lines)) }
    }
}

const fn power_text((is_on, is_starting): (bool, bool)) -> &'static str {
    match (is_on, is_starting) {
        (false, false) => "off",
        (false, true) => "about to start",
        (true, false) => "on",
        (true, true) => "on and about to start",
    }
}
