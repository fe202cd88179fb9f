//! `cargo xtask test`: format, lints, host tests, rules of the house, scenarios, instruction
//! counts. What CI runs; with `--all` everything there is.

mod elsewhere;
mod house;
mod own_guests;
mod packages;
mod progress;
mod rounds;
mod stages;

use std::thread;

use anyhow::{Context, Result, ensure};

use crate::libtest::Checks;
use crate::scenario::Tally;
use crate::{guest, setup};
use progress::Progress;
use rounds::Round;
use stages::Stage;

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
    /// Everything there is, which takes many hours, or one part of it, which takes two at most: the
    /// scenarios that take long, coverage, a minute of fuzzing for each target, the models of
    /// interleaving with one preemption more, mutants, all tests under Miri. Fetches what is missing;
    /// what cannot be had is skipped by name.
    #[arg(long, conflicts_with = "rules", value_name = "PART", num_args = 0..=1,
        default_missing_value = EVERYTHING, value_parser = part)]
    all: Option<String>,
}

/// All parts of `--all`.
const EVERYTHING: &str = "everything";

fn part(name: &str) -> Result<String> {
    let parts = rounds::parts();
    ensure!(
        name == EVERYTHING || parts.contains(&name),
        "there is no part `{name}`: leave it out for all of them, or take one of {}",
        parts.join(", ")
    );
    Ok(name.to_owned())
}

impl Options {
    /// The stages and rounds to perform.
    ///
    /// # Errors
    ///
    /// There are none.
    fn parts(&self) -> Result<(Vec<&'static Stage>, Vec<&'static Round>)> {
        let only = self.only.as_deref().unwrap_or_default();
        let wanted = |round: &&Round| match self.all.as_deref() {
            None | Some(EVERYTHING) => true,
            Some(part) => round.part == part,
        };
        let all = if self.all.is_some() { rounds::LONG } else { rounds::SHORT };
        let rounds = all.iter().filter(wanted).filter(|round| round.name.contains(only));
        let rounds: Vec<_> = rounds.filter(|round| !(round.needs_qemu && self.no_qemu)).collect();
        let has_stages = matches!(self.all.as_deref(), None | Some(EVERYTHING | rounds::CHECKS));
        let stages = stages::ALL.iter().filter(|stage| has_stages && stage.name.contains(only));
        let stages: Vec<_> = stages.collect();
        ensure!(!stages.is_empty() || !rounds.is_empty(), "no part has `{only}` in its name");
        Ok((stages, rounds))
    }
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
    let (stages, rounds) = options.parts()?;
    // What takes rights fails now, not after minutes.
    setup::ensure_lint_tools()?;
    if rounds.iter().any(|round| round.needs_qemu) {
        setup::ensure_qemu().context("`--no-qemu` leaves the scenarios out, else")?;
    }
    // A kernel that has to be built is, beside all that needs none.
    let has_scenarios = rounds.iter().any(|round| round.needs_qemu);
    let guests = has_scenarios.then(|| thread::spawn(provide_guests));
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
    if let Some(guests) = guests {
        // It has nothing to tell that the scenarios have not.
        let _ = guests.join();
    }
    Ok(progress.end().conclude())
}

/// Has guests made or fetched that are not in the cache. Who needs one waits for it, and says why it
/// cannot be had.
fn provide_guests() {
    for payload in guest::Which::TESTED {
        let _ = guest::ensure(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(all: Option<&str>) -> Options {
        Options { no_qemu: false, rules: false, only: None, all: all.map(str::to_owned) }
    }

    #[test]
    fn a_part_is_a_part_of_all() {
        let count = |all: Option<&str>| options(all).parts().unwrap().1.len();
        let sum: usize = rounds::parts().into_iter().map(|part| count(Some(part))).sum();
        assert_eq!(count(Some(EVERYTHING)), sum);
        assert!(rounds::parts().into_iter().all(|part| count(Some(part)) > 0));
        let stages = |all: Option<&str>| !options(all).parts().unwrap().0.is_empty();
        assert!(stages(None) && stages(Some(EVERYTHING)) && stages(Some(rounds::CHECKS)));
        assert!(!stages(Some("miri")));
    }

    #[test]
    fn an_unknown_part_is_refused_with_the_known_ones() {
        assert_eq!(part("miri").unwrap(), "miri");
        let said = part("mira").unwrap_err().to_string();
        assert!(
            said.contains("mira") && said.contains("miri") && said.contains("mutants"),
            "{said}"
        );
    }
}
