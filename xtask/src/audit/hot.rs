//! What hot paths do without: heap, formatting, locks that all VMs share.

use super::graph::Graph;
use super::panics::chain;
use super::places::Places;
use super::rules::Hot;

/// Functions of `spin` and of the library that a lock or another atomic access goes through: who uses
/// it is further out.
fn is_of_lock(function: &str) -> bool {
    function.starts_with("spin::") || function.starts_with("core::")
}

/// Looks at the hot paths. The answer is how many functions are on them, and what must not be.
pub fn check(graph: &Graph, hot: &Hot, places: &Places) -> (usize, Vec<String>) {
    let entries: Vec<u64> = graph
        .nodes()
        .filter(|(_, node)| hot.from.any(&node.names))
        .map(|(address, _)| address)
        .collect();
    let mut breaches = Vec::new();
    if entries.is_empty() {
        breaches.push(format!("tests/audit/rules.toml: no function {}", hot.from.shown()));
    }
    for pattern in hot.cold.idle(graph.nodes().map(|(_, node)| &node.names)) {
        breaches.push(format!("tests/audit/rules.toml: hot.cold: no function {pattern}"));
    }
    let reached = graph.reach(&entries, |node| hot.cold.any(&node.names));
    let mut atomics_used = vec![false; hot.atomics.len()];
    for &address in reached.keys() {
        let Some(node) = graph.node(address) else { continue };
        for forbidden in &hot.forbidden {
            let is = |address| {
                graph.node(address).is_some_and(|node| forbidden.functions.any(&node.names))
            };
            // Only how one gets there, not what it calls then.
            let from = reached.get(&address).copied().flatten();
            if is(address) && !from.is_some_and(|(caller, _)| is(caller)) {
                let way = chain(graph, &reached, address, address, places);
                breaches.push(format!("{} on a hot path:\n{way}", forbidden.what));
            }
        }
        for &at in &node.exclusives {
            let inlined = places.of(at);
            let users: Vec<String> = match inlined.iter().position(|p| !is_of_lock(&p.function)) {
                Some(first) => {
                    inlined[first..].iter().map(|place| place.function.clone()).collect()
                }
                None => vec![node.name.clone()],
            };
            let rule = hot.atomics.iter().position(|rule| {
                users.iter().any(|user| rule.functions.has(user)) || rule.functions.any(&node.names)
            });
            match rule {
                Some(rule) => atomics_used[rule] = true,
                None => breaches.push(format!(
                    "{}: an atomic access on a hot path in {}, of which tests/audit/rules.toml does \
                     not say that it is no lock that all VMs share\n{}",
                    places.line(at),
                    users.join(" < "),
                    chain(graph, &reached, address, at, places)
                )),
            }
        }
    }
    for (rule, used) in hot.atomics.iter().zip(atomics_used) {
        if !used {
            let shown = rule.functions.shown();
            breaches.push(format!("tests/audit/rules.toml: hot.atomics: nothing in {shown}"));
        }
    }
    (reached.len(), breaches)
}
