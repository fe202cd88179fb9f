//! What vCPUs are told, held against the model.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use model::{Answer, Choice, Config, Event, State, step};

use crate::cause::{self, Cause, Range, Service, footprint, service, vcpu_of};
use crate::difference::{Difference, field};
use crate::space::{RANGE, Space, Trap};

/// Table frames that marks may take, less what one mark may need (`docs/architecture.md`).
const ENOUGH_TABLES: u64 = 256 - 3;

impl Space {
    /// `vcpu` is told `answer`, about to go on or to have a change made. Where that is not explained,
    /// some other vCPU may be in the middle of what explains it: the caller waits for the writer lock
    /// once and asks again.
    ///
    /// # Errors
    ///
    /// No state of the VM since [`Space::begin`] explains the answer.
    pub fn finish(&mut self, vcpu: usize, answer: &Answer) -> Result<(), Difference> {
        let Some(Some(trap)) = self.traps.get(vcpu) else { return Ok(()) };
        let Cause::Event(event) = trap.cause else { return Ok(()) };
        self.tally.comparisons += 1;
        let result = match self.service(&event) {
            Some(Service::Range(range)) => self.range(trap, &event, &range, answer),
            _ => self.single(trap, &event, answer),
        };
        if let Err(expected) = result {
            let machine = cause::answer(answer);
            let lines = vec![field("the answer", expected, machine)];
            return self.conclude(Some(&Cause::Event(event)), lines);
        }
        if trap.is_refused && self.used.1 < ENOUGH_TABLES {
            let lines = vec![field("tables for marks in use", ENOUGH_TABLES, self.used.1)];
            return self.conclude(Some(&Cause::Event(event)), lines);
        }
        Ok(())
    }

    /// The answer to anything but a range call; the error is what the model says.
    fn single(&self, trap: &Trap, event: &Event, answer: &Answer) -> Result<(), String> {
        match trap.done.as_slice() {
            [] => self.explain(trap, event, answer),
            [(_, expected)] if expected == answer => Ok(()),
            [(_, expected)] => Err(cause::answer(expected)),
            more => Err(format!("one change, there are {}", more.len())),
        }
    }

    /// Looks for a state in which `event` changes nothing and has `answer`.
    fn explain(&self, trap: &Trap, event: &Event, answer: &Answer) -> Result<(), String> {
        let vcpu = vcpu_of(event);
        let span = footprint(&self.config, event);
        let choice = choice(&self.config, trap.is_refused, event, answer);
        let mut expected = None;
        for known in self.history.since(trap.since, span) {
            let state = known.state(&self.config, span, vcpu);
            let next = step(&state, event, &choice);
            // Memory may still be on its way.
            let is_still = matches!(event, Event::Access { .. }) || is_same(&state, &next.state);
            if is_still && next.answer == *answer {
                return Ok(());
            }
            expected.get_or_insert_with(|| {
                let change = if is_still { "" } else { ", and a change that is not there" };
                format!("{}{change}", cause::answer(&next.answer))
            });
        }
        Err(expected.unwrap_or_default())
    }

    /// The answer to a range call: each granule that was done is explained by itself, and why no
    /// more were.
    fn range(
        &self,
        trap: &Trap,
        event: &Event,
        range: &Range,
        answer: &Answer,
    ) -> Result<(), String> {
        let good = Answer::Returns([0; 4]);
        let (Answer::Returns([0, done, 0, 0]), vcpu) = (answer, vcpu_of(event)) else {
            return match trap.done.as_slice() {
                [] => self.explain(trap, event, answer),
                _ => Err("success for what has been changed".into()),
            };
        };
        for index in 0..*done {
            let page = range.address(index).ok_or("an end of the address space")?;
            match trap.done.iter().find(|(changed, _)| *changed == page) {
                Some((_, expected)) if *expected == good => {}
                Some((_, expected)) => return Err(cause::answer(expected)),
                None => self.explain(trap, &range.granule(vcpu, page), &good)?,
            }
        }
        if *done >= range.granules.min(RANGE) {
            return if *done == range.granules.min(RANGE) && *done > 0 {
                Ok(())
            } else {
                Err(format!("at most {} granules", range.granules.min(RANGE)))
            };
        }
        match range.address(*done) {
            Some(page) => {
                let bad = Answer::Returns([(-3i64).cast_unsigned(), 0, 0, 0]);
                self.explain(trap, &range.granule(vcpu, page), &bad)
            }
            None => Ok(()),
        }
    }
}

/// What EL2 chose, seen from its answer.
fn choice(config: &Config, is_refused: bool, event: &Event, answer: &Answer) -> Choice {
    let is_error = matches!(answer, Answer::Returns([x0, ..]) if x0.cast_signed() < 0);
    let is_relinquish = matches!(event, Event::Call { x, .. }
        if matches!(service(config, *x), Some(Service::Memory(_))));
    let granules = if let Answer::Returns([_, x1, ..]) = answer { *x1 } else { 0 };
    Choice {
        refuse: is_refused || is_error && is_relinquish,
        replay: *answer == Answer::Replays,
        granules,
    }
}

fn is_same(one: &State, other: &State) -> bool {
    let parts = |state: &State| {
        (
            state.is_enrolled,
            state.guarded.clone(),
            state.shared.clone(),
            state.present.clone(),
            state.given_back.clone(),
        )
    };
    parts(one) == parts(other)
}
