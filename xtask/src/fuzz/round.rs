//! One round: a target runs until its limit or until it finds something.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::crash::Crash;
use super::program::Program;
use super::{Target, cached, committed};
use crate::setup::exec;

/// Beyond its limit a round has this long to come to its end.
const GRACE: Duration = Duration::from_secs(120);
/// A round of a number of inputs that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(900);

/// When a round ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    /// After this time, the start from what is known not counted.
    Time(Duration),
    /// After this many inputs, those that are known counted.
    Inputs(u32),
}

/// One round.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) target: Target,
    seed: u32,
    limit: Limit,
    /// Where inputs that reach something new go.
    fresh: PathBuf,
}

/// What a round did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    inputs: u64,
    edges: u64,
    /// Inputs that together reach all that was reached.
    corpus: u64,
    seconds: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inputs, edges, corpus, seconds } = self;
        write!(out, "{inputs} inputs, {edges} edges, corpus of {corpus}, {seconds} s")
    }
}

impl Counts {
    /// Reads a line of libFuzzer's: `#200000 DONE cov: 113 ft: 113 corp: 31/125b lim: …`.
    fn read(&mut self, line: &str) {
        let Some(line) = line.strip_prefix('#') else { return };
        let mut words = line.split_whitespace();
        let Some(Ok(inputs)) = words.next().map(str::parse) else { return };
        self.inputs = inputs;
        while let Some(word) = words.next() {
            let number = match word {
                "cov:" => &mut self.edges,
                "corp:" => &mut self.corpus,
                _ => continue,
            };
            let digits = words.next().and_then(|text| text.split('/').next());
            if let Some(Ok(found)) = digits.map(str::parse) {
                *number = found;
            }
        }
    }
}

impl Round {
    /// A round that begins with all that is known and adds to it.
    pub(super) fn growing(target: &Target, seed: u32, limit: Limit) -> Result<Self> {
        Ok(Self { target: *target, seed, limit, fresh: cached(target, "corpus")? })
    }

    /// A round that begins with what is committed: the same each time. What is new goes to `fresh`.
    pub(super) fn fixed(target: &Target, seed: u32, fresh: PathBuf) -> Self {
        Self { target: *target, seed, limit: Limit::Inputs(target.runs), fresh }
    }

    /// Plays it.
    ///
    /// # Errors
    ///
    /// What was found, for a person to read; or the program cannot be started.
    pub(super) fn play(&self, program: &Program) -> Result<Counts> {
        let crashes = cached(&self.target, "crashes")?;
        let mut command = program.command(&self.target);
        // The message says enough here; `--replay` shows the way to it.
        command.env("RUST_BACKTRACE", "0").arg(format!("-seed={}", self.seed));
        let patience = match self.limit {
            Limit::Time(time) => {
                command.arg(format!("-max_total_time={}", time.as_secs()));
                time.saturating_add(GRACE)
            }
            Limit::Inputs(count) => {
                command.arg(format!("-runs={count}"));
                LONGEST
            }
        };
        command.arg(format!("-artifact_prefix={}/", crashes.display()));
        command.arg(&self.fresh).arg(committed(&self.target));
        let mut counts = Counts::default();
        let mut crash = Crash::default();
        let mut took = Duration::ZERO;
        let on_line = |line: &str| {
            counts.read(line);
            crash.read(line);
        };
        let finished = exec::run(&mut command, patience, on_line, |time| took = time)?;
        counts.seconds = took.as_secs();
        if finished.status.success() {
            return Ok(counts);
        }
        bail!("{}", crash.tell(&self.target, counts.inputs, finished.status));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libfuzzers_lines() {
        let mut counts = Counts::default();
        counts.read("#2\tINITED cov: 5 ft: 6 corp: 1/4b exec/s: 0 rss: 40Mb");
        counts.read("INFO: Running with entropic power schedule (0xFF, 100).");
        counts
            .read("#200000\tDONE   cov: 113 ft: 213 corp: 31/1025Kb lim: 1950 exec/s: 9 rss: 58Mb");
        counts.read("#4 0x55 in main");
        assert_eq!(counts, Counts { inputs: 4, edges: 113, corpus: 31, seconds: 0 });
    }
}
