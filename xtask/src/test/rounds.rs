//! The rounds of `test` that print verdicts and count for themselves: the short ones of every run, and
//! the long ones of `--all`.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;

use super::{elsewhere, house, own_guests};
use crate::libtest::count;
use crate::scenario::{self, Matrix, Part, Tally};
use crate::setup::{self, exec};
use crate::{bench, coverage, fuzz, miri, mutants, workspace};

/// One round.
pub struct Round {
    /// The part of `--all` that it is in.
    pub part: &'static str,
    /// What it is.
    pub name: &'static str,
    /// Does it.
    pub run: fn() -> Result<Tally>,
    /// Left out with `--no-qemu`.
    pub needs_qemu: bool,
}

/// The part of `--all` that also has the stages.
pub const CHECKS: &str = "checks";

/// Those of every run.
pub const SHORT: &[Round] = &[
    host("fuzz", "fuzz", fuzz::test_round),
    host(CHECKS, "rules of the house", rules),
    emulated(CHECKS, "own guests", own_guests::round),
    emulated(CHECKS, "conformance elsewhere", elsewhere::round),
    emulated("scenarios", "scenarios", scenarios),
    emulated(CHECKS, "instruction counts", bench::test_round),
];

/// Those of `--all`, the quickest first; what SHORT has is part of them. Each part ends within two hours.
pub const LONG: &[Round] = &[
    host(CHECKS, "rules of the house", rules),
    emulated(CHECKS, "own guests", own_guests::round),
    emulated(CHECKS, "conformance elsewhere", elsewhere::round),
    emulated(CHECKS, "instruction counts", bench::test_round),
    host(CHECKS, "coverage", covered),
    host("boards-census", "census of Debian's device trees", census),
    host("fuzz", "fuzz, a minute for each target", fuzz::long_round),
    host("interleave", "interleave, three preemptions", interleave),
    emulated("scenarios", "scenarios, Linux on boards and through U-Boot too", || of(Part::Most)),
    emulated("restarts", "restarts of Linux", || of(Part::Restarts)),
    emulated("resets", "resets of the hostile guest", || of(Part::Resets)),
    emulated("ghost", "ghost check of long streams", || of(Part::Ghost)),
    emulated("matrix-boards", "matrix: boards", || of(Part::Matrix(Matrix::Boards))),
    emulated("matrix-cpus", "matrix: CPUs, EFI", || of(Part::Matrix(Matrix::Cpus))),
    emulated("matrix-emulators", "matrix: emulators, memory", || {
        of(Part::Matrix(Matrix::Emulators))
    }),
    emulated("matrix-gicv2", "matrix: kernels, GICv2", || of(Part::Matrix(Matrix::Kernels(2)))),
    emulated("matrix-gicv3", "matrix: kernels, GICv3", || of(Part::Matrix(Matrix::Kernels(3)))),
    host("mutants", "mutants", mutants::test_round),
    host("miri", "miri, guest-shim", miri::shim),
    host("miri-vgic", "miri, the interrupt controller", miri::vgic),
    host("miri-memory", "miri, memory", miri::memory),
    host("miri-readers", "miri, readers", miri::readers),
    host("miri-rest", "miri, the rest of hyp-core", miri::rest),
    emulated("hostile-1", "hostile guest, streams 1", || of(Part::Hostile(1))),
    emulated("hostile-2", "hostile guest, streams 2", || of(Part::Hostile(2))),
    emulated("hostile-3", "hostile guest, streams 3", || of(Part::Hostile(3))),
    emulated("hostile-4", "hostile guest, streams 4", || of(Part::Hostile(4))),
];

/// The parts of `--all`, in order.
pub fn parts() -> Vec<&'static str> {
    let mut parts: Vec<_> = LONG.iter().map(|round| round.part).collect();
    // Those of a part stand together.
    parts.dedup();
    parts
}

const fn host(part: &'static str, name: &'static str, run: fn() -> Result<Tally>) -> Round {
    Round { part, name, run, needs_qemu: false }
}

const fn emulated(part: &'static str, name: &'static str, run: fn() -> Result<Tally>) -> Round {
    Round { part, name, run, needs_qemu: true }
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

fn of(part: Part) -> Result<Tally> {
    scenario::run(&scenario::Options::part(part))
}

/// One check: as many of Debian's trees pass `board-check` as are recorded. In a process of its own, which a
/// tree that makes it panic ends.
fn census() -> Result<Tally> {
    const LIMIT: Duration = Duration::from_secs(600);
    if let Err(error) = setup::ensure_all_trees() {
        return Ok(Tally::skip("census of Debian's device trees", &error));
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["board-check", "--census"]).stdin(Stdio::null());
    let finished = exec::run(&mut command, LIMIT, |line| println!("     {line}"), |_| {})?;
    let passed = finished.status.success();
    if !passed {
        eprintln!("{}", finished.tail);
    }
    println!("{} census of Debian's device trees", if passed { "PASS" } else { "FAIL" });
    Ok(Tally::of_one(passed))
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
    /// One more preemption takes several times as long.
    const LIMIT: Duration = Duration::from_secs(2 * 3600);
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root());
    command.args(["test", "--quiet", "--no-fail-fast", "--package", "interleave"]);
    command.env("INTERLEAVE_PREEMPTIONS", "3");
    let finished = exec::run(&mut command, LIMIT, |_| {}, exec::every_minute("interleave"))?;
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
        let names = |rounds: &[Round]| -> BTreeSet<&str> {
            rounds.iter().filter_map(|round| round.name.split(',').next()).collect()
        };
        let (short, long) = (names(SHORT), names(LONG));
        assert!(short.is_subset(&long), "{short:?} {long:?}");
        for more in ["coverage", "interleave", "mutants", "miri"] {
            assert!(long.contains(more), "{more}");
        }
    }

    #[test]
    fn the_rounds_of_a_part_stand_together() {
        let parts = parts();
        assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), parts.len(), "{parts:?}");
        assert!(SHORT.iter().all(|round| parts.contains(&round.part)));
    }
}
