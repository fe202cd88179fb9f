//! The short round of `cargo xtask test`: always the same inputs.

use anyhow::{Context, Result};

use super::list::ALL;
use super::round::Round;
use super::{play, processors, program};
use crate::scenario::Tally;
use crate::setup;

/// Plays a round of every target that is the same each time: fixed random numbers, a fixed number of
/// inputs, and the committed ones to begin with.
///
/// # Errors
///
/// The targets do not build, or a folder cannot be made.
pub fn run() -> Result<Tally> {
    if let Err(error) = setup::ensure_fuzzer() {
        let reason = format!("{error:#}").replace('\n', " ");
        println!("SKIP fuzz: {reason}");
        return Ok(Tally { skipped: 1, ..Tally::default() });
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
