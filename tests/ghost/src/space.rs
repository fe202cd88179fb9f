//! One VM's address space, held against the model.
//!
//! Tables change under the writer lock of the address space. Whoever holds it calls
//! [`Space::section`] before giving it back: there the machine is as it is, and no other vCPU's doing
//! is mixed in. What a vCPU is told without the lock must have been right at some moment between
//! [`Space::begin`] and [`Space::finish`], whichever: so the last versions are kept.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use model::{Answer, Config, Event};

use crate::cause::{self, Cause, Service, footprint, service};
use crate::difference::{self, Difference, field};
use crate::history::History;
use crate::place::Place;
use crate::predict::Predicted;
use crate::runs::{Change, Span, changes};
use crate::walk::{Machine, Page};

/// 2 MiB: what is looked at around a page that changes.
pub(crate) const BLOCK: u64 = 2 << 20;
/// Granules that one range call does at most (`docs/abi.md`).
pub(crate) const RANGE: u64 = 64;

/// What was held against the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Changes that the model explains.
    pub transitions: u64,
    /// Entries, flags and answers compared.
    pub comparisons: u64,
}

impl Tally {
    /// Adds what another judge has done.
    pub fn add(&mut self, other: Self) {
        self.transitions += other.transitions;
        self.comparisons += other.comparisons;
    }
}

/// What holds at the end of a section besides what the machine can be asked about.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    /// Table frames in use: over memory, over all else.
    pub used: (u64, u64),
    /// Blocks of memory that are being zeroed.
    pub claims: &'a [u64],
}

/// What a vCPU's trap has done so far.
#[derive(Debug)]
pub(crate) struct Trap {
    pub(crate) cause: Cause,
    /// The version when it began.
    pub(crate) since: u64,
    /// Changes that the call is for, in order: the page, and what the model answers.
    pub(crate) done: Vec<(u64, Answer)>,
    /// EL2 found no table frame for it.
    pub(crate) is_refused: bool,
}

/// The judge.
#[derive(Debug)]
pub struct Space {
    pub(crate) place: Place,
    /// What a step needs to know of the VM: all but the marks from the start.
    pub(crate) config: Config,
    pub(crate) history: History,
    pub(crate) traps: Vec<Option<Trap>>,
    pub(crate) used: (u64, u64),
    /// Sections until everything is compared.
    pub(crate) until_all: u64,
    /// Nobody else could write to memory since the writer lock was taken.
    is_alone: bool,
    /// What it has done.
    pub tally: Tally,
}

impl Space {
    /// The judge of a VM that was just made, with `vcpus` vCPUs.
    #[must_use]
    pub fn new(place: Place, vcpus: usize) -> Self {
        let mut config = place.config.clone();
        config.guarded.clear();
        let mut history = History::default();
        history.commit(&Predicted::reset(&place).update);
        let traps = (0..vcpus).map(|_| None).collect();
        let tally = Tally::default();
        Self { place, config, history, traps, used: (0, 0), until_all: 0, is_alone: false, tally }
    }

    /// EL2 begins to run on behalf of `vcpu`.
    pub fn begin(&mut self, vcpu: usize, cause: Cause) {
        let since = self.history.version();
        if let Some(trap) = self.traps.get_mut(vcpu) {
            *trap = Some(Trap { cause, since, done: Vec::new(), is_refused: false });
        }
    }

    /// EL2 found no table frame for what `vcpu` asks for.
    pub fn refused(&mut self, vcpu: usize) {
        if let Some(Some(trap)) = self.traps.get_mut(vcpu) {
            trap.is_refused = true;
        }
    }

    /// The page of `vcpu`'s access is mapped by now, so the access is made again: what is to be judged
    /// is that page alone and not one behind it.
    pub fn again(&mut self, vcpu: usize) {
        if let Some(Some(trap)) = self.traps.get_mut(vcpu)
            && let Cause::Event(Event::Access { access, .. }) = &mut trap.cause
        {
            access.bytes = 1;
        }
    }

    /// `vcpu` goes on, without an answer to be judged.
    pub fn abandon(&mut self, vcpu: usize) {
        if let Some(trap) = self.traps.get_mut(vcpu) {
            *trap = None;
        }
        let needed = self.traps.iter().flatten().map(|trap| trap.since).min();
        self.history.forget(needed.unwrap_or(self.history.version()));
    }

    /// The writer lock was taken by `vcpu`: nobody has changed anything without it. `is_alone` says
    /// that no other vCPU is on or about to be: then none will be while this one is here, and nobody
    /// writes to memory.
    ///
    /// # Errors
    ///
    /// As [`Space::section`].
    pub fn open(
        &mut self,
        vcpu: usize,
        machine: &impl Machine,
        is_alone: bool,
    ) -> Result<(), Difference> {
        self.is_alone = is_alone;
        let trap = self.traps.get(vcpu).and_then(Option::as_ref);
        let Some(cause) = trap.map(|trap| trap.cause) else { return Ok(()) };
        let mut lines = Vec::new();
        for span in self.spans(Some(&cause)) {
            let look = self.look(machine, span);
            let differences = changes(&self.history.now().pages.within(span), &look.runs);
            lines.extend(differences.iter().map(difference::pages));
        }
        if lines.is_empty() {
            return Ok(());
        }
        let then = cause::describe(&self.config, &cause);
        Err(Difference::new(format!("no call or fault, before: {then}"), lines))
    }

