//! Calls through registers: what the rules say they can reach, and whether that leaves a gap.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::rules::Rules;

/// Gives each indirect call its targets. The answer is what is wrong with the rules: a function
/// with such a call that no rule is about, a rule without function or target, a pointer to a
/// function that no rule lets anybody call.
pub fn resolve(graph: &mut Graph, rules: &Rules) -> Vec<String> {
    let taken: Vec<(u64, Vec<String>)> =
        graph.taken().map(|(address, node)| (address, node.names.clone())).collect();
    let callers: Vec<(u64, Vec<String>)> = graph
        .nodes()
        .filter(|(_, node)| !node.indirect.is_empty())
        .map(|(address, node)| (address, node.names.clone()))
        .collect();
    let mut breaches = Vec::new();
    let mut spoken_for = BTreeSet::new();
    let mut heard = BTreeSet::new();
    for rule in &rules.indirect {
        let targets: BTreeSet<u64> = taken
            .iter()
            .filter(|(_, names)| rule.targets.any(names))
            .map(|(address, _)| *address)
            .collect();
        let of_rule: Vec<_> = callers.iter().filter(|(_, names)| rule.callers.any(names)).collect();
        let what = match (of_rule.is_empty(), targets.is_empty()) {
            (true, _) => Some("there is no such caller"),
            (_, true) if !rule.targets.shown().is_empty() => Some("there are no such targets"),
            _ => None,
        };
        if let Some(what) = what {
            let shown = rule.callers.shown();
            breaches.push(format!("tests/audit/rules.toml: [[indirect]] of {shown}: {what}"));
        }
        for (address, _) in of_rule {
            graph.resolve(*address, &targets);
            heard.insert(*address);
        }
        spoken_for.extend(targets);
    }
    for rule in &rules.uncalled {
        let of_rule = taken.iter().filter(|(_, names)| rule.functions.any(names));
        let before = spoken_for.len();
        spoken_for.extend(of_rule.map(|(address, _)| *address));
        if spoken_for.len() == before {
            let shown = rule.functions.shown();
            breaches.push(format!(
                "tests/audit/rules.toml: [[uncalled]] of {shown}: no such address is taken"
            ));
        }
    }
    for (address, names) in &callers {
        if !heard.contains(address) {
            breaches.push(format!(
                "{} calls through a register, and no [[indirect]] of tests/audit/rules.toml says \
                 what: add one",
                names.join(", ")
            ));
        }
    }
    for (address, names) in &taken {
        if !spoken_for.contains(address) {
            breaches.push(format!(
                "the address of {} is taken, and no [[indirect]] of tests/audit/rules.toml lets \
                 anybody call it: add it to the targets of those that do",
                names.join(", ")
            ));
        }
    }
    breaches
}
