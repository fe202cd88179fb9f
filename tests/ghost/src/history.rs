//! What is known about a VM's addresses, now and a few changes ago.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use model::{Config, Power, State};

use crate::runs::{Run, Runs, Span};
use crate::walk::Page;

/// What is known at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// What the tables say.
    pub(crate) pages: Runs<Page>,
    /// Pages of memory that were given back and have not been touched since.
    pub(crate) given_back: Runs<()>,
    /// The VM is enrolled in the guard.
    pub(crate) is_enrolled: bool,
}

/// How to undo a change.
#[derive(Debug)]
struct Undo {
    /// The version that it led to.
    version: u64,
    was_enrolled: bool,
    /// What the tables said before.
    pages: Vec<(Span, Vec<Run<Page>>)>,
    given_back: Vec<(Span, Vec<Run<()>>)>,
}

/// What is to become known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Update {
    /// What the tables say.
    pub(crate) pages: Vec<(Span, Option<Page>)>,
    /// Whether memory was given back.
    pub(crate) given_back: Vec<(Span, bool)>,
    /// The VM is enrolled.
    pub(crate) is_enrolled: bool,
}

/// What is known, and how it came about.
#[derive(Debug, Default)]
pub(crate) struct History {
    now: Known,
    version: u64,
    undo: VecDeque<Undo>,
}

impl History {
    /// What is known now.
    #[must_use]
    pub(crate) const fn now(&self) -> &Known {
        &self.now
    }

    /// How many changes there have been.
    #[must_use]
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Makes a change.
    pub(crate) fn commit(&mut self, update: &Update) {
        self.version += 1;
        let mut undo = Undo {
            version: self.version,
            was_enrolled: self.now.is_enrolled,
            pages: Vec::new(),
            given_back: Vec::new(),
        };
        for (span, page) in &update.pages {
            undo.pages.push((*span, self.now.pages.within(*span)));
            self.now.pages.set(*span, *page);
        }
        for (span, is_given_back) in &update.given_back {
            undo.given_back.push((*span, self.now.given_back.within(*span)));
            self.now.given_back.set(*span, is_given_back.then_some(()));
        }
        self.now.is_enrolled = update.is_enrolled;
        self.undo.push_back(undo);
    }

    /// Forgets how what was known at `version` came about.
    pub(crate) fn forget(&mut self, version: u64) {
        while self.undo.front().is_some_and(|undo| undo.version <= version) {
            self.undo.pop_front();
        }
    }

    /// What was known about `span` at each version since `since` at which that was not what it was
    /// one later, the latest first.
    pub(crate) fn since(&self, since: u64, span: Span) -> impl Iterator<Item = Known> {
        let mut known = Known { is_enrolled: self.now.is_enrolled, ..Known::default() };
        copy(&mut known.pages, &self.now.pages.within(span));
        copy(&mut known.given_back, &self.now.given_back.within(span));
        let mut rest = self.undo.iter().rev().take_while(move |undo| undo.version > since);
        let mut next = Some(known);
        core::iter::from_fn(move || {
            let known = next.take()?;
            let mut before = known.clone();
            for undo in rest.by_ref() {
                let mut is_about = before.is_enrolled != undo.was_enrolled;
                before.is_enrolled = undo.was_enrolled;
                is_about |= restore(&mut before.pages, &undo.pages, span);
                is_about |= restore(&mut before.given_back, &undo.given_back, span);
                if is_about {
                    next = Some(before);
                    break;
                }
            }
            Some(known)
        })
    }
}

fn copy<T: Copy + PartialEq>(to: &mut Runs<T>, runs: &[Run<T>]) {
    runs.iter().for_each(|(span, value)| to.set(*span, Some(*value)));
}

/// Puts back what is in `span`; whether there was anything.
fn restore<T: Copy + PartialEq>(
    to: &mut Runs<T>,
    undo: &[(Span, Vec<Run<T>>)],
    span: Span,
) -> bool {
    let mut is_about = false;
    for (changed, runs) in undo.iter().rev() {
        let clip = |(from, to): Span| (from.max(span.0), to.min(span.1));
        let clipped = clip(*changed);
        if clipped.0 < clipped.1 {
            is_about = true;
            to.set(clipped, None);
            runs.iter().for_each(|(run, value)| to.set(clip(*run), Some(*value)));
        }
    }
    is_about
}

impl Known {
    /// The model's state, as far as it is about `span`: a vCPU that runs, `vcpu`, and all else as
    /// `config` says.
    #[must_use]
    pub(crate) fn state(&self, config: &Config, span: Span, vcpu: usize) -> State {
        let mut state = State {
            config: config.clone(),
            is_enrolled: self.is_enrolled,
            guarded: BTreeSet::new(),
            shared: BTreeSet::new(),
            present: BTreeSet::new(),
            given_back: BTreeSet::new(),
            contents: BTreeMap::new(),
            power: BTreeMap::from([(vcpu, Power::On)]),
            big_endian: BTreeMap::new(),
            is_off: false,
        };
        for (run, page) in self.pages.within(span) {
            for ipa in pages(run) {
                match page {
                    Page::Owned => state.present.insert(ipa),
                    Page::Shared => state.present.insert(ipa) | state.shared.insert(ipa),
                    Page::Marked | Page::GuardedDevice => state.guarded.insert(ipa),
                    Page::Device | Page::Odd { .. } => false,
                };
            }
        }
        for (run, ()) in self.given_back.within(span) {
            state.given_back.extend(pages(run));
        }
        state
    }
}

/// The pages of `span`.
pub(crate) fn pages(span: Span) -> impl Iterator<Item = u64> {
    (span.0..span.1).step_by(4096)
}
