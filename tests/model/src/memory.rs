//! Sharing of memory (`hypercalls.rst`; Android, `mem_protect.c`).

use crate::rules::Rule;
use crate::state::{Choice, PAGE, State};

pub(crate) fn share(state: &mut State, choice: &Choice, ipa: u64) -> Result<Rule, Rule> {
    if !ipa.is_multiple_of(PAGE) || !state.config.is_memory(ipa) {
        return Err(Rule::ShareNotMemory);
    }
    if state.shared.contains(&ipa) {
        return Err(Rule::ShareAgain);
    }
    if choice.replay && !state.present.contains(&ipa) {
        return Err(Rule::ShareReplay);
    }
    state.bring(ipa);
    state.shared.insert(ipa);
    Ok(Rule::Share)
}

pub(crate) fn unshare(state: &mut State, ipa: u64) -> Result<Rule, Rule> {
    if !ipa.is_multiple_of(PAGE) || !state.shared.remove(&ipa) {
        return Err(Rule::UnshareNotShared);
    }
    Ok(Rule::Unshare)
}

pub(crate) fn relinquish(state: &mut State, choice: &Choice, ipa: u64) -> Result<Rule, Rule> {
    let page = ipa / PAGE * PAGE;
    if state.shared.contains(&page) {
        return Err(Rule::RelinquishShared);
    }
    if !state.config.is_memory(page) {
        return if choice.refuse {
            Err(Rule::RelinquishNothing)
        } else {
            Ok(Rule::RelinquishNothing)
        };
    }
    state.contents.remove(&page);
    if state.present.remove(&page) {
        state.given_back.insert(page);
    }
    Ok(Rule::Relinquish)
}
