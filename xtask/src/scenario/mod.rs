//! `cargo xtask qemu-test`: every scenario on the emulator, with a verdict line each.

mod cases;
mod file;
mod judge;
mod loader;
mod machine_tree;
mod matrix;
mod memory_log;
mod part;
mod pattern;
mod perform;
mod recorded;
mod reserve;
mod rows;
mod script;

use std::collections::VecDeque;
use std::iter::Sum;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::build::Hypervisor;
use crate::qemu::{stop_asked, watch_for_stop};
use crate::run::Supplies;
use crate::setup::QemuChoice;
use crate::vm_desc::VmDesc;
use crate::{build, workspace};
use file::{Scenario, VmWords};
use matrix::Row;
pub use part::{Matrix, Part};
use perform::Outcome;

/// Options of `qemu-test`.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// Only scenarios whose name contains this.
    filter: Option<String>,
    /// Show the names and do nothing.
    #[arg(long)]
    list: bool,
    /// Also run what takes long, and fetch what is only needed for some: newer emulators, boards'
    /// device trees.
    #[arg(long)]
    all: bool,
    /// Run the scenarios in the image that compares each step of the VM with a model of it.
    #[arg(long)]
    ghost: bool,
    /// Run the matrix of platforms instead, which takes long and fetches what it needs, and write
    /// its table into docs/platforms.md. With a filter the other rows stay as they are.
    #[arg(long, conflicts_with = "all")]
    matrix: bool,
    /// Scenarios that run at the same time [default: one per host CPU].
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
    jobs: Option<NonZero<usize>>,
    /// The emulator: a program's path, or `bookworm-backports` or `trixie-backports` for a newer
    /// one that is fetched and lies beside the system's [default: `system`, which is
    /// `qemu-system-aarch64` on the search path, installed when missing].
    #[arg(long, value_name = "PATH", value_parser = QemuChoice::parse)]
    qemu: Option<QemuChoice>,
    /// Only the scenarios of this part of `test --all`.
    #[arg(skip)]
    part: Option<Part>,
}

impl Options {
    /// All that belong to `part`.
    pub fn part(part: Part) -> Self {
        Self { all: true, part: Some(part), ..Self::default() }
    }

    /// The scenarios that the options ask for.
    fn scenarios(&self) -> Result<Vec<Scenario>> {
        let folder = workspace::root().join("tests/scenarios");
        let mut scenarios = if self.matrix { Vec::new() } else { file::load(&folder)? };
        let demanded = rows::demanded(&scenarios);
        rows::borrow(&mut scenarios, &demanded)?;
        if self.ghost {
            scenarios.iter_mut().for_each(|scenario| scenario.is_ghost = true);
        }
        if self.matrix || self.all {
            scenarios.extend(matrix::load()?);
        }
        let filter = self.filter.as_deref().unwrap_or_default();
        scenarios.retain(|scenario| scenario.name.contains(filter));
        scenarios.retain(|scenario| self.part.is_none_or(|part| part == Part::of(scenario)));
        let before = scenarios.len();
        scenarios.retain(|scenario| self.takes_all() || !scenario.is_long);
        if scenarios.is_empty() {
            bail!(
                "no scenario has `{filter}` in its name{}; `cargo xtask qemu-test --list` shows all",
                if before > 0 { " that does not take long: add --all" } else { "" }
            );
        }
        Ok(scenarios)
    }

    /// Nothing is left out because it takes long or must be fetched.
    fn takes_all(&self) -> bool {
        self.all || self.matrix
    }
}

/// How many runs ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// As the scenario says.
    pub passed: usize,
    /// Otherwise.
    pub failed: usize,
    /// Not run, each with a reason on its verdict line.
    pub skipped: usize,
}

impl Tally {
    /// One check.
    pub const fn of_one(has_passed: bool) -> Self {
        Self { passed: has_passed as usize, failed: !has_passed as usize, skipped: 0 }
    }

    /// What was left out, said on a verdict line: `reason` is why it cannot be had.
    pub fn skip(what: &str, reason: &anyhow::Error) -> Self {
        println!("SKIP {what}: {}", format!("{reason:#}").replace('\n', " "));
        Self { skipped: 1, ..Self::default() }
    }

    /// The last words of a command: its last line counts what passed and what failed, and what
    /// was skipped stands before it.
    pub fn conclude(self) -> u8 {
        if self.skipped > 0 {
            println!("{} skipped, each named above", self.skipped);
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        u8::from(self.failed > 0)
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, tally| Self {
            passed: sum.passed + tally.passed,
            failed: sum.failed + tally.failed,
            skipped: sum.skipped + tally.skipped,
        })
    }
}

/// The command `cargo xtask qemu-test`; the answer is the exit status of this program.
///
/// # Errors
///
/// A scenario file is wrong, nothing matches the filter, or the image cannot be built.
pub fn command(options: &Options) -> Result<u8> {
    if options.list {
        for scenario in options.scenarios()? {
            println!("{}", scenario.name);
        }
        return Ok(0);
    }
    let (tally, rows) = perform_all(options)?;
    if options.matrix {
        matrix::write(&rows)?;
    }
    Ok(tally.conclude())
}

