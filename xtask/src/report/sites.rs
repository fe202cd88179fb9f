//! Violations as they are told: one for each site, whatever pages it touched.

use std::collections::HashMap;

use super::advice::device;
use super::model::{GRANULE, Violation, Vm, page};

/// What one instruction, called in one way, did wrong for one reason.
#[derive(Debug)]
pub struct Site<'a> {
    /// The first violation.
    pub first: &'a Violation,
    /// Accesses.
    pub count: u64,
    /// When the last of them was, in ticks of the counter.
    pub last: u64,
    /// Neighbouring pages that were touched: the first one, and how many; by address.
    pub runs: Vec<(u64, u64)>,
}

impl Site<'_> {
    /// Pages that were touched.
    pub fn pages(&self) -> u64 {
        self.runs.iter().map(|(_, count)| count).sum()
    }
}

/// The sites of `vm` in the order of their first violations. Pages that stand otherwise to the guard, or
/// with another device, are told of apart: what to do about them differs.
pub fn sites(vm: &Vm) -> Vec<Site<'_>> {
    let mut sites: Vec<(Site<'_>, Vec<u64>)> = Vec::new();
    let mut known = HashMap::new();
    for violation in &vm.violations {
        let Violation { reason, touch, bytes, ipa, first, count, last, .. } = violation;
        let place = first.place.as_ref().map(|place| (place.pc, &place.frames));
        let standing = vm.standing(violation) as u8;
        let key = (*reason, *touch, *bytes, place, standing, device(vm, *ipa));
        let at = *known.entry(key).or_insert(sites.len());
        match sites.get_mut(at) {
            Some((site, pages)) => {
                site.count += count;
                site.last = site.last.max(*last);
                pages.push(page(*ipa));
            }
            None => {
                let site = Site { first: violation, count: *count, last: *last, runs: Vec::new() };
                sites.push((site, vec![page(*ipa)]));
            }
        }
    }
    sites.into_iter().map(|(site, pages)| Site { runs: runs(pages), ..site }).collect()
}

fn runs(mut pages: Vec<u64>) -> Vec<(u64, u64)> {
    pages.sort_unstable();
    pages.dedup();
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for page in pages {
        match runs.last_mut() {
            Some((base, count)) if base.wrapping_add(*count * GRANULE) == page => *count += 1,
            _ => runs.push((page, 1)),
        }
    }
    runs
}
