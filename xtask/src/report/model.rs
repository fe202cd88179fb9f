//! What a run's records say about the guard and about shared pages.

use std::collections::{BTreeMap, HashMap};

use hyp_abi::trace::{Range, Stop};
use hyp_abi::vm_type;
use hyp_core::events::{Reason, Touch};

/// Bytes of a granule, the unit of the guard and of sharing.
pub const GRANULE: u64 = 4096;
/// Memory is backed in blocks of this many bytes.
pub const BLOCK: u64 = 2 << 20;

/// A point in a run: who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Ticks of the counter.
    pub time: u64,
    /// Who, if it was an instruction of the guest.
    pub place: Option<Place>,
}

/// An instruction of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub vcpu: u8,
    pub pc: u64,
    /// A process's, at EL0.
    pub is_el0: bool,
    /// Functions with their places, innermost first, then their callers.
    pub frames: Vec<String>,
}

/// From when to when something held. Without an end it holds at the end of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    pub from: Origin,
    pub to: Option<Origin>,
}

/// Whether a granule was touched while it was guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    Never,
    First(Origin),
    /// The registers are a real device's: once mapped, accesses to them reach nobody else.
    Unseen,
}

/// A granule that was guarded.
#[derive(Debug, Clone)]
pub struct Granule {
    pub guarded: Vec<Period>,
    pub touched: Touched,
    /// The first access that came before a call that guarded the granule, and how many there were.
    pub touched_before: Option<(Origin, u64)>,
}

/// A page that was shared.
#[derive(Debug, Clone)]
pub struct SharedPage {
    pub shared: Vec<Period>,
    /// Since when memory was there before the page was shared for the first time.
    pub backed_before: Option<Backed>,
    /// When the VM last gave the page back.
    pub relinquished: Option<Origin>,
}

/// How memory came to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backed {
    /// Its block was touched.
    Touched(Origin),
    /// It holds a part of the payload.
    Loaded,
}

/// Accesses by one instruction to one granule that broke a rule.
#[derive(Debug, Clone)]
pub struct Violation {
    pub reason: Reason,
    pub touch: Touch,
    pub bytes: u8,
    pub ipa: u64,
    pub va: u64,
    pub first: Origin,
    pub count: u64,
    /// When it happened last, in ticks of the counter.
    pub last: u64,
}

/// How the guard stood to a granule when it was violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Guarded,
    NeverGuarded,
    GuardedLater,
    NoLongerGuarded,
}

/// A VM of the run.
#[derive(Debug, Clone, Default)]
pub struct Vm {
    pub name: String,
    pub type_word: u64,
    pub is_list_2021: bool,
    pub has_guard: bool,
    /// `None` until it enrolls; a protected VM is enrolled from the start.
    pub enrolled: Option<Origin>,
    pub ranges: Vec<(Range, u64, u64)>,
    pub granules: BTreeMap<u64, Granule>,
    pub shared: BTreeMap<u64, SharedPage>,
    pub violations: Vec<Violation>,
    /// Where in that list those of a reason, PC and page are.
    pub known: HashMap<(Reason, u64, u64), usize>,
    pub resets: u64,
    pub stopped: Option<Stop>,
    /// 2 MiB blocks of memory that were touched.
    pub backed: BTreeMap<u64, Origin>,
    /// Accesses since the start or the last reset to pages that were not guarded then.
    pub early: BTreeMap<u64, (Origin, u64)>,
}

impl Vm {
    /// Whether nobody outside sees its memory.
    pub fn is_protected(&self) -> bool {
        self.type_word & vm_type::PROTECTED != 0
    }

    /// Whether a range of this kind holds `ipa`.
    pub fn is_in(&self, kind: Range, ipa: u64) -> bool {
        self.ranges
            .iter()
            .any(|(range, base, bytes)| *range == kind && ipa.wrapping_sub(*base) < *bytes)
    }

    /// How the guard stood to the granule of `violation` when it happened first.
    pub fn standing(&self, violation: &Violation) -> Standing {
        let Some(granule) = self.granules.get(&page(violation.ipa)) else {
            return Standing::NeverGuarded;
        };
        let time = violation.first.time;
        let was_open = |period: &Period| {
            period.from.time <= time && period.to.as_ref().is_none_or(|to| to.time > time)
        };
        if granule.guarded.iter().any(was_open) {
            Standing::Guarded
        } else if granule.guarded.iter().any(|period| period.from.time > time) {
            Standing::GuardedLater
        } else {
            Standing::NoLongerGuarded
        }
    }
}

/// The granule that holds `ipa`.
pub const fn page(ipa: u64) -> u64 {
    ipa & !(GRANULE - 1)
}