/// Runs the scenarios, printing a verdict line for each.
///
/// # Errors
///
/// As [`command`].
pub fn run(options: &Options) -> Result<Tally> {
    Ok(perform_all(options)?.0)
}

/// Runs the scenarios; the answer also has the rows of the matrix that are among them.
fn perform_all(options: &Options) -> Result<(Tally, Vec<Row>)> {
    let mut scenarios = options.scenarios()?;
    watch_for_stop()?;
    let hypervisor = build::hypervisor()?;
    let is_ghost = scenarios.iter().any(|scenario| scenario.is_ghost);
    let ghost = if is_ghost { build::ghost()? } else { hypervisor.clone() };
    // Everything that takes the network or a compiler happens before the first clock runs.
    let supplies = Supplies::new(options.qemu.clone());
    for payload in scenarios.iter().flat_map(|scenario| &scenario.vms).filter_map(|vm| vm.payload) {
        // What cannot be had is reported at the scenarios that need it.
        let _ = supplies.files(payload);
    }
    for scenario in &scenarios {
        let words = &scenario.machine;
        let model = words.words()?.model;
        if options.takes_all() || supplies.absent(model, words.emulator).is_none() {
            let _ = supplies.emulator(model, words.emulator);
        }
    }
    let logs = workspace::output_dir()?.join("logs");
    std::fs::create_dir_all(&logs).with_context(|| format!("could not make {}", logs.display()))?;

    // The longest first, so that none of them runs alone at the end.
    scenarios.sort_by_key(|scenario| std::cmp::Reverse(scenario.limit));
    let jobs =
        options.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let jobs = jobs.min(scenarios.len());
    let injects = |scenario: &Scenario| scenario.machine.inject.is_some();
    let injecting = scenarios.iter().any(injects).then(build::injecting).transpose()?;
    let bench =
        Bench { hypervisor, ghost, injecting, supplies, logs, may_fetch: options.takes_all() };
    let queue = Mutex::new(VecDeque::from(scenarios));
    let results = Mutex::new((Tally::default(), Vec::new()));
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(scenario) = next(&queue) {
                    let outcome = perform::perform(&scenario, &bench);
                    // How a run went that was stopped says nothing.
                    if stop_asked() {
                        break;
                    }
                    let row = matrix::row(&scenario, &outcome, &bench.supplies);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.1.extend(row);
                    report(&scenario, &outcome, &mut results.0);
                }
            });
        }
    });
    if stop_asked() {
        bail!("interrupted");
    }
    Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What all runs share.
#[derive(Debug)]
struct Bench {
    hypervisor: Hypervisor,
    /// The one with the ghost check, if a scenario needs it.
    ghost: Hypervisor,
    /// The one that injects faults into itself, if a scenario needs it.
    injecting: Option<Hypervisor>,
    supplies: Supplies,
    logs: PathBuf,
    /// Emulators and trees that are not there may be fetched.
    may_fetch: bool,
}

impl Bench {
    /// The image that `scenario` runs.
    const fn hypervisor(&self, scenario: &Scenario) -> &Hypervisor {
        match &self.injecting {
            Some(injecting) if scenario.machine.inject.is_some() => injecting,
            _ if scenario.is_ghost => &self.ghost,
            _ => &self.hypervisor,
        }
    }

    /// Why `scenario` is left out unless everything is asked for.
    fn unprovided(&self, scenario: &Scenario) -> Option<String> {
        if self.may_fetch {
            return None;
        }
        let words = &scenario.machine;
        let absent = self.supplies.absent(words.words().ok()?.model, words.emulator)?;
        Some(format!(
            "{absent} must be fetched first: `cargo xtask setup --boards`, or `--all` here"
        ))
    }

    /// The VMs of `scenario`.
    fn describe(&self, scenario: &Scenario) -> Result<Vec<VmDesc>> {
        let describe = |vm: &VmWords| {
            vm.describe(vm.payload.map(|what| self.supplies.files(what)).transpose()?)
        };
        scenario.vms.iter().map(describe).collect()
    }
}

fn next(queue: &Mutex<VecDeque<Scenario>>) -> Option<Scenario> {
    if stop_asked() {
        return None;
    }
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Counts and prints one verdict; who has the tally keeps the lines of parallel runs apart.
fn report(scenario: &Scenario, outcome: &Outcome, tally: &mut Tally) {
    match outcome {
        Outcome::Passed { checks, seconds } => {
            tally.passed += 1;
            println!("PASS {} ({checks} checks, {seconds:.1} s)", scenario.name);
        }
        Outcome::Skipped { reason } => {
            tally.skipped += 1;
            println!("SKIP {}: {reason}", scenario.name);
        }
        Outcome::Failed { complaints, tail, log } => {
            tally.failed += 1;
            println!("FAIL {}", scenario.name);
            for complaint in complaints {
                println!("     {complaint}");
            }
            if !tail.is_empty() {
                println!("     last lines of {}:", workspace::shown(log));
                tail.iter().for_each(|line| println!("     | {line}"));
            }
        }
    }
}
