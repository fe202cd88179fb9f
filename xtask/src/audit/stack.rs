//! How deep the stack gets.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Graph;
use super::rules::Recursion;

/// The deepest use of the stack from one function on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depth {
    /// Bytes.
    pub bytes: u64,
    /// The functions that are on the stack then, and the bytes of each.
    pub chain: Vec<(u64, u64)>,
}

/// Computes depths.
pub struct Depths<'a> {
    graph: &'a Graph,
    recursion: &'a [Recursion],
    known: BTreeMap<(u64, Vec<u64>), Depth>,
    open: Vec<(u64, Vec<u64>)>,
    /// What stands in the way of a bound.
    pub breaches: BTreeSet<String>,
    used: BTreeSet<usize>,
}

impl<'a> Depths<'a> {
    /// For `graph`, whose circles `recursion` bounds.
    pub fn new(graph: &'a Graph, recursion: &'a [Recursion]) -> Self {
        Self {
            graph,
            recursion,
            known: BTreeMap::new(),
            open: Vec::new(),
            breaches: BTreeSet::new(),
            used: BTreeSet::new(),
        }
    }

    /// The depth from the function at `entry` on.
    pub fn of(&mut self, entry: u64) -> Depth {
        let left = self.recursion.iter().map(|circle| circle.times).collect();
        self.enter(entry, left)
    }

    /// Bounds that no function needed.
    pub fn unused(&self) -> impl Iterator<Item = &Recursion> {
        let used = &self.used;
        self.recursion.iter().enumerate().filter(|(n, _)| !used.contains(n)).map(|(_, rule)| rule)
    }

    /// `left`: how often the functions of each circle may still come.
    fn enter(&mut self, at: u64, mut left: Vec<u64>) -> Depth {
        let Some(node) = self.graph.node(at) else { return Depth::default() };
        for (index, (circle, left)) in self.recursion.iter().zip(&mut left).enumerate() {
            if circle.functions.any(&node.names) {
                self.used.insert(index);
                match left.checked_sub(1) {
                    Some(less) => *left = less,
                    None => return Depth::default(),
                }
            }
        }
        if let Some(known) = self.known.get(&(at, left.clone())) {
            return known.clone();
        }
        if let Some(from) = self.open.iter().position(|open| *open == (at, left.clone())) {
            let names = self.open[from..].iter().filter_map(|(at, _)| self.graph.node(*at));
            let names: Vec<_> = names.map(|node| node.name.as_str()).collect();
            self.breaches.insert(format!(
                "circle of calls: {}; break it, or bound it by a [[recursion]] of \
                 tests/audit/rules.toml",
                names.join(" -> ")
            ));
            return Depth::default();
        }
        self.open.push((at, left.clone()));
        let mut deepest = Depth { bytes: node.frame, chain: vec![(at, node.frame)] };
        let calls: BTreeSet<_> = node.calls.iter().map(|call| (call.to, call.is_tail)).collect();
        for (to, is_tail) in calls {
            let mut depth = self.enter(to, left.clone());
            if !is_tail {
                depth.bytes += node.frame;
                depth.chain.insert(0, (at, node.frame));
            }
            if depth.bytes > deepest.bytes {
                deepest = depth;
            }
        }
        self.open.pop();
        self.known.insert((at, left), deepest.clone());
        deepest
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::{Call, Node};
    use super::*;

    /// A graph of functions `(name, frame, callees)`; a callee with a `-` is a tail call's.
    fn graph(functions: &[(&str, u64, &[&str])]) -> Graph {
        let place = |name: &str| {
            let index = functions.iter().position(|function| function.0 == name);
            index.unwrap() as u64
        };
        Graph::of(functions.iter().enumerate().map(|(at, (name, frame, callees))| {
            let calls = callees.iter().map(|callee| {
                let to = place(callee.trim_start_matches('-'));
                Call { site: 0, to, is_tail: callee.starts_with('-') }
            });
            let (name, calls) = ((*name).to_owned(), calls.collect());
            let names = vec![name.clone()];
            (at as u64, Node { name, names, calls, frame: *frame, ..Node::default() })
        }))
    }

    fn circle(function: &str, times: u64) -> Recursion {
        let functions = vec![function.to_owned()].try_into().unwrap();
        Recursion { functions, times, why: "a test".to_owned() }
    }

    #[test]
    fn the_deepest_chain_is_found_and_tail_calls_take_the_callers_place() {
        let graph = graph(&[
            ("a", 16, &["b", "c"]),
            ("b", 100, &["-d"]),
            ("c", 32, &["d"]),
            ("d", 96, &[]),
        ]);
        let mut depths = Depths::new(&graph, &[]);
        assert_eq!(depths.of(0), Depth { bytes: 144, chain: vec![(0, 16), (2, 32), (3, 96)] });
        assert_eq!(depths.of(1).bytes, 100, "b's own frame is deeper than d's in its place");
        assert!(depths.breaches.is_empty());
    }

    #[test]
    fn a_circle_needs_a_bound_and_counts_as_often_as_that_says() {
        let graph = graph(&[("a", 16, &["b"]), ("b", 32, &["c"]), ("c", 64, &["b"])]);
        let mut unbounded = Depths::new(&graph, &[]);
        unbounded.of(0);
        let breaches: Vec<_> = unbounded.breaches.iter().collect();
        assert!(breaches.len() == 1 && breaches[0].contains("b -> c;"), "{breaches:?}");
        for (times, bytes) in [(1, 16 + 96), (3, 16 + 3 * 96)] {
            let bounds = [circle("c", times), circle("z", 1)];
            let mut bounded = Depths::new(&graph, &bounds);
            // b's last call of c does not come.
            assert_eq!(bounded.of(0).bytes, bytes + 32, "{times}");
            assert!(bounded.breaches.is_empty());
            let unused: Vec<_> = bounded.unused().map(|rule| rule.functions.shown()).collect();
            assert_eq!(unused, ["z"]);
        }
    }
}
