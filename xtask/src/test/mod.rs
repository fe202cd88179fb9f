//! `cargo xtask test`: format, lints, host tests, rules of the house, scenarios, instruction
//! counts. What CI runs.

mod house;
mod stages;

use std::time::Instant;

use anyhow::{Context, Result};

use crate::bench;
use crate::libtest::Checks;
use crate::scenario::{self, Tally};
use crate::{fuzz, miri, setup};

/// Options of `test`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Leave the scenarios out.
    #[arg(long)]
    no_qemu: bool,
    /// Only the rules of the house, which take a second.
    #[arg(long, conflicts_with = "no_qemu")]
    rules: bool,
}

/// The environment in which nothing may be skipped.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// The command `cargo xtask test`; the answer is the exit status of this program. A failed stage
/// does not stop the others.
///
/// # Errors
///
/// The tools are missing and cannot be provided, or the sources cannot be read.
pub fn command(options: &Options) -> Result<u8> {
    if options.rules {
        let mut tally = Tally::default();
        rules(&mut tally)?;
        return Ok(tally.conclude());
    }
    // What takes rights fails now, not after minutes.
    setup::ensure_lint_tools()?;
    if !options.no_qemu {
        setup::ensure_qemu().context("`--no-qemu` leaves the scenarios out, else")?;
    }
    let begun = Instant::now();
    let mut tally = Tally::default();
    for stage in stages::ALL {
        eprintln!("[xtask] {}", stage.name);
        let result = (stage.run)().unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Checks { passed: 0, failed: 1 }
        });
        let verdict = if result.failed == 0 { "PASS" } else { "FAIL" };
        println!("{verdict} {} ({} checks)", stage.name, result.passed + result.failed);
        tally.passed += result.passed;
        tally.failed += result.failed;
    }
    short_round("fuzz", fuzz::test_round, &mut tally);
    short_round("miri", miri::test_round, &mut tally);
    rules(&mut tally)?;
    if !options.no_qemu {
        scenarios(&mut tally);
        short_round("instruction counts", bench::test_round, &mut tally);
    }
    eprintln!("[xtask] all of it took {:.0} s", begun.elapsed().as_secs_f64());
    Ok(tally.conclude())
}

/// Runs a stage that prints and counts for itself; not being able to is a failure like any other.
fn short_round(name: &str, run: fn() -> Result<Tally>, tally: &mut Tally) {
    eprintln!("[xtask] {name}");
    match run() {
        Ok(round) => {
            tally.passed += round.passed;
            tally.failed += round.failed;
            tally.skipped += round.skipped;
        }
        Err(error) => {
            tally.failed += 1;
            println!("FAIL {name}");
            eprintln!("error: {error:#}");
        }
    }
}

/// Checks the rules of the house.
fn rules(tally: &mut Tally) -> Result<()> {
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
    Ok(())
}

/// Runs all scenarios; not being able to is a failure like any other.
fn scenarios(tally: &mut Tally) {
    eprintln!("[xtask] scenarios");
    match scenario::run(&scenario::Options::default()) {
        Ok(scenarios) => {
            tally.passed += scenarios.passed;
            tally.failed += scenarios.failed;
            tally.skipped += scenarios.skipped;
        }
        Err(error) => {
            tally.failed += 1;
            println!("FAIL scenarios");
            eprintln!("error: {error:#}");
        }
    }
}
