//! Neighbours with one story.

use super::model::{Backed, GRANULE, Granule, Origin, Period, SharedPage};

/// Neighbours that `same` finds alike, as base, number and the first of them.
pub fn runs<'a, T>(
    items: impl Iterator<Item = (u64, &'a T)>,
    same: impl Fn(&T, &T) -> bool,
) -> Vec<(u64, u64, &'a T)> {
    let mut runs: Vec<(u64, u64, &T)> = Vec::new();
    for (at, item) in items {
        match runs.last_mut() {
            Some((base, count, first)) if *base + *count * GRANULE == at && same(first, item) => {
                *count += 1;
            }
            _ => runs.push((at, 1, item)),
        }
    }
    runs
}

/// Whether two granules were guarded by the same instructions.
pub fn same_guard(one: &Granule, other: &Granule) -> bool {
    same_periods(&one.guarded, &other.guarded)
}

/// Whether two pages were shared by the same instructions and were used alike before.
pub fn same_shared(one: &SharedPage, other: &SharedPage) -> bool {
    same_backing(one.backed_before.as_ref(), other.backed_before.as_ref())
        && one.relinquished.is_some() == other.relinquished.is_some()
        && same_periods(&one.shared, &other.shared)
}

fn same_periods(one: &[Period], other: &[Period]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            same_place(&one.from, &other.from)
                && match (&one.to, &other.to) {
                    (None, None) => true,
                    (Some(one), Some(other)) => same_place(one, other),
                    _ => false,
                }
        })
}

fn same_place(one: &Origin, other: &Origin) -> bool {
    one.place == other.place
}

fn same_backing(one: Option<&Backed>, other: Option<&Backed>) -> bool {
    match (one, other) {
        (Some(Backed::Touched(one)), Some(Backed::Touched(other))) => same_place(one, other),
        (one, other) => one == other,
    }
}
