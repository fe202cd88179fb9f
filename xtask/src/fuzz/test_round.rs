//! The rounds of `cargo xtask test`: always the same inputs, or with `--all` new ones for a while.

use std::time::Duration;

use anyhow::{Context, Result};

use super::list::ALL;
use super::round::{Limit, Round};
use super::{fresh_seed, play, processors, program};
use crate::scenario::Tally;
use crate::setup;

/// Plays a round of every target that is the same each time: fixed random numbers, a fixed number of
/// inputs, and the committed ones to begin with.
///
/// # Errors
///
/// The targets do not build, or a folder cannot be made.
pub fn short() -> Result<Tally> {
    if let Err(error) = setup::ensure_fuzzer() {
        return Ok(Tally::skip("fuzz", &error));
    }
    let program = program::build()?;
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let mut rounds = Vec::new();
    for target in ALL {
        let fresh = folder.path().join(target.name);
        std::fs::create_dir(&fresh)?;
        rounds.push(Round::fixed(target, 1, fresh));
    }
    Ok(play(&program, rounds, processors()))
}

/// Plays a minute of every target, from all that is known and with other random numbers each time.
///
/// # Errors
///
/// As [`short`].
pub fn long() -> Result<Tally> {
    const TIME: Duration = Duration::from_secs(60);
    if let Err(error) = setup::ensure_fuzzer() {
        return Ok(Tally::skip("fuzz", &error));
    }
    let program = program::build()?;
    let seed = fresh_seed();
    setup::say(&format!("{} targets, {} s each, seed {seed}", ALL.len(), TIME.as_secs()));
    let rounds = ALL.iter().map(|target| Round::growing(target, seed, Limit::Time(TIME)));
    Ok(play(&program, rounds.collect::<Result<_>>()?, processors()))
}
