//! Scenario files: `tests/scenarios/*.toml`.
//!
//! A file describes one run, or with `[[case]]` several that differ in a few words.
//! `docs/running.md` describes every key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use toml::{Table, Value};

use super::cases;
use super::judge::Expectation;
use super::loader::Loader;
use super::machine_tree::TreeDamage;
use super::pattern::Pattern;
use super::reserve::Reserve;
use super::script::Step;
use crate::image::via::Via;
use crate::qemu::Model;
use crate::run::Words;
use crate::setup::Emulator;
use crate::tap;
use crate::units::parse_size;
use crate::vm_desc::preset::{self, Files};
use crate::vm_desc::{VmDesc, What};

/// One run to be made.
#[derive(Debug)]
pub struct Scenario {
    /// `file/case`, or only the file's name.
    pub name: String,
    /// The machine.
    pub machine: MachineWords,
    /// The VMs, in the order of the bundle.
    pub vms: Vec<VmWords>,
    /// What is done to the bundle before the machine starts.
    pub damage: Option<Damage>,
    /// What is typed.
    pub script: Vec<Step>,
    /// What must be seen.
    pub expect: Expectation,
    /// The run is a hang after this.
    pub limit: Duration,
    /// The machine cannot switch itself off: the run ends with EL2's last line.
    pub stays_on: bool,
    /// Left out unless everything is asked for.
    pub is_long: bool,
    /// The rows that the scenario of this name demands are demanded here, too.
    pub rows_of: Option<String>,
    /// But not these.
    pub rows_without: BTreeSet<String>,
    /// It is a row of the matrix of platforms, with this to say about it.
    pub row: Option<String>,
    /// The conformance guest is loaded at 2 GiB and told of no memory before.
    pub is_elsewhere: bool,
    /// As `run --deny-unguarded`.
    pub deny_unguarded: bool,
    /// As `run --ghost`.
    pub is_ghost: bool,
}

/// One VM, as the file says it.
#[derive(Debug, Clone, Default)]
pub struct VmWords {
    /// What it runs, unless its description names a file.
    pub payload: Option<What>,
    /// Keys of its description.
    pub words: Table,
}

impl VmWords {
    /// The VM that runs this payload from `files`.
    ///
    /// # Errors
    ///
    /// It describes no possible VM.
    pub fn describe(&self, files: Option<&Files>) -> Result<VmDesc> {
        match self.payload.zip(files) {
            Some((what, files)) => what.describe(files, self.words.clone()),
            None => preset::describe(self.words.clone()),
        }
    }
}

/// The machine, as the file says it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MachineWords {
    /// `-machine`.
    pub machine: String,
    /// Interrupt controller version.
    pub gic: Option<u8>,
    /// `-cpu`.
    pub cpu: Option<String>,
    /// The emulator; one that knows the machine if absent.
    pub emulator: Option<Emulator>,
    /// CPUs; as many as vCPUs if absent.
    pub smp: Option<u32>,
    /// RAM; what the VM needs if absent.
    pub ram: Option<String>,
    /// EL2's boot arguments.
    pub boot_args: String,
    /// Who starts the hypervisor, if not QEMU itself.
    pub via: Option<Via>,
    /// More for QEMU.
    pub qemu: Vec<String>,
    /// What is wrong with the firmware's tree, in the order in which it is spoiled.
    pub tree: Vec<TreeDamage>,
    /// What enters EL2 in QEMU's place.
    pub loader: Option<Loader>,
    /// RAM as nodes of these sizes instead of one; each is a memory node in the tree.
    pub banks: Vec<String>,
    /// Memory that firmware has reserved and nobody may change.
    pub reserve: Vec<Reserve>,
    /// EL2 fills free memory with a pattern first; not for more memory than the host has.
    pub poison: bool,
    /// A fault that EL2 injects into itself, in an image that is built for it: `postern.inject`.
    pub inject: Option<String>,
}

impl Default for MachineWords {
    fn default() -> Self {
        Self {
            machine: "virt".to_owned(),
            gic: None,
            cpu: None,
            emulator: None,
            smp: None,
            ram: None,
            boot_args: String::new(),
            via: None,
            qemu: Vec::new(),
            tree: Vec::new(),
            loader: None,
            banks: Vec::new(),
            reserve: Vec::new(),
            poison: true,
            inject: None,
        }
    }
}

impl MachineWords {
    /// The machine in the words that `run` has for it.
    ///
    /// # Errors
    ///
    /// There is no such machine, or it does not leave a choice that was made.
    pub fn words(&self) -> Result<Words> {
        let model = Model::find(&self.machine)?;
        model.check(self.cpu.as_deref(), self.gic, self.smp)?;
        Ok(Words {
            machine: self.machine.clone(),
            model,
            gic: self.gic,
            cpu: self.cpu.clone(),
            smp: self.smp,
            ram: self.ram.as_deref().map(parse_size).transpose()?,
        })
    }
}

