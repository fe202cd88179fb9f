//! All checks of one image.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::graph::Graph;
use super::places::Places;
use super::program::Program;
use super::rules::{self, Allowed, Entry, Rules};
use super::stack::{Depth, Depths};
use super::upkeep;
use super::{frames, hot, lines, panics, pointers, room, unwinding};
use crate::symbolize::unwind::Unwinder;

/// Frames shown.
const LARGEST: usize = 8;

/// What came out.
#[derive(Debug, Default)]
pub struct Report {
    /// What was looked at, for a reader.
    pub lines: Vec<String>,
    /// How many checks ended well.
    pub checks: usize,
    /// What must not be.
    pub breaches: Vec<String>,
}

/// Checks the image.
///
/// # Errors
///
/// It or the rules cannot be read.
pub fn check(elf: &Path) -> Result<Report> {
    let rules: Rules = rules::read("rules.toml")?;
    let allowed: Allowed = rules::read("allowed.toml")?;
    ensure!(rules.is_reasoned(), "tests/audit/rules.toml: a rule gives no reason (`why`)");
    let is_proven = allowed.dead.iter().all(|dead| !dead.proof.trim().is_empty());
    ensure!(is_proven, "tests/audit/allowed.toml: an entry has no proof");
    let bytes = fs::read(elf).with_context(|| format!("could not read {}", elf.display()))?;
    let program = Program::read(&bytes)?;
    let mut entries = Vec::new();
    for entry in &rules.entry {
        let piece = program.named(&entry.symbol).with_context(|| {
            format!("the image has no {}, an [[entry]] of tests/audit/rules.toml", entry.symbol)
        })?;
        entries.push((piece.start + entry.offset, entry));
    }
    let addresses: Vec<u64> = entries.iter().map(|(address, _)| *address).collect();
    let mut graph = Graph::read(&program, &addresses)?;
    let breaches = pointers::resolve(&mut graph, &rules);
    let mut report = Report { lines: Vec::new(), checks: 0, breaches };
    report.checks += usize::from(report.breaches.is_empty());
    let places = Places::open(elf)?;

    let of_guests: Vec<u64> =
        entries.iter().filter(|(_, entry)| entry.guest).map(|(address, _)| *address).collect();
    graph.link(&rules.enters, &of_guests)?;
    let found = panics::check(&graph, &of_guests, &rules, &allowed.dead, &places);
    report.lines.push(format!(
        "guests' traps reach {} of {} functions; panics there: {} excused, {} not",
        found.reached,
        graph.nodes().count(),
        found.excused,
        found.breaches.len()
    ));
    report.checks += usize::from(found.breaches.is_empty());
    report.breaches.extend(found.breaches);

    let (reached, breaches) = hot::check(&graph, &rules.hot, &places);
    report.lines.push(format!("hot paths: {reached} functions, {} breaches", breaches.len()));
    report.checks += usize::from(breaches.is_empty());
    report.breaches.extend(breaches);

    let (steps, breaches) = upkeep::check(&program);
    report.lines.push(format!("maintenance: {steps} steps, {} out of order", breaches.len()));
    report.checks += usize::from(breaches.is_empty());
    report.breaches.extend(breaches);

    let (functions, breaches) = unwinding::check(&program, &graph, &Unwinder::of(&bytes)?);
    report.lines.push(format!("call frame information: {functions} functions"));
    report.checks += usize::from(breaches.is_empty());
    report.breaches.extend(breaches);

    stacks(&graph, &entries, &rules, &mut report)?;

    let (said, breach) = lines::check(&bytes, &program, &places)?;
    report.lines.extend(said);
    report.checks += usize::from(breach.is_none());
    report.breaches.extend(breach);
    Ok(report)
}

/// Compares what each entry may need with what its stack has.
fn stacks(
    graph: &Graph,
    entries: &[(u64, &Entry)],
    rules: &Rules,
    report: &mut Report,
) -> Result<()> {
    let name = |address: u64| graph.node(address).map_or("?", |node| &node.name);
    let mut depths = Depths::new(graph, &rules.recursion);
    let mut worst: Option<(Depth, &Entry)> = None;
    for (address, entry) in entries {
        let depth = depths.of(*address);
        let stack = rules.stack.iter().find(|stack| stack.name == entry.stack);
        let stack = stack.with_context(|| format!("no [[stack]] is called {}", entry.stack))?;
        let room = room::of(&stack.name)?;
        let bytes = depth.bytes + stack.used;
        report.lines.push(format!(
            "stack: {bytes:6} of {room} bytes of the {} stack from {}",
            stack.name, entry.name
        ));
        report.checks += usize::from(bytes <= room);
        if bytes > room {
            report.breaches.push(format!(
                "{}: {bytes} bytes of stack, and the {} stack has {room}:\n{}",
                entry.name,
                stack.name,
                shown(&depth, name)
            ));
        }
        if worst.as_ref().is_none_or(|(other, _)| other.bytes < depth.bytes) {
            worst = Some((depth, entry));
        }
    }
    if let Some((depth, entry)) = worst {
        report.lines.push(format!("deepest, from {}:\n{}", entry.name, shown(&depth, name)));
    }
    report.lines.push("largest frames:".to_owned());
    let largest = frames::sorted(graph).into_iter().take(LARGEST);
    report.lines.extend(largest.map(|frame| format!("     {:6}  {}", frame.bytes, frame.function)));
    report.breaches.extend(depths.breaches.iter().cloned());
    for rule in depths.unused() {
        let shown = rule.functions.shown();
        report.breaches.push(format!(
            "tests/audit/rules.toml: [[recursion]] of {shown}: no entry reaches such a function"
        ));
    }
    // A frame that cannot be read from the instructions makes the sums worthless.
    let unknown = graph.nodes().filter(|(_, node)| node.sets_stack);
    report.breaches.extend(unknown.map(|(_, node)| {
        format!("{} sets the stack pointer to what no constant gives", node.name)
    }));
    Ok(())
}

fn shown<'a>(depth: &Depth, name: impl Fn(u64) -> &'a str) -> String {
    let lines = depth.chain.iter().map(|(at, bytes)| format!("     {bytes:6}  {}", name(*at)));
    lines.collect::<Vec<_>>().join("\n")
}
