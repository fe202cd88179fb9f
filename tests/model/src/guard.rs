//! The MMIO guard (`mmio-guard.rst` of Android's kernels; the postings of 2021).

use crate::rules::Rule;
use crate::state::{Choice, PAGE, State};

/// A call is refused; the state is as it was.
pub(crate) struct Error(pub(crate) Rule);

pub(crate) fn enroll(state: &mut State) -> Rule {
    state.is_enrolled = true;
    Rule::Enroll
}

pub(crate) fn map(state: &mut State, choice: &Choice, ipa: u64) -> Result<Rule, Error> {
    let config = &state.config;
    let broken = [
        (!state.is_enrolled, Rule::MapNotEnrolled),
        (!ipa.is_multiple_of(PAGE), Rule::MapUnaligned),
        (!config.is_inside(ipa), Rule::MapOutside),
        (config.is_memory(ipa), Rule::MapMemory),
    ];
    if let Some((_, rule)) = broken.into_iter().find(|(is_broken, _)| *is_broken) {
        return Err(Error(rule));
    }
    if state.guarded.contains(&ipa) {
        return Ok(Rule::MapAgain);
    }
    if choice.refuse {
        return Err(Error(Rule::MapNoTables));
    }
    state.guarded.insert(ipa);
    Ok(Rule::Map)
}

pub(crate) fn unmap(state: &mut State, ipa: u64) -> Result<Rule, Error> {
    if !state.is_enrolled {
        return Err(Error(Rule::UnmapNotEnrolled));
    }
    if !ipa.is_multiple_of(PAGE) {
        return Err(Error(Rule::UnmapUnaligned));
    }
    if !state.guarded.remove(&ipa) {
        return Err(Error(Rule::UnmapNotGuarded));
    }
    Ok(Rule::Unmap)
}

pub(crate) fn map_range(
    state: &mut State,
    choice: &Choice,
    base: u64,
    granules: u64,
    x3: u64,
) -> (u64, Result<Rule, Error>) {
    each(choice, base, granules, x3, Rule::RangeMap, |ipa| map(state, choice, ipa).is_ok())
}

pub(crate) fn unmap_range(
    state: &mut State,
    choice: &Choice,
    base: u64,
    granules: u64,
    x3: u64,
) -> (u64, Result<Rule, Error>) {
    each(choice, base, granules, x3, Rule::RangeUnmap, |ipa| unmap(state, ipa).is_ok())
}

/// As many of the range's granules, one after the other, as the hypervisor chose to do and as can
/// be done.
fn each(
    choice: &Choice,
    base: u64,
    granules: u64,
    x3: u64,
    rule: Rule,
    mut one: impl FnMut(u64) -> bool,
) -> (u64, Result<Rule, Error>) {
    if granules == 0 || x3 != 0 {
        return (0, Err(Error(Rule::RangeArguments)));
    }
    let goal = granules.min(choice.granules.max(1));
    let address = |index: u64| base.checked_add(index.checked_mul(PAGE)?);
    let done = (0..goal).take_while(|index| address(*index).is_some_and(&mut one)).count() as u64;
    if done == 0 { (0, Err(Error(Rule::RangeRefused))) } else { (done, Ok(rule)) }
}