/// A bundle that EL2 must refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// No bundle at all.
    Missing,
    /// The last half is missing.
    CutShort,
    /// One bit of the payload, in the last quarter of the file, is another.
    FlippedBit,
    /// The magic number is gone.
    NoMagic,
    /// The VM's name has control characters, and EL2's last line. Not refused.
    OddName,
}

/// The file, after a case was laid over it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    summary: String,
    time_limit: u64,
    payload: Option<What>,
    #[serde(default)]
    machine: MachineWords,
    vm: Option<Table>,
    #[serde(default)]
    vms: Vec<Table>,
    damage: Option<Damage>,
    #[serde(default)]
    stays_on: bool,
    #[serde(default)]
    long: bool,
    row: Option<String>,
    #[serde(default)]
    elsewhere: bool,
    #[serde(default)]
    deny_unguarded: bool,
    #[serde(default)]
    ghost: bool,
    #[serde(default, rename = "type")]
    script: Vec<Step>,
    #[serde(default)]
    expect: WrittenExpectation,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenExpectation {
    exit: u8,
    until: Option<String>,
    lines: Vec<Pattern>,
    anywhere: Vec<Pattern>,
    forbid: Vec<Pattern>,
    allow: Vec<Pattern>,
    backtrace: Vec<Pattern>,
    trace: Vec<Pattern>,
    report: Vec<Pattern>,
    comparisons: Option<u64>,
    rows: Vec<String>,
    rows_of: Option<String>,
    rows_without: Vec<String>,
    rows_from: Vec<String>,
}

/// Every scenario in the files of `folder`, by name.
///
/// # Errors
///
/// The folder or a file cannot be read, or a file is no scenario; the message names the file.
pub fn load(folder: &Path) -> Result<Vec<Scenario>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("could not read the folder {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("could not read the folder {}", folder.display()))?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut scenarios = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("could not read {}", file.display()))?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = file.parent().unwrap_or(folder);
        scenarios.extend(
            parse(&stem, &text, folder)
                .with_context(|| format!("{} is no scenario", crate::workspace::shown(&file)))?,
        );
    }
    Ok(scenarios)
}

/// The scenarios in one file; paths in it count from `folder`.
fn parse(stem: &str, text: &str, folder: &Path) -> Result<Vec<Scenario>> {
    cases::expand(stem, text.parse()?)?
        .into_iter()
        .map(|(name, table)| scenario(name.clone(), table, folder).with_context(|| name))
        .collect()
}

fn scenario(name: String, table: Table, folder: &Path) -> Result<Scenario> {
    let written: Written = table.try_into()?;
    if written.summary.trim().is_empty() {
        bail!("`summary` must say what the run proves");
    }
    let expect = written.expect;
    let mut vms = vms(written.payload, written.vm, written.vms)?;
    let mut names = Vec::new();
    for vm in &mut vms {
        preset::resolve_paths(&mut vm.words, folder);
        // One that cannot be is found before anything runs.
        names.push(vm.describe(Some(&Files { kernel: PathBuf::new(), initrd: None }))?.name);
    }
    let has_rows = !expect.rows.is_empty() || expect.rows_of.is_some();
    if has_rows && names.len() > 1 && expect.rows_from.is_empty() {
        bail!("`rows_from` must say which of the VMs report the rows: {}", names.join(", "));
    }
    if let Some(name) = expect.rows_from.iter().find(|name| !names.contains(name)) {
        bail!("`rows_from`: no VM is called `{name}`; there are {}", names.join(", "));
    }
    written.machine.words()?;
    Ok(Scenario {
        name,
        machine: written.machine,
        vms,
        damage: written.damage,
        script: written.script,
        expect: Expectation {
            exit: expect.exit,
            until: expect.until,
            lines: expect.lines,
            anywhere: expect.anywhere,
            forbid: expect.forbid,
            allow: expect.allow,
            backtrace: expect.backtrace,
            trace: expect.trace,
            report: expect.report,
            comparisons: expect.comparisons,
            rows: tap::rows(&expect.rows).map_err(|wrong| anyhow!(wrong))?,
            rows_from: expect.rows_from,
        },
        limit: Duration::from_secs(written.time_limit),
        stays_on: written.stays_on,
        is_long: written.long,
        rows_of: expect.rows_of,
        rows_without: tap::rows(&expect.rows_without).map_err(|wrong| anyhow!(wrong))?,
        row: written.row,
        is_elsewhere: written.elsewhere,
        deny_unguarded: written.deny_unguarded,
        is_ghost: written.ghost,
    })
}

/// The VMs: one that runs `payload` and that `one` describes, or `several`, of which each names its payload
/// itself.
fn vms(payload: Option<What>, one: Option<Table>, several: Vec<Table>) -> Result<Vec<VmWords>> {
    if several.is_empty() {
        return Ok(vec![VmWords { payload, words: one.unwrap_or_default() }]);
    }
    if payload.is_some() || one.is_some() {
        bail!("`vms` describes all VMs: put what `payload` and `vm` say into it");
    }
    several
        .into_iter()
        .map(|mut words| {
            let payload = words.remove("payload").map(Value::try_into).transpose()?;
            Ok(VmWords { payload, words })
        })
        .collect()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
