//! `cargo xtask test`: format, lints, host tests, rules of the house, scenarios, instruction
//! counts. What CI runs; with `--all` everything there is.

mod elsewhere;
mod house;
mod own_guests;
mod packages;
mod progress;
mod rounds;
mod stages;

use anyhow::{Context, Result, bail};

use crate::libtest::Checks;
use crate::scenario::Tally;
use crate::setup;
use progress::Progress;
use rounds::Round;

/// Options of `test`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Leave the scenarios out.
    #[arg(long)]
    no_qemu: bool,
    /// Only the rules of the house, which take a second.
    #[arg(long, conflicts_with = "no_qemu")]
    rules: bool,
    /// Only the parts with this in their name, such as `own guests`.
    #[arg(long, value_name = "NAME", conflicts_with = "rules")]
    only: Option<String>,
    /// Everything there is, which takes many hours: the long scenarios, coverage, a minute of
    /// fuzzing for each target, the models of interleaving with one preemption more, mutants, all
    /// tests under Miri. Fetches what is missing; what cannot be had is skipped by name.
    #[arg(long, conflicts_with = "rules")]
    all: bool,
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
        return Ok(rounds::rules()?.conclude());
    }
    let is_asked_for = |name: &str| options.only.as_deref().is_none_or(|only| name.contains(only));
    let stages: Vec<_> = stages::ALL.iter().filter(|stage| is_asked_for(stage.name)).collect();
    let rounds = if options.all { rounds::LONG } else { rounds::SHORT };
    let rounds: Vec<&Round> = rounds
        .iter()
        .filter(|round| is_asked_for(round.name) && !(round.needs_qemu && options.no_qemu))
        .collect();
    if stages.is_empty() && rounds.is_empty() {
        bail!("no part has `{}` in its name", options.only.as_deref().unwrap_or_default());
    }
    // What takes rights fails now, not after minutes.
    setup::ensure_lint_tools()?;
    if rounds.iter().any(|round| round.needs_qemu) {
        setup::ensure_qemu().context("`--no-qemu` leaves the scenarios out, else")?;
    }
    let mut progress = Progress::new(stages.len() + rounds.len());
    for stage in stages {
        progress.perform(stage.name, || {
            let result = (stage.run)().unwrap_or_else(|error| {
                eprintln!("error: {error:#}");
                Checks { passed: 0, failed: 1 }
            });
            let verdict = if result.failed == 0 { "PASS" } else { "FAIL" };
            println!("{verdict} {} ({} checks)", stage.name, result.passed + result.failed);
            Tally { passed: result.passed, failed: result.failed, skipped: 0 }
        });
    }
    for round in rounds {
        // Not being able to is a failure like any other.
        progress.perform(round.name, || {
            (round.run)().unwrap_or_else(|error| {
                println!("FAIL {}", round.name);
                eprintln!("error: {error:#}");
                Tally::of_one(false)
            })
        });
    }
    Ok(progress.end().conclude())
}
