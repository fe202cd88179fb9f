//! Maps from pages to what is known about them, in runs of pages about which the same is known.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Addresses from the first up to the second.
pub(crate) type Span = (u64, u64);

/// Some addresses and what is known about each page there.
pub(crate) type Run<T> = (Span, T);

/// What is known about pages; nothing about most. Spans are whole pages throughout.
#[derive(Debug, Clone)]
pub(crate) struct Runs<T>(BTreeMap<u64, (u64, T)>);

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Copy + PartialEq> Runs<T> {
    /// What is known about the page at `ipa`.
    #[must_use]
    pub(crate) fn get(&self, ipa: u64) -> Option<T> {
        let (_, (end, value)) = self.0.range(..=ipa).next_back()?;
        (ipa < *end).then_some(*value)
    }

    /// From here on `value` is known about `span`.
    pub(crate) fn set(&mut self, (from, to): Span, value: Option<T>) {
        if from >= to {
            return;
        }
        for ((start, end), old) in self.touched((from, to)) {
            self.0.remove(&start);
            if start < from {
                self.0.insert(start, (from, old));
            }
            if end > to {
                self.0.insert(to, (end, old));
            }
        }
        if let Some(value) = value {
            self.0.insert(from, (to, value));
        }
    }

    /// The runs that have a page in `span`, whole.
    fn touched(&self, (from, to): Span) -> Vec<Run<T>> {
        let first = self.0.range(..=from).next_back().map_or(from, |(start, _)| *start);
        self.0
            .range(first..to)
            .filter(|(_, (end, _))| *end > from)
            .map(|(start, (end, value))| ((*start, *end), *value))
            .collect()
    }

    /// What is known about `span`, in order; neighbours of which the same is known are one.
    #[must_use]
    pub(crate) fn within(&self, (from, to): Span) -> Vec<Run<T>> {
        let mut runs = Vec::new();
        for ((start, end), value) in self.touched((from, to)) {
            push(&mut runs, ((start.max(from), end.min(to)), value));
        }
        runs
    }
}

/// Adds `run` behind the last of `runs`.
pub(crate) fn push<T: Copy + PartialEq>(runs: &mut Vec<Run<T>>, run: Run<T>) {
    match runs.last_mut() {
        Some(((_, end), value)) if *end == run.0.0 && *value == run.1 => *end = run.0.1,
        _ => runs.push(run),
    }
}

/// A span about which two sides know different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change<T> {
    /// Where.
    pub(crate) span: Span,
    /// What the one side knows.
    pub(crate) was: Option<T>,
    /// What the other knows.
    pub(crate) is: Option<T>,
}

/// Where `old` and `new` differ; both are in order.
#[must_use]
pub(crate) fn changes<T: Copy + PartialEq>(old: &[Run<T>], new: &[Run<T>]) -> Vec<Change<T>> {
    let mut found: Vec<Change<T>> = Vec::new();
    let (mut olds, mut news) = (old.iter().copied().peekable(), new.iter().copied().peekable());
    let mut at = 0;
    loop {
        while olds.next_if(|((_, end), _)| *end <= at).is_some() {}
        while news.next_if(|((_, end), _)| *end <= at).is_some() {}
        let (one, other) = (olds.peek().copied(), news.peek().copied());
        let Some(from) = [one, other].into_iter().flatten().map(|((from, _), _)| from).min() else {
            return found;
        };
        let from = from.max(at);
        let value = |run: Option<Run<T>>| {
            run.filter(|((start, _), _)| *start <= from).map(|(_, value)| value)
        };
        // Up to the next border of either.
        let borders = [one, other].into_iter().flatten().flat_map(|((start, end), _)| [start, end]);
        let to = borders.filter(|border| *border > from).min().unwrap_or(u64::MAX);
        let (was, is) = (value(one), value(other));
        if was != is {
            match found.last_mut() {
                Some(last) if last.span.1 == from && last.was == was && last.is == is => {
                    last.span.1 = to;
                }
                _ => found.push(Change { span: (from, to), was, is }),
            }
        }
        at = to;
    }
}
