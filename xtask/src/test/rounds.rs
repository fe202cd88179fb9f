//! The rounds of `test` that print verdicts and count for themselves: the short ones of every run, and
//! the long ones of `--all`.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::{elsewhere, house, own_guests};
use crate::libtest::count;
use crate::scenario::{self, Tally};
use crate::setup::{self, exec};
use crate::{bench, coverage, fuzz, miri, mutants, workspace};

/// One round.
pub struct Round {
    /// What it is.
    pub name: &'static str,
    /// Does it.
    pub run: fn() -> Result<Tally>,
    /// Left out with `--no-qemu`.
    pub needs_qemu: bool,
}

/// Those of every run.
pub const SHORT: &[Round] = &[
    host("fuzz", fuzz::test_round),
    host("miri", miri::test_round),
    host("rules of the house", rules),
    emulated("own guests", own_guests::round),
    emulated("conformance elsewhere", elsewhere::round),
    emulated("scenarios", scenarios),
    emulated("instruction counts", bench::test_round),
];

/// Those of `--all`, the quickest first; what SHORT has is part of them.
pub const LONG: &[Round] = &[
    host("rules of the house", rules),
    emulated("own guests", own_guests::round),
    emulated("conformance elsewhere", elsewhere::round),
    emulated("instruction counts", bench::test_round),
    host("coverage", covered),
    host("fuzz, a minute for each target", fuzz::long_round),
    host("interleave, three preemptions", interleave),
    emulated("scenarios, the long ones too", all_scenarios),
    host("mutants", mutants::test_round),
    host("miri, all tests", miri::full_round),
];

const fn host(name: &'static str, run: fn() -> Result<Tally>) -> Round {
    Round { name, run, needs_qemu: false }
}

const fn emulated(name: &'static str, run: fn() -> Result<Tally>) -> Round {
    Round { name, run, needs_qemu: true }
}

/// The rules of the house.
pub fn rules() -> Result<Tally> {
    let mut tally = Tally::default();
    for finding in house::check()? {
        if finding.breaches.is_empty() {
            tally.passed += 1;
            println!("PASS rule: {}", finding.rule);
        } else {
            tally.failed += 1;
            println!("FAIL rule: {}", finding.rule);
            finding.breaches.iter().for_each(|breach| println!("     {breach}"));
        }
    }
    Ok(tally)
}

fn scenarios() -> Result<Tally> {
    scenario::run(&scenario::Options::default())
}

fn all_scenarios() -> Result<Tally> {
    scenario::run(&scenario::Options::all())
}

/// One check: enough lines of `hyp-core` are run.
fn covered() -> Result<Tally> {
    if let Err(error) = setup::ensure_coverage_tools() {
        return Ok(Tally::skip("coverage", &error));
    }
    let status = coverage::command(&coverage::Options::default())?;
    let verdict = if status == 0 { "PASS" } else { "FAIL" };
    println!("{verdict} coverage");
    Ok(Tally::of_one(status == 0))
}

/// Each model is a check.
fn interleave() -> Result<Tally> {
    /// One more preemption takes several times as long: hours on a slow machine.
    const LIMIT: Duration = Duration::from_secs(12 * 3600);
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root());
    command.args(["test", "--quiet", "--no-fail-fast", "--package", "interleave"]);
    command.env("INTERLEAVE_PREEMPTIONS", "3");
    let mut last = 0;
    let finished = exec::run(
        &mut command,
        LIMIT,
        |_line| {},
        |elapsed| {
            let minutes = elapsed.as_secs() / 60;
            if minutes > last {
                last = minutes;
                setup::say(&format!("interleave: {minutes} min"));
            }
        },
    )?;
    let mut checks = count(&finished.stdout);
    if !finished.status.success() || checks.passed == 0 {
        eprintln!("{}\n{}", finished.stdout, finished.tail);
        checks.failed = checks.failed.max(1);
    }
    let verdict = if checks.failed == 0 { "PASS" } else { "FAIL" };
    println!("{verdict} interleave, three preemptions ({} checks)", checks.passed + checks.failed);
    Ok(Tally { passed: checks.passed, failed: checks.failed, skipped: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn all_leaves_nothing_out() {
        // By the part before the comma: `fuzz, a minute for each target` is more of `fuzz`.
        let parts = |rounds: &[Round]| -> BTreeSet<&str> {
            rounds.iter().filter_map(|round| round.name.split(',').next()).collect()
        };
        let (short, long) = (parts(SHORT), parts(LONG));
        assert!(short.is_subset(&long), "{short:?} {long:?}");
        assert_eq!(long.len(), LONG.len(), "two rounds of a name");
        for more in ["coverage", "interleave", "mutants"] {
            assert!(long.contains(more), "{more}");
        }
    }
}
