//! One VM on both sides: `hyp-core` and the model, asked the same and compared.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use hyp_core::memory::MARK_TABLES;
use hyp_core::testing::FakeMachine;
use model::{Answer, Choice, Conduit, Event, Power, Rule, State, step};

use super::compare;
use super::place::Options;
use super::subject::Subject;

/// Table frames: those of [`Options::layout`] and [`MARK_TABLES`], and a few.
pub(crate) const FRAMES: u64 = 300;
/// 2 MiB, what one table of marks covers.
const BLOCK: u64 = 2 << 20;

/// What was done so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) histories: Cell<u64>,
    pub(crate) events: Cell<u64>,
    pub(crate) comparisons: Cell<u64>,
    pub(crate) rules: RefCell<BTreeMap<Rule, u64>>,
}

impl Tally {
    pub(crate) fn add(counter: &Cell<u64>, more: u64) {
        counter.set(counter.get() + more);
    }

    pub(crate) fn used(&self, rule: Rule) {
        *self.rules.borrow_mut().entry(rule).or_default() += 1;
    }
}

/// One history on both sides.
pub(crate) struct Duel<'m> {
    pub(crate) subject: Subject<'m>,
    model: State,
    pub(crate) pages: Vec<u64>,
    /// Blocks that a mark was ever made in: their tables stay until the reset.
    blocks: BTreeSet<u64>,
    tally: &'m Tally,
}

impl<'m> Duel<'m> {
    /// Both sides at their beginning, with tables in `machine`, which watches over them if it is
    /// to; the first vCPU is not running yet.
    pub(crate) fn new(
        machine: &'m FakeMachine,
        options: &Options,
        is_watched: bool,
        tally: &'m Tally,
    ) -> Result<Self, String> {
        Tally::add(&tally.histories, 1);
        let duel = Self {
            subject: Subject::new(machine, options, is_watched),
            model: State::new(options.config()),
            pages: options.pages(),
            blocks: BTreeSet::new(),
            tally,
        };
        duel.compare()?;
        Ok(duel)
    }

    pub(crate) fn running(&self) -> Vec<usize> {
        let is_on = |(vcpu, power): (&usize, &Power)| (*power == Power::On).then_some(*vcpu);
        self.model.power.iter().filter_map(is_on).collect()
    }

    /// Lets `event` happen on both sides and compares the answers.
    pub(crate) fn happen(&mut self, event: &Event, interrupted: bool) -> Result<Answer, String> {
        let (found, choice) = self.subject.apply(event, interrupted);
        let next = step(&self.model, event, &choice);
        Tally::add(&self.tally.events, 1);
        Tally::add(&self.tally.comparisons, 1);
        if next.answer != found {
            let rule = next.rule.map(Rule::text);
            let expected = next.answer;
            return Err(format!(
                "{event:x?}: the model says {expected:x?} by {rule:?}, hyp-core {found:x?}"
            ));
        }
        if let Some(rule) = next.rule {
            self.tally.used(rule);
            self.check_refusal(rule, &choice)?;
        }
        self.model = next.state;
        if found == Answer::Resets {
            self.blocks.clear();
        }
        self.blocks.extend(self.model.guarded.iter().map(|ipa| ipa / BLOCK));
        Ok(found)
    }

    /// Tables run out only where there are many: a mark takes two at most.
    fn check_refusal(&self, rule: Rule, choice: &Choice) -> Result<(), String> {
        let few = (self.blocks.len() as u64) < MARK_TABLES / 2;
        let is_map = matches!(rule, Rule::MapNoTables | Rule::RangeRefused);
        if is_map && choice.refuse && few {
            return Err(format!("no tables for a mark after {} blocks", self.blocks.len()));
        }
        Ok(())
    }

    pub(crate) fn compare(&self) -> Result<(), String> {
        let count = compare::state(&self.model, &self.subject, &self.pages)?;
        Tally::add(&self.tally.comparisons, count);
        Ok(())
    }

    pub(crate) fn compare_tables(&self) -> Result<(), String> {
        let count = compare::tables(&self.model, &self.subject)?;
        Tally::add(&self.tally.comparisons, count);
        Ok(())
    }

    /// Marks 2 MiB apart until there are no more tables, one more each.
    pub(crate) fn scatter(&mut self, vcpu: usize) -> Result<(), String> {
        let function =
            if self.subject.vm.features().contains(hyp_core::features::Features::LIST_2021) {
                0xc600_0004
            } else {
                0xc600_0007
            };
        for block in 0..MARK_TABLES + 4 {
            let x = [function, 0xc000_0000 + block * BLOCK, 0, 0];
            if x[1] >> self.model.config.ipa_bits != 0 {
                break;
            }
            let event = Event::Call { vcpu, conduit: Conduit::Hvc, immediate: 0, x };
            self.happen(&event, false)?;
        }
        Ok(())
    }
}