    /// The writer lock is about to be given back by `vcpu`.
    ///
    /// # Errors
    ///
    /// What the model says and what the machine says differ.
    pub fn section(
        &mut self,
        vcpu: usize,
        machine: &impl Machine,
        section: &Section<'_>,
    ) -> Result<(), Difference> {
        self.used = section.used;
        let trap = self.traps.get(vcpu).and_then(Option::as_ref);
        let cause = trap.map(|trap| trap.cause);
        let spans = self.spans(cause.as_ref());
        let mut looks = Vec::new();
        let mut found = Vec::new();
        for span in spans {
            let look = self.look(machine, span);
            found.extend(changes(&self.history.now().pages.within(span), &look.runs));
            looks.push((span, look));
        }
        let was_enrolled = self.history.now().is_enrolled;
        let mut lines = Vec::new();
        if !found.is_empty() || machine.is_enrolled() != was_enrolled {
            let predicted = self.predict(vcpu, &found);
            self.history.commit(&predicted.update);
            self.tally.transitions += 1;
            lines.extend(self.zeroes(machine, &predicted, self.is_alone));
            if let (Some(done), Some(Some(trap))) = (predicted.done, self.traps.get_mut(vcpu)) {
                trap.done.push(done);
            }
        }
        for (span, look) in &looks {
            let differences = changes(&self.history.now().pages.within(*span), &look.runs);
            lines.extend(differences.iter().map(difference::pages));
            lines.extend(self.cached(machine, *span));
        }
        let is_enrolled = self.history.now().is_enrolled;
        if is_enrolled != machine.is_enrolled() {
            lines.push(field("enrolled", is_enrolled, machine.is_enrolled()));
        }
        self.tally.comparisons += 1;
        lines.extend(self.claims(section.claims));
        self.until_all = self.until_all.saturating_sub(1);
        if self.until_all == 0 {
            let all = self.all(machine);
            lines.extend(all.into_iter().filter(|line| !lines.contains(line)).collect::<Vec<_>>());
        }
        self.conclude(cause.as_ref(), lines)
    }

    /// Compares everything; with the writer lock held, or while nobody can change anything.
    ///
    /// # Errors
    ///
    /// As [`Space::section`].
    pub fn compare_all(&mut self, machine: &impl Machine) -> Result<(), Difference> {
        let lines = self.all(machine);
        self.conclude(None, lines)
    }

    pub(crate) fn conclude(
        &self,
        cause: Option<&Cause>,
        lines: Vec<String>,
    ) -> Result<(), Difference> {
        if lines.is_empty() {
            return Ok(());
        }
        let after =
            cause.map_or("EL2's own doing".into(), |cause| cause::describe(&self.config, cause));
        Err(Difference::new(after, lines))
    }

    /// Where to look for what `cause` does.
    fn spans(&self, cause: Option<&Cause>) -> Vec<Span> {
        let around = |from: u64, to: u64| (from / BLOCK * BLOCK, to.div_ceil(BLOCK) * BLOCK);
        let end = self.place.all().1;
        match cause {
            None => Vec::new(),
            Some(Cause::Load | Cause::Reset) => vec![self.place.all()],
            Some(Cause::Event(event)) => match self.service(event) {
                Some(Service::Enroll) => {
                    let devices = self.place.devices.iter().map(|device| device.span());
                    devices.map(|(from, to)| around(from, to)).collect()
                }
                Some(Service::Range(range)) => {
                    let to = range.base.saturating_add(range.granules.min(RANGE) * model::PAGE);
                    vec![around(range.base.min(end), to.min(end))]
                }
                _ => {
                    let (from, to) = footprint(&self.config, event);
                    vec![around(from.min(end), to.min(end))]
                }
            },
        }
    }

    pub(crate) fn service(&self, event: &Event) -> Option<Service> {
        match event {
            Event::Call { x, .. } => service(&self.config, *x),
            Event::Access { .. } | Event::Endianness { .. } | Event::Wait { .. } => None,
        }
    }

    /// What the model says follows from `vcpu`'s cause, now that the tables show `found`.
    fn predict(&self, vcpu: usize, found: &[Change<Page>]) -> Predicted {
        let now = self.history.now();
        let Some(Some(trap)) = self.traps.get(vcpu) else { return Predicted::nothing(now) };
        let event = match trap.cause {
            Cause::Load => return Predicted::load(now, found),
            Cause::Reset => return Predicted::reset(&self.place),
            Cause::Event(event) => event,
        };
        let service = self.service(&event);
        match (event, service) {
            (Event::Access { access, .. }, _) if self.place.is_memory(access.ipa) => {
                Predicted::touch(now, access.ipa, found)
            }
            (Event::Access { access, .. }, _) => {
                Predicted::device(&self.place, now, access.ipa, found)
            }
            (Event::Call { .. }, Some(Service::Share(page)))
                if now.pages.get(page).is_none() && self.place.is_memory(page) =>
            {
                Predicted::touch(now, page, found)
            }
            (Event::Call { vcpu, .. }, Some(Service::Range(range))) => {
                let last = trap.done.last().map(|(page, _)| *page);
                let Some(page) = found.first().map(|change| change.span.0) else {
                    return Predicted::nothing(now);
                };
                let index = page.wrapping_sub(range.base) / model::PAGE;
                if index >= range.granules || last.is_some_and(|last| page <= last) {
                    return Predicted::nothing(now);
                }
                let event = range.granule(vcpu, page);
                Predicted::call(&self.place, &self.config, now, vcpu, &event)
            }
            (Event::Call { vcpu, .. }, Some(_)) => {
                Predicted::call(&self.place, &self.config, now, vcpu, &event)
            }
            _ => Predicted::nothing(now),
        }
    }
}
