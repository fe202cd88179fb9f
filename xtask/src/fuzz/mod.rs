//! `cargo xtask fuzz`: libFuzzer over what reads a guest's or a loader's bytes.
//!
//! The targets are in `tests/fuzz`. `docs/fuzzing.md` says how to work with them.

mod crash;
mod keep;
mod program;
mod round;
mod test_round;

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::scenario::Tally;
use crate::{setup, workspace};
use program::Program;
use round::{Limit, Round};

pub use test_round::{long as long_round, short as test_round};

/// A line of the list of targets.
#[derive(Debug, Clone, Copy)]
struct Target {
    name: &'static str,
    /// Inputs that `cargo xtask test` gives it.
    runs: u32,
    /// Bytes of the longest input.
    longest: u32,
    about: &'static str,
}

/// What the list of targets is to this program: words and numbers.
macro_rules! targets {
    ($($name:ident: $runs:literal inputs up to $longest:literal bytes, $about:literal;)*) => {
        pub(super) const ALL: &[super::Target] = &[$(super::Target {
            name: stringify!($name),
            runs: $runs,
            longest: $longest,
            about: $about,
        }),*];
    };
}

#[path = "../../../tests/fuzz/src/list.rs"]
mod list;

use list::ALL;

/// Options of `fuzz`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The targets, all if none is named.
    #[arg(value_name = "TARGET", value_parser = parse_target)]
    targets: Vec<Target>,
    /// How long it may take, all targets together.
    #[arg(long, allow_negative_numbers = true, value_name = "SECONDS", default_value = "60")]
    time: NonZero<u32>,
    /// Choose the same random numbers again [default: others each time; they are printed].
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
    seed: Option<NonZero<u32>>,
    /// How many targets run at once [default: the number of CPUs].
    #[arg(long, allow_negative_numbers = true, value_name = "COUNT")]
    jobs: Option<NonZero<usize>>,
    /// Give one target one file, show what it says, and nothing else.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["time", "seed", "jobs"])]
    replay: Option<PathBuf>,
    /// Afterwards choose the few inputs that reach everything that any input has reached, and put
    /// them in tests/fuzz/corpus.
    #[arg(long, conflicts_with = "replay")]
    keep: bool,
}

fn parse_target(name: &str) -> Result<Target, String> {
    let names = || ALL.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    let found = ALL.iter().find(|target| target.name == name).copied();
    found.ok_or_else(|| format!("the targets are {}", names()))
}

/// The end of `cargo xtask fuzz --help`.
pub fn after_help() -> String {
    let width = ALL.iter().map(|target| target.name.len()).max().unwrap_or(0);
    let mut text = String::from("Targets:\n");
    for Target { name, about, .. } in ALL {
        text.push_str(&format!("  {name:width$}  {about}\n"));
    }
    text.push_str(
        "\nA finding is printed with the file that holds its input and the command to replay it. \
         Inputs\nthat reach something new are kept in the cache (POSTERN_CACHE, else \
         ~/.cache/postern) and are\nthe start of the next run.\n\nExamples:\n  \
         cargo xtask fuzz                        all targets, one minute\n  \
         cargo xtask fuzz tree --time 600        ten minutes of one\n  \
         cargo xtask fuzz tree --replay FILE     one input again, with a backtrace\n\n\
         Exit status: 0 nothing found; 1 a finding; 2 wrong arguments, or something that cannot be \
         had.",
    );
    text
}

/// The command `cargo xtask fuzz`; the answer is the exit status of this program.
///
/// # Errors
///
/// The machine has no C++ compiler or no address sanitizer, the targets do not build, or a folder
/// cannot be used.
pub fn command(options: &Options) -> Result<u8> {
    let targets = if options.targets.is_empty() { ALL } else { &options.targets };
    if let Some(file) = &options.replay {
        let [target] = targets else { bail!("--replay takes one target: name it") };
        return replay(target, file);
    }
    setup::ensure_fuzzer()?;
    let program = program::build()?;
    let jobs = options.jobs.map_or_else(processors, NonZero::get).min(targets.len());
    let seed = options.seed.map_or_else(fresh_seed, NonZero::get);
    let seconds = u64::from(options.time.get()) * jobs as u64 / targets.len() as u64;
    let limit = Limit::Time(Duration::from_secs(seconds.max(1)));
    setup::say(&format!(
        "{} targets, {jobs} at a time, {} s each, seed {seed}",
        targets.len(),
        seconds.max(1)
    ));
    let rounds = targets.iter().map(|target| Round::growing(target, seed, limit));
    let tally = play(&program, rounds.collect::<Result<_>>()?, jobs);
    if options.keep {
        for target in targets {
            println!("{}", keep::keep(&program, target)?);
        }
    }
    Ok(tally.conclude())
}

/// Plays `rounds`, `jobs` at a time, and prints a verdict for each.
fn play(program: &Program, rounds: Vec<Round>, jobs: usize) -> Tally {
    let queue = Mutex::new(VecDeque::from(rounds));
    let tally = Mutex::new(Tally::default());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(round) = next() {
                    let outcome = round.play(program);
                    // Who has the tally keeps the lines of parallel rounds apart.
                    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok(counts) => {
                            tally.passed += 1;
                            println!("PASS fuzz {}: {counts}", round.target.name);
                        }
                        Err(error) => {
                            tally.failed += 1;
                            println!("FAIL fuzz {}\n{error:#}", round.target.name);
                        }
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn replay(target: &Target, file: &Path) -> Result<u8> {
    let file = std::path::absolute(file)?;
    if !file.is_file() {
        bail!("{} is no file", file.display());
    }
    setup::ensure_fuzzer()?;
    let status = program::build()?
        .command(target)
        .arg(&file)
        .env("RUST_BACKTRACE", "1")
        .status()
        .context("could not start the targets' program")?;
    Ok(u8::from(!status.success()))
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Another number each time.
fn fresh_seed() -> u32 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.subsec_nanos() | 1
}

/// Where inputs are committed.
fn committed(target: &Target) -> PathBuf {
    workspace::root().join("tests/fuzz/corpus").join(target.name)
}

/// A folder of `target` in the cache, made when missing.
fn cached(target: &Target, what: &str) -> Result<PathBuf> {
    let dir = setup::cache::root()?.join("fuzz").join(target.name).join(what);
    std::fs::create_dir_all(&dir).with_context(|| format!("could not make {}", dir.display()))?;
    Ok(dir)
}
