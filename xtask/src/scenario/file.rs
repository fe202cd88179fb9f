//! Scenario files: `tests/scenarios/*.toml`.
//!
//! A file describes one run, or with `[[case]]` several that differ in a few words: each case is
//! laid over the file, tables key by key, lists joined, everything else replaced.
//! `docs/running.md` describes every key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use toml::{Table, Value};

use super::judge::Expectation;
use super::loader::Loader;
use super::machine_tree::TreeDamage;
use super::pattern::Pattern;
use super::script::Step;
use super::tap;
use crate::image::via::Via;
use crate::qemu::Model;
use crate::run::preset::Files;
use crate::run::{What, Words, preset};
use crate::setup::Emulator;
use crate::units::parse_size;

/// One run to be made.
#[derive(Debug)]
pub struct Scenario {
    /// `file/case`, or only the file's name.
    pub name: String,
    /// The machine.
    pub machine: MachineWords,
    /// What the VM runs, unless its description names a file.
    pub payload: Option<What>,
    /// Keys of the VM's description.
    pub vm: Table,
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
    /// What is wrong with the firmware's tree.
    pub tree: Option<TreeDamage>,
    /// What enters EL2 in QEMU's place.
    pub loader: Option<Loader>,
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
            tree: None,
            loader: None,
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
    #[serde(default)]
    vm: Table,
    damage: Option<Damage>,
    #[serde(default)]
    stays_on: bool,
    #[serde(default, rename = "type")]
    script: Vec<Step>,
    #[serde(default)]
    expect: WrittenExpectation,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenExpectation {
    exit: u8,
    lines: Vec<Pattern>,
    anywhere: Vec<Pattern>,
    forbid: Vec<Pattern>,
    allow: Vec<Pattern>,
    backtrace: Vec<Pattern>,
    rows: Vec<String>,
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
    let mut base: Table = text.parse()?;
    let cases = match base.remove("case") {
        None => return Ok(vec![scenario(stem.to_owned(), base, folder)?]),
        Some(Value::Array(cases)) => cases,
        Some(_) => bail!("`case` must be written [[case]]"),
    };
    let mut scenarios: Vec<Scenario> = Vec::new();
    for case in cases {
        let Value::Table(mut case) = case else { bail!("`case` must be written [[case]]") };
        let Some(Value::String(name)) = case.remove("name") else { bail!("a case has no `name`") };
        let name = format!("{stem}/{name}");
        if scenarios.iter().any(|other| other.name == name) {
            bail!("{name} is there twice");
        }
        let mut whole = base.clone();
        lay_over(&mut whole, case);
        scenarios.push(scenario(name.clone(), whole, folder).with_context(|| name)?);
    }
    Ok(scenarios)
}

fn scenario(name: String, table: Table, folder: &Path) -> Result<Scenario> {
    let written: Written = table.try_into()?;
    if written.summary.trim().is_empty() {
        bail!("`summary` must say what the run proves");
    }
    let expect = written.expect;
    let mut vm = written.vm;
    preset::resolve_paths(&mut vm, folder);
    check(written.payload, &vm)?;
    written.machine.words()?;
    Ok(Scenario {
        name,
        machine: written.machine,
        payload: written.payload,
        vm,
        damage: written.damage,
        script: written.script,
        expect: Expectation {
            exit: expect.exit,
            lines: expect.lines,
            anywhere: expect.anywhere,
            forbid: expect.forbid,
            allow: expect.allow,
            backtrace: expect.backtrace,
            rows: tap::rows(&expect.rows).map_err(|wrong| anyhow!(wrong))?,
        },
        limit: Duration::from_secs(written.time_limit),
        stays_on: written.stays_on,
    })
}

/// A VM that cannot be is found before anything runs.
fn check(payload: Option<What>, vm: &Table) -> Result<()> {
    let nothing = Files { kernel: PathBuf::new(), initrd: None };
    match payload {
        Some(what) => what.describe(&nothing, vm.clone())?,
        None => preset::describe(vm.clone())?,
    };
    Ok(())
}

/// Lays `over` on `base`.
fn lay_over(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (Some(Value::Array(below)), Value::Array(above)) => below.extend(above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        summary = "what it proves"
        time_limit = 60
        payload = "conformance"
        [machine]
        cpu = "max"
        [vm]
        protected = true
        mem = "64M"
        [expect]
        lines = ["one", { regex = "t.o" }]
        rows = ["R1-R3"]
        [[type]]
        after = "$ "
        send = "exit\n"
        [[case]]
        name = "small"
        [[case]]
        name = "large"
        vm = { cpus = 4 }
        machine = { smp = 8 }
        expect = { rows = ["G1"], exit = 1 }
    "#;

    #[test]
    fn cases_are_laid_over_the_file() {
        let found = parse("file", FILE, Path::new("folder")).unwrap();
        let [small, large] = &found[..] else { panic!("{found:?}") };
        assert_eq!((small.name.as_str(), large.name.as_str()), ("file/small", "file/large"));
        assert_eq!(large.expect.rows, ["G1", "R1", "R2", "R3"].map(str::to_owned).into());
        assert_eq!((small.expect.rows.len(), small.expect.exit, large.expect.exit), (3, 0, 1));
        assert_eq!((large.machine.smp, large.machine.cpu.as_deref()), (Some(8), Some("max")));
        assert_eq!((small.script.len(), large.expect.lines.len()), (1, 2));
        assert_eq!(large.limit, Duration::from_secs(60));
    }

    #[test]
    fn what_is_no_scenario_is_refused_with_a_reason() {
        for (from, to, reason) in [
            ("summary =", "sumary =", "sumary"),
            ("\"what it proves\"", "\"\"", "summary"),
            ("\"max\"", "3", "string"),
            ("\"one\"", "\"\"", "empty"),
            ("t.o", "t(o", "unclosed"),
            ("R1-R3", "R3-R1", "range"),
            ("\"64M\"", "\"64Q\"", "size"),
            ("\"large\"", "\"small\"", "twice"),
            ("name = \"large\"", "", "name"),
            ("\"conformance\"", "\"solaris\"", "solaris"),
        ] {
            let broken = FILE.replace(from, to);
            assert_ne!(broken, FILE, "{from}");
            let error = parse("file", &broken, Path::new("folder")).unwrap_err();
            assert!(format!("{error:#}").contains(reason), "{from} -> {to}: {error:#}");
        }
    }

    #[test]
    fn the_files_of_the_project_are_scenarios() {
        let all = load(&crate::workspace::root().join("tests/scenarios")).unwrap();
        assert!(!all.is_empty());
        for scenario in all {
            assert!(scenario.limit > Duration::ZERO, "{}", scenario.name);
        }
    }
}
