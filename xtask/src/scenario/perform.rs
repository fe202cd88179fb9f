//! One scenario, performed: bundle, machine, console, log, verdict.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use hyp_abi::vplatform::RAM_BASE;

use super::Bench;
use super::file::{Damage, Scenario};
use super::judge::{Verdict, judge, judge_crash};
use super::machine_tree::{self, TreeDamage};
use super::memory_log;
use super::recorded::Recorded;
use super::reserve;
use super::script::Script;
use crate::image::via;
use crate::qemu::{Boot, Firmware, Keyboard, Memory, Session, Typist};
use crate::run::console::{Lines, Nonce};
use crate::run::{DENY, Needs, TRACE_ALL};
use crate::setup::exec::command_line;
use crate::symbolize::Symbolizer;
use crate::units::parse_size;
use crate::vm_desc::VmDesc;
use crate::{build, bundle};

/// Most complaints and last lines shown of one run; the log has the rest.
const SHOWN: usize = 20;

/// Every scenario starts with free memory full of a pattern, so that the guests which look for
/// zeros would find what EL2 forgot to zero: an emulator's fresh memory is zero anyway.
const POISON: &str = "postern.poison=on";

/// Has EL2 keep its log in memory, whatever the console is.
const LOG_IN_MEMORY: &str = "postern.console=memory";

/// What [`Damage::OddName`] makes of the VM's name.
const ODD_NAME: &str = "\r\nPOSTERN-EXIT 0\r\n\x1b[2J";

