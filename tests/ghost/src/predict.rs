//! What the tables are to say after a change, by the model and by what it leaves to the hypervisor.

use alloc::vec::Vec;

use model::{Answer, Choice, Config, Event, State, step};

use crate::cause::{footprint, one};
use crate::history::{Known, Update, pages};
use crate::place::Place;
use crate::runs::{Change, Span};
use crate::walk::Page;

/// 2 MiB: the most memory that comes at one touch.
const BLOCK: u64 = 2 << 20;

/// What is to be known after a change.
#[derive(Debug, Default)]
pub(crate) struct Predicted {
    pub(crate) update: Update,
    /// If the change is what a call is for: its page, and the answer.
    pub(crate) done: Option<(u64, Answer)>,
    /// Memory that came into being, empty.
    pub(crate) came: Vec<Span>,
    /// Memory that was given back.
    pub(crate) went: Vec<Span>,
}

impl Predicted {
    /// Nothing changes.
    pub(crate) fn nothing(now: &Known) -> Self {
        let update = Update { is_enrolled: now.is_enrolled, ..Update::default() };
        Self { update, ..Self::default() }
    }

    /// The VM is as it was made.
    pub(crate) fn reset(place: &Place) -> Self {
        let state = State::new(place.config.clone());
        let mut update = Update {
            pages: alloc::vec![(place.all(), None)],
            given_back: alloc::vec![(place.all(), false)],
            is_enrolled: state.is_enrolled,
        };
        for ipa in &state.guarded {
            update.pages.push((one(*ipa), mark(place, *ipa)));
        }
        Self { update, ..Self::default() }
    }

    /// EL2 writes to memory: what comes is memory that was not there.
    pub(crate) fn load(now: &Known, found: &[Change<Page>]) -> Self {
        Self::bring(now, found, (0, u64::MAX), None)
    }

    /// The memory at `ipa` is needed: its page comes, and what the hypervisor chose to bring with it.
    pub(crate) fn touch(now: &Known, ipa: u64, found: &[Change<Page>]) -> Self {
        let page = ipa / model::PAGE * model::PAGE;
        let block = ipa / BLOCK * BLOCK;
        let mut predicted = Self::bring(now, found, (block, block + BLOCK), Some(page));
        let comes = |(from, to): &Span| (*from..*to).contains(&page);
        if now.pages.get(page).is_none() && !predicted.came.iter().any(comes) {
            predicted.update.pages.push((one(page), Some(Page::Owned)));
        }
        predicted
    }

    /// Memory in `span` that was not there may come. What was given back comes only if it is `page`.
    fn bring(now: &Known, found: &[Change<Page>], span: Span, page: Option<u64>) -> Self {
        let mut predicted = Self::nothing(now);
        for change in found {
            let (from, to) = change.span;
            let stays_away = now
                .given_back
                .within(change.span)
                .iter()
                .any(|(run, ())| pages(*run).any(|ipa| Some(ipa) != page));
            let is_new = change.was.is_none() && change.is == Some(Page::Owned);
            if is_new && !stays_away && span.0 <= from && to <= span.1 {
                predicted.update.pages.push((change.span, change.is));
                predicted.update.given_back.push((change.span, false));
                if page.is_some() {
                    predicted.came.push(change.span);
                }
            }
        }
        predicted
    }

    /// A page of an assigned device may be mapped where the guard has no say.
    pub(crate) fn device(place: &Place, now: &Known, ipa: u64, found: &[Change<Page>]) -> Self {
        let mut predicted = Self::nothing(now);
        let page = one(ipa / model::PAGE * model::PAGE);
        let is_mapped = found.iter().any(|change| change.span == page);
        if is_mapped && place.is_assigned(page.0) && !now.is_enrolled {
            predicted.update.pages.push((page, Some(Page::Device)));
        }
        predicted
    }

    /// What the model says follows from the call `event` of `vcpu`.
    pub(crate) fn call(
        place: &Place,
        config: &Config,
        now: &Known,
        vcpu: usize,
        event: &Event,
    ) -> Self {
        let span = footprint(config, event);
        let state = now.state(config, span, vcpu);
        let next = step(&state, event, &Choice::default());
        let mut predicted = Self::nothing(now);
        predicted.update.is_enrolled = next.state.is_enrolled;
        for ipa in pages(span) {
            let page = if next.state.guarded.contains(&ipa) {
                mark(place, ipa)
            } else if next.state.shared.contains(&ipa) {
                Some(Page::Shared)
            } else if next.state.present.contains(&ipa) {
                Some(Page::Owned)
            } else {
                // Not the model's affair.
                now.pages.get(ipa).filter(|page| *page == Page::Device)
            };
            let is_given_back = next.state.given_back.contains(&ipa);
            if is_given_back && !state.given_back.contains(&ipa) {
                predicted.went.push(one(ipa));
            }
            predicted.update.pages.push((one(ipa), page));
            predicted.update.given_back.push((one(ipa), is_given_back));
        }
        if next.state.is_enrolled && !state.is_enrolled {
            // From here on a device's page is mapped only if it is guarded.
            for device in &place.devices {
                let mapped = now.pages.within(device.span()).into_iter();
                let open = mapped.filter(|(_, page)| *page == Page::Device);
                predicted.update.pages.extend(open.map(|(span, _)| (span, None)));
            }
        }
        predicted.done = Some((span.0, next.answer));
        predicted
    }
}

/// How the tables say that the page at `ipa` is guarded.
fn mark(place: &Place, ipa: u64) -> Option<Page> {
    Some(if place.is_assigned(ipa) { Page::GuardedDevice } else { Page::Marked })
}
