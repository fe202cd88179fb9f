//! No panic from a guest's trap.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Call, Graph, Node};
use super::places::Places;
use super::rules::{Dead, Rules};

/// A place from which a guest's trap could get into a panic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The function in the source.
    pub function: String,
    /// What it calls: a function of the language's, or an instruction that only crashes.
    pub kind: String,
    /// `file:line`.
    pub line: String,
    /// The function in the image.
    node: u64,
    /// The instruction.
    at: u64,
}

/// What the check found.
#[derive(Debug)]
pub struct Findings {
    /// Functions that a guest's trap reaches.
    pub reached: usize,
    /// Places that are excused.
    pub excused: usize,
    /// What must not be, with the chain of calls that leads there.
    pub breaches: Vec<String>,
}

/// Looks for panics that `entries` reach.
pub fn check(
    graph: &Graph,
    entries: &[u64],
    rules: &Rules,
    dead: &[Dead],
    places: &Places,
) -> Findings {
    let is_panic = |node: &Node| rules.panics.any(&node.names);
    let reached = graph.reach(entries, is_panic);
    let mut sites = BTreeSet::new();
    for (&address, node) in reached.keys().filter_map(|at| Some((at, graph.node(*at)?))) {
        let calls = node.calls.iter().filter_map(|call| {
            let to = graph.node(call.to)?;
            is_panic(to).then(|| (call.site, to.name.clone()))
        });
        let traps = node.traps.iter().map(|at| (*at, "brk".to_owned()));
        for (at, kind) in calls.chain(traps) {
            let function = places.function(at, &node.name);
            sites.insert(Site { function, kind, line: places.line(at), node: address, at });
        }
    }
    let mut used = BTreeSet::new();
    let mut breaches = Vec::new();
    let mut excused = 0;
    for site in sites {
        let entry =
            dead.iter().position(|dead| dead.function == site.function && dead.kind == site.kind);
        match entry {
            Some(entry) => {
                used.insert(entry);
                excused += 1;
            }
            None => breaches.push(format!(
                "{}: {} in {}\n{}",
                site.line,
                site.kind,
                site.function,
                chain(graph, &reached, site.node, site.at, places)
            )),
        }
    }
    for (index, dead) in dead.iter().enumerate() {
        if !used.contains(&index) {
            breaches.push(format!(
                "tests/audit/allowed.toml: no guest's trap reaches {} in {} any more; take the \
                 entry out",
                dead.kind, dead.function
            ));
        }
    }
    Findings { reached: reached.len(), excused, breaches }
}

/// The calls that lead from an entry to the instruction `at` in the function at `node`, one a line.
pub fn chain(
    graph: &Graph,
    reached: &BTreeMap<u64, Option<(u64, Call)>>,
    node: u64,
    at: u64,
    places: &Places,
) -> String {
    let name = |address: u64| graph.node(address).map_or("?", |node| &node.name);
    let mut lines = vec![format!("       {} at {}", name(node), places.line(at))];
    let mut current = node;
    while let Some(Some((from, call))) = reached.get(&current) {
        lines.push(format!("       {} at {}", name(*from), places.line(call.site)));
        current = *from;
    }
    lines.reverse();
    lines.join("\n")
}