/// How a scenario went.
#[derive(Debug)]
pub enum Outcome {
    /// As it should.
    Passed {
        /// Single checks made.
        checks: usize,
        /// Wall time of the run.
        seconds: f64,
    },
    /// Something is wrong.
    Failed {
        /// What.
        complaints: Vec<String>,
        /// The end of the console output.
        tail: Vec<String>,
        /// The whole of it.
        log: PathBuf,
    },
    /// Something that it needs is not there or cannot be had on this machine.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// Performs `scenario`.
pub fn perform(scenario: &Scenario, bench: &Bench) -> Outcome {
    let log = bench.logs.join(format!("{}.log", scenario.name.replace('/', "-")));
    if let Some(reason) = bench.unprovided(scenario) {
        return Outcome::Skipped { reason };
    }
    let vms = match bench.describe(scenario) {
        Ok(vms) => vms,
        // In CI nothing may be missing quietly.
        Err(reason) if !crate::test::in_ci() => {
            return Outcome::Skipped { reason: format!("{reason:#}") };
        }
        Err(reason) => {
            let complaints = vec![format!("{reason:#}")];
            return Outcome::Failed { complaints, tail: Vec::new(), log };
        }
    };
    let begun = Instant::now();
    match attempt(scenario, vms, bench, &log) {
        Ok((verdict, _)) if verdict.complaints.is_empty() => {
            Outcome::Passed { checks: verdict.checks, seconds: begun.elapsed().as_secs_f64() }
        }
        Ok((verdict, lines)) => {
            let mut complaints = verdict.complaints;
            let more = complaints.len().saturating_sub(SHOWN);
            complaints.truncate(SHOWN);
            if more > 0 {
                complaints.push(format!("and {more} more"));
            }
            let tail = lines[lines.len().saturating_sub(SHOWN)..].to_vec();
            Outcome::Failed { complaints, tail, log }
        }
        Err(error) => {
            Outcome::Failed { complaints: vec![format!("{error:#}")], tail: Vec::new(), log }
        }
    }
}

/// Runs the machine; the answer is the verdict and the console's lines.
fn attempt(
    scenario: &Scenario,
    mut vms: Vec<VmDesc>,
    bench: &Bench,
    log: &Path,
) -> Result<(Verdict, Vec<String>)> {
    let guest_tree = log.with_extension("guest.dtb");
    let first = vms.first_mut().context("no VM")?;
    if scenario.is_elsewhere {
        move_to_2_gib(first, scenario.machine.gic.unwrap_or(3), &guest_tree)?;
    }
    if scenario.damage == Some(Damage::OddName) {
        ODD_NAME.clone_into(&mut first.name);
    } else {
        vms.iter().try_for_each(VmDesc::check)?;
    }
    let kernels: Vec<_> = vms.iter().map(|vm| vm.kernel.clone()).collect();
    let bundle = bundle::build_unchecked(&vms)?;
    let words = &scenario.machine;
    let described = words.words()?;
    let qemu = bench.supplies.emulator(described.model, words.emulator)?;
    let needs = Needs { cpus: u32::try_from(bundle.cpus)?, ram: bundle.machine_ram };
    let mut machine = described.machine(qemu, needs);
    machine.extra = words.qemu.iter().map(Into::into).collect();
    // Beside the log, because the command line in the log names it; kept if the run fails.
    let path = log.with_extension("bundle");
    let bytes = damaged(bundle.bytes, scenario.damage);
    if let Some(bytes) = &bytes {
        fs::write(&path, bytes).with_context(|| format!("could not write {}", path.display()))?;
    }
    let tree = log.with_extension("dtb");
    let image = &*bench.hypervisor(scenario).image;
    let ram = log.with_extension("ram");
    if !words.banks.is_empty() {
        let banks = words.banks.iter().map(|bank| parse_size(bank)).collect::<Result<Vec<_>>>()?;
        machine.ram = banks.iter().sum();
        machine.memory = Memory::Banks(banks);
    }
    if !words.reserve.is_empty() {
        reserve::fill(&ram, machine.ram, &words.reserve)?;
        machine.memory = Memory::File(ram.clone());
    }
    let is_silent =
        words.tree.contains(&TreeDamage::UnknownConsole) || words.boot_args.contains(LOG_IN_MEMORY);
    if is_silent {
        machine.memory = Memory::File(ram.clone());
    }
    let changed = if !words.tree.is_empty() {
        Some(machine_tree::damaged(&machine, image, &words.tree, &tree)?)
    } else if let Some(loader) = words.loader.filter(|loader| loader.makes_spin_table()) {
        Some(loader.tell(&machine.plain_tree(image, &tree)?)?)
    } else if !words.reserve.is_empty() {
        Some(reserve::tell(&machine.plain_tree(image, &tree)?, &words.reserve)?)
    } else {
        machine.completed_tree(image, &tree)?
    };
    if let Some(changed) = changed {
        fs::write(&tree, changed).with_context(|| format!("could not write {}", tree.display()))?;
        machine.tree = Some(tree.clone());
    }
    let loaded = log.with_extension("img");
    if let Some(loader) = words.loader {
        loader.write(&bench.hypervisor(scenario).image, &loaded)?;
    }
    let mut arguments = Vec::new();
    arguments.extend(words.poison.then_some(POISON));
    arguments.extend(scenario.expect.is_recorded().then_some(TRACE_ALL));
    arguments.extend(scenario.deny_unguarded.then_some(DENY));
    let injected = words.inject.as_ref().map(|what| format!("postern.inject={what}"));
    arguments.extend(injected.as_deref());
    arguments.push(&words.boot_args);
    let arguments = arguments.join(" ");
    let nonce = Nonce::of(&arguments)?;
    let arguments = nonce.before(&arguments);
    let mut boot = Boot {
        image: if words.loader.is_some() { &loaded } else { &bench.hypervisor(scenario).image },
        bundle: bytes.is_some().then_some(&*path),
        arguments: &arguments,
        via: None,
    };
    // Beside the log as well.
    let disk = log.with_extension("disk");
    if let Some(way) = words.via {
        let board = via::board_of(machine.model, way)?;
        if words.ram.is_none() && !machine.model.has_fixed_ram() {
            machine.ram = via::ram(machine.ram, bytes.as_ref().map_or(0, Vec::len).try_into()?);
        }
        fs::write(&disk, via::disk(&machine, board, way, &boot, &disk)?)
            .with_context(|| format!("could not write {}", disk.display()))?;
        let program = bench.supplies.firmware(way, board)?;
        boot.via = Some(Firmware { program, disk: &disk, board, option: way.machine_option() });
    }
    // Once all else about the machine is settled.
    let recorded = match scenario.expect.is_recorded() {
        true => Some(Recorded::prepare(&mut machine, &kernels)?),
        false => None,
    };
    let command = machine.command(boot, Keyboard::Plain);

    let mut out =
        File::create(log).with_context(|| format!("could not write {}", log.display()))?;
    writeln!(out, "{}", command_line(&command))?;
    let mut cutter = Lines::default();
    let mut lines = Vec::new();
    let mut script = Script::new(&scenario.script);
    let typist = if scenario.script.is_empty() { Typist::Nobody } else { Typist::Script };
    let mut session = Session::start(&command, typist, Some(scenario.limit))?;
    if scenario.stays_on || !machine.model.switches_off {
        session = session.until_last_line(&nonce);
    }
    if let Some(start) = &scenario.expect.until {
        session = session.until_line(start);
    }
    let ending = session.run(|piece| {
        out.write_all(piece)?;
        for line in cutter.feed(piece) {
            if let Some(recorded) = &recorded {
                recorded.hear(&line);
            }
            lines.push(line);
        }
        Ok(script.hear(piece))
    })?;
    if is_silent {
        let text = memory_log::read(&ram)?;
        out.write_all(&text)?;
        lines.extend(cutter.feed(&text));
    }
    lines.extend(cutter.finish());

    let mut verdict = judge(&scenario.expect, ending, &nonce, &lines);
    if let Some(pattern) = script.waiting_for() {
        verdict.complaints.push(format!("the console never said {pattern}"));
    }
    verdict.checks += scenario.script.len();
    if !words.reserve.is_empty() {
        let (changed, compared) = reserve::compare(&ram, &words.reserve)?;
        writeln!(out, "{compared} bytes of memory compared")?;
        verdict.complaints.extend(changed);
        verdict.checks += 2 * words.reserve.len();
    }
    let names = names(&bench.hypervisor(scenario).elf, &lines);
    judge_crash(&scenario.expect, &names, &mut verdict);
    if let Some(recorded) = recorded {
        recorded.judge(&scenario.expect, log, &mut verdict)?;
    }
    for name in names {
        writeln!(out, "{name}")?;
        lines.push(name);
    }
    for complaint in &verdict.complaints {
        writeln!(out, "FAILED: {complaint}")?;
    }
    if verdict.complaints.is_empty() {
        writeln!(out, "PASSED: {} checks", verdict.checks)?;
        for made in [&path, &tree, &guest_tree, &ram, &loaded, &disk] {
            fs::remove_file(made).ok();
        }
    }
    Ok((verdict, lines))
}

/// Has the conformance guest loaded where other hosts' memory begins, and tells it of no other, by a
/// tree in the file `tree`.
fn move_to_2_gib(vm: &mut VmDesc, gic: u8, tree: &Path) -> Result<()> {
    const BASE: u64 = 2 << 30;
    let end = RAM_BASE.saturating_add(vm.mem);
    let size = end.checked_sub(BASE).context("`elsewhere` wants a VM of more than 1 GiB")?;
    fs::write(tree, bundle::tree(vm, gic, (BASE, size), None)?)
        .with_context(|| format!("could not write {}", tree.display()))?;
    vm.kernel = build::conformance_image()?;
    vm.load_addr = Some(BASE);
    vm.dtb = Some(tree.to_owned());
    vm.has_other_tree = true;
    Ok(())
}

/// Names for the addresses in a crash report, if there is one.
fn names(elf: &Path, lines: &[String]) -> Vec<String> {
    let crash: Vec<_> = lines.iter().filter(|line| Symbolizer::concerns(line)).collect();
    if crash.is_empty() {
        return Vec::new();
    }
    match Symbolizer::open(elf) {
        Ok(symbols) => crash.iter().flat_map(|line| symbols.explain(line)).collect(),
        Err(error) => vec![format!("{error:#}")],
    }
}

/// The bundle as the machine gets it.
fn damaged(mut bytes: Vec<u8>, damage: Option<Damage>) -> Option<Vec<u8>> {
    let Some(damage) = damage else { return Some(bytes) };
    let place = match damage {
        Damage::Missing => return None,
        Damage::OddName => return Some(bytes),
        Damage::CutShort => {
            bytes.truncate(bytes.len() / 2);
            return Some(bytes);
        }
        Damage::FlippedBit => bytes.len() / 4 * 3,
        Damage::NoMagic => 0,
    };
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 0x10;
    }
    Some(bytes)
}
