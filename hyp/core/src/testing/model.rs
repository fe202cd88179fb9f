//! What the guard and the page states of one VM are, in sets and maps.
//!
//! Written from the ABI's description (Android's `mmio-guard.rst` and `hypercalls.rst`, rows 28 to
//! 63 and 81 to 97 of the table that the project keeps), not from the implementation. Answers are
//! `true` for success.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::vec::Vec;

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;
/// Granules that one range call may do: our choice, the ABI leaves it open.
const PROGRESS: u64 = 64;

/// A page of memory that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) shared: bool,
    /// Its first byte.
    pub(crate) value: u8,
}

/// One VM.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    protected: bool,
    ipa_end: u64,
    memory: Vec<Range<u64>>,
    static_marks: BTreeSet<u64>,
    pub(crate) enrolled: bool,
    pub(crate) marks: BTreeSet<u64>,
    /// Pages of memory that are there.
    pub(crate) pages: BTreeMap<u64, Page>,
    /// Blocks that memory came into being in: from then on they are populated page by page.
    blocks: BTreeSet<u64>,
}

impl Model {
    pub(crate) fn new(
        protected: bool,
        ipa_bits: u32,
        memory: Vec<Range<u64>>,
        static_marks: BTreeSet<u64>,
    ) -> Self {
        let mut model = Self {
            protected,
            ipa_end: 1 << ipa_bits,
            memory,
            static_marks,
            enrolled: false,
            marks: BTreeSet::new(),
            pages: BTreeMap::new(),
            blocks: BTreeSet::new(),
        };
        model.reset();
        model
    }

    pub(crate) fn is_memory(&self, ipa: u64) -> bool {
        self.memory.iter().any(|range| range.contains(&ipa))
    }

    /// Marks and enrolment are dropped, the static settings applied again; memory is zeroed.
    pub(crate) fn reset(&mut self) {
        self.enrolled = self.protected;
        self.marks = self.static_marks.clone();
        self.pages.clear();
        self.blocks.clear();
    }

    /// The guest touches memory. A block comes as a whole the first time.
    pub(crate) fn touch(&mut self, ipa: u64) -> bool {
        if !self.is_memory(ipa) {
            return false;
        }
        let fresh = Page { shared: false, value: 0 };
        let block = ipa / BLOCK * BLOCK;
        if self.blocks.insert(block) {
            self.pages.extend((block..block + BLOCK).step_by(4096).map(|page| (page, fresh)));
        }
        self.pages.entry(ipa / PAGE * PAGE).or_insert(fresh);
        true
    }

    pub(crate) fn store(&mut self, ipa: u64, value: u8) {
        if self.touch(ipa) {
            self.pages.get_mut(&(ipa / PAGE * PAGE)).unwrap().value = value;
        }
    }

    pub(crate) fn enroll(&mut self) {
        self.enrolled = true;
    }

    /// Rows 36 to 46.
    pub(crate) fn map(&mut self, ipa: u64) -> bool {
        let allowed =
            self.enrolled && ipa.is_multiple_of(PAGE) && ipa < self.ipa_end && !self.is_memory(ipa);
        if allowed {
            self.marks.insert(ipa);
        }
        allowed
    }

    /// Rows 49 to 53.
    pub(crate) fn unmap(&mut self, ipa: u64) -> bool {
        self.enrolled && self.marks.remove(&ipa)
    }

    /// Rows 55 to 59: how many granules, 0 for an error.
    pub(crate) fn map_range(&mut self, base: u64, count: u64) -> u64 {
        (0..count.min(PROGRESS)).take_while(|n| self.map(base.saturating_add(n * PAGE))).count()
            as u64
    }

    pub(crate) fn unmap_range(&mut self, base: u64, count: u64) -> u64 {
        (0..count.min(PROGRESS)).take_while(|n| self.unmap(base.saturating_add(n * PAGE))).count()
            as u64
    }

    /// Rows 83 to 87.
    pub(crate) fn share(&mut self, ipa: u64) -> bool {
        if !ipa.is_multiple_of(PAGE) || !self.touch(ipa) {
            return false;
        }
        let page = self.pages.get_mut(&ipa).unwrap();
        !core::mem::replace(&mut page.shared, true)
    }

    /// Rows 90 and 91.
    pub(crate) fn unshare(&mut self, ipa: u64) -> bool {
        self.pages.get_mut(&ipa).is_some_and(|page| core::mem::replace(&mut page.shared, false))
    }

    /// Rows 93 to 95.
    pub(crate) fn relinquish(&mut self, ipa: u64) -> bool {
        let ipa = ipa / PAGE * PAGE;
        if ipa >= self.ipa_end || self.marks.contains(&ipa) {
            return false;
        }
        match self.pages.get(&ipa) {
            Some(Page { shared: true, .. }) => false,
            Some(_) => self.pages.remove(&ipa).is_some(),
            None => true,
        }
    }
}
