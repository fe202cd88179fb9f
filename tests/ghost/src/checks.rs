//! What is compared beside the model's step: everything at once, what is kept at hand, what memory
//! holds.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::difference::{self, field};
use crate::predict::Predicted;
use crate::runs::{Span, changes};
use crate::space::{BLOCK, Space};
use crate::walk::{Found, Machine, Page, walk};

/// Tables that may be walked for one section on average, beside those around the change.
const TABLES_PER_SECTION: u64 = 4;

impl Space {
    pub(crate) fn look(&mut self, machine: &impl Machine, span: Span) -> Found {
        let mut found = Found::default();
        walk(&self.place, machine, span, &mut found);
        self.tally.comparisons += found.entries;
        found
    }

    /// Compares everything there is.
    pub(crate) fn all(&mut self, machine: &impl Machine) -> Vec<String> {
        let all = self.place.all();
        let found = self.look(machine, all);
        let tables = found.tables.len() as u64;
        self.until_all = (tables / TABLES_PER_SECTION).max(1);
        let differences = changes(&self.history.now().pages.within(all), &found.runs);
        let mut lines: Vec<_> = differences.iter().map(difference::pages).collect();
        lines.extend(self.cached(machine, all));
        let used = self.used.0 + self.used.1;
        if used != tables {
            lines.push(field("tables in use", tables, used));
        }
        self.tally.comparisons += 1;
        lines
    }

    /// What is kept at hand about pages of emulated devices.
    pub(crate) fn cached(&mut self, machine: &impl Machine, span: Span) -> Vec<String> {
        let mut lines = Vec::new();
        for ipa in self.place.emulated(span) {
            let is_guarded = self.history.now().pages.get(ipa) == Some(Page::Marked);
            if machine.is_guarded(ipa) != is_guarded {
                let what = format!("IPA {ipa:#x}, emulated, guarded as accesses are told");
                lines.push(field(what, is_guarded, !is_guarded));
            }
            self.tally.comparisons += 1;
        }
        lines
    }

    /// Blocks that are being zeroed are memory and not there yet.
    pub(crate) fn claims(&mut self, claims: &[u64]) -> Vec<String> {
        self.tally.comparisons += claims.len() as u64;
        let now = self.history.now();
        let is_good = |block: u64| {
            block.is_multiple_of(BLOCK)
                && self.place.is_memory(block)
                && now.pages.within((block, block + BLOCK)).is_empty()
        };
        let wrong = claims.iter().filter(|block| !is_good(**block));
        wrong
            .map(|block| format!("the block at IPA {block:#x} is being zeroed and is mapped"))
            .collect()
    }

    /// Memory that came or went holds zeroes.
    pub(crate) fn zeroes(
        &mut self,
        machine: &impl Machine,
        predicted: &Predicted,
        is_alone: bool,
    ) -> Vec<String> {
        let came = predicted.came.iter().filter(|_| is_alone);
        let mut lines = Vec::new();
        for &(from, to) in came.chain(&predicted.went) {
            let mut at = from;
            while at < to {
                let end = to.min(at / BLOCK * BLOCK + BLOCK);
                let pa = self.place.memory.iter().find_map(|extent| extent.translate((at, end)));
                if pa.is_none_or(|pa| !machine.is_zero(pa, end - at)) {
                    let what = format!("contents of IPA {at:#x}..{end:#x}");
                    lines.push(field(what, "zeroes", "something else"));
                }
                self.tally.comparisons += (end - at) / model::PAGE;
                at = end;
            }
        }
        lines
    }
}
