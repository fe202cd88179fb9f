//! `cargo xtask mutants`: do the tests of `hyp-core` notice when it decides wrongly?
//!
//! cargo-mutants makes small changes to the source, one at a time, and runs the tests on each. A
//! change that no test notices, a *survivor*, is a decision that nothing checks, or one that makes
//! no difference: `tests/mutants.toml` says which, and why.

mod sample;
mod survivors;
mod tool;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::setup::say;
use crate::{scenario, workspace};
use sample::Mutant;
use tool::Verdict;

/// Options of `mutants`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How many of all possible changes are tried.
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER", default_value_t = 300)]
    sample: usize,
    /// Chooses the sample. A change keeps its place in the order when code around it is edited.
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Only changes whose name, such as `hyp/core/src/esr.rs:67:5: replace …`, contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Show the sample and try nothing.
    #[arg(long)]
    list: bool,
    /// Changes that are tried at the same time.
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER", default_value_t = 1)]
    jobs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { sample: 300, seed: 1, only: None, list: false, jobs: 1 }
    }
}

/// The share of changes that must be noticed, in per cent of those that compile.
const MUST: usize = 90;

/// What the tests of one package may take on one change.
const TEST_LIMIT: Duration = Duration::from_secs(180);

/// How a sample ended.
#[derive(Debug, Default)]
struct Tally {
    noticed: usize,
    unviable: usize,
    survivors: Vec<Mutant>,
}

impl Tally {
    /// Whole per cent of the changes that compile, rounded down.
    fn share(&self) -> usize {
        let viable = self.noticed + self.survivors.len();
        (self.noticed * 100).checked_div(viable).unwrap_or(100)
    }
}

/// The command `cargo xtask mutants`; the answer is the exit status of this program.
///
/// # Errors
///
/// cargo-mutants cannot be had or fails, or the list of known survivors is not right.
pub fn command(options: &Options) -> Result<u8> {
    let known = survivors::read()?;
    let mutants = tool::list()?;
    let all = mutants.len();
    let mut sample = sample::choose(mutants, options.seed, options.sample);
    if let Some(text) = &options.only {
        sample.retain(|mutant| mutant.name.contains(text.as_str()));
        ensure!(!sample.is_empty(), "no change of the sample has `{text}` in its name (--list)");
    }
    if options.list {
        sample.iter().for_each(|mutant| println!("{}", mutant.name));
        return Ok(0);
    }
    say(&format!("{} of {all} changes to hyp-core, seed {}", sample.len(), options.seed));
    let tally = attempt(sample, options.jobs)?;
    let mut failed = false;
    for mutant in &tally.survivors {
        if let Some(reason) = known.reason(mutant) {
            println!("known survivor {}\n     {reason}", mutant.name);
        } else {
            failed = true;
            println!("SURVIVOR {}\n{}", mutant.name, mutant.change());
        }
    }
    if failed {
        eprintln!(
            "write a test that notices it, or, if it makes no difference, the reason into {}",
            workspace::shown(&survivors::path())
        );
    }
    let share = tally.share();
    failed |= share < MUST;
    println!(
        "{} mutants: {} noticed, {} survived, {} do not compile: {share} % noticed, {MUST} % is \
         the least",
        if failed { "FAIL" } else { "PASS" },
        tally.noticed,
        tally.survivors.len(),
        tally.unviable,
    );
    Ok(u8::from(failed))
}

/// The round of `cargo xtask test --all`; skipped where cargo-mutants cannot be had.
///
/// # Errors
///
/// As [`command`].
pub fn test_round() -> Result<scenario::Tally> {
    if let Err(error) = tool::installed() {
        return Ok(scenario::Tally::skip("mutants", &error));
    }
    Ok(scenario::Tally::of_one(command(&Options::default())? == 0))
}

/// Tries the tests of hyp-core itself first; the models, which take longer, on what is left.
fn attempt(sample: Vec<Mutant>, jobs: usize) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut left = sample;
    for (package, target) in [("hyp-core", "--lib"), ("gic", "--tests"), ("model", "--tests")] {
        if left.is_empty() {
            break;
        }
        let verdicts = tool::try_all(&left, package, target, TEST_LIMIT, jobs)
            .with_context(|| format!("the tests of package {package} on {} changes", left.len()))?;
        let mut survivors = Vec::new();
        for mutant in left {
            match verdicts.get(&mutant.name) {
                Some(Verdict::Noticed) => tally.noticed += 1,
                Some(Verdict::Unviable) => tally.unviable += 1,
                Some(Verdict::Survived) => survivors.push(mutant),
                None => anyhow::bail!("cargo-mutants says nothing of `{}`", mutant.name),
            }
        }
        left = survivors;
    }
    tally.survivors = left;
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_the_changes_that_compile() {
        let survivors = vec![sample::test_mutant("a.rs:1:1: replace + with -", None)];
        let tally = Tally { noticed: 9, unviable: 40, survivors };
        assert_eq!(tally.share(), 90);
        assert_eq!(Tally::default().share(), 100, "nothing tried, nothing missed");
    }
}
