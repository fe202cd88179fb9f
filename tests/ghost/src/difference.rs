//! What is said where the machine and the model differ.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::runs::Change;
use crate::walk::Page;

/// Lines that are shown of a difference.
const SHOWN: usize = 16;

/// The machine and the model differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// After what.
    pub after: String,
    /// In what, a line for each.
    pub lines: Vec<String>,
}

impl Difference {
    pub(crate) fn new(after: String, lines: Vec<String>) -> Self {
        Self { after, lines }
    }

    /// The lines, the first few.
    pub fn shown(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().take(SHOWN).map(String::as_str)
    }

    /// How many lines are not shown.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.lines.len().saturating_sub(SHOWN)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.after)?;
        self.shown().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// A line about a value.
pub(crate) fn field(
    what: impl fmt::Display,
    model: impl fmt::Display,
    machine: impl fmt::Display,
) -> String {
    format!("{what}: the model says {model}, the machine {machine}")
}

/// A line about pages: `was` is what the model says, `is` what the tables say.
pub(crate) fn pages(change: &Change<Page>) -> String {
    let (from, to) = change.span;
    let count = (to - from) / model::PAGE;
    let what = format!("IPA {from:#x}..{to:#x} ({count} page(s))");
    field(what, page(change.was), page(change.is))
}

fn page(page: Option<Page>) -> String {
    match page {
        None => "nothing".into(),
        Some(Page::Owned) => "memory, owned".into(),
        Some(Page::Shared) => "memory, shared".into(),
        Some(Page::Marked) => "guarded".into(),
        Some(Page::Device) => "a device, mapped and not guarded".into(),
        Some(Page::GuardedDevice) => "a device, mapped and guarded".into(),
        Some(Page::Odd { level, raw }) => {
            format!("an entry that nothing explains, {raw:#018x} at level {level}")
        }
    }
}
