//! `cargo xtask run`: one run of the hypervisor under QEMU with the console on the terminal.

mod attended;
pub mod console;
mod gdb;
mod machine;
mod recording;
mod screen;
mod selection;
mod self_test;
mod supplies;
mod terminal;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use hyp_abi::exit;

pub use machine::{Needs, Words};
pub use recording::{DENY, RecordOptions, TRACE_ALL, beside};
pub use selection::{Guest, Selected, Selection};
pub use supplies::Supplies;

use screen::Screen;
use self_test::SelfTest;

use crate::image::via::{self, Via};
use crate::qemu::{Boot, Firmware, Model};
use crate::setup::QemuChoice;
use crate::units::parse_size;
use crate::{build, workspace};
use console::Nonce;

/// Options of `run`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    machine: MachineOptions,
    /// Run a model of the VM beside it and compare the two at each step: slower, and a difference ends
    /// the run with exit status 3; see docs/testing.md.
    #[arg(long)]
    ghost: bool,
    /// Stop after this many seconds, with exit status 124.
    #[arg(long, allow_negative_numbers = true, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Wait for gdb on this port before the first instruction, and say how to start gdb; see
    /// docs/debugging.md.
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true,
        default_missing_value = gdb::PORT, value_parser = clap::value_parser!(u16).range(1..))]
    gdb: Option<u16>,
    #[command(flatten)]
    record: RecordOptions,
    /// Everything after `--` goes to QEMU untouched.
    #[arg(last = true, value_name = "QEMU ARGUMENT")]
    qemu_arguments: Vec<OsString>,
}

/// The emulated machine.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineOptions {
    /// QEMU's machine, with options of its own after commas if need be: `virt`, `xlnx-zcu102`,
    /// `xlnx-versal-virt`, `imx8mp-evk` or `raspi4b`.
    #[arg(long, default_value = "virt", value_name = "NAME")]
    machine: String,
    /// Version of the interrupt controller of `virt`, 2 or 3; other machines have their own
    /// [default: 3].
    #[arg(long, allow_negative_numbers = true, value_name = "VERSION", value_parser = clap::value_parser!(u8).range(2..=3))]
    gic: Option<u8>,
    /// QEMU's CPU model for `virt`; other machines have their own [default: cortex-a72].
    #[arg(long, value_name = "MODEL")]
    cpu: Option<String>,
    /// CPUs of the machine [default: as many as the VMs need].
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
    smp: Option<u32>,
    /// RAM of the machine [default: what the VMs need and some more].
    #[arg(long, allow_negative_numbers = true, value_name = "SIZE", value_parser = parse_size)]
    ram: Option<u64>,
    /// Words for Postern itself, such as `postern.log=debug`.
    #[arg(long, default_value = "", value_name = "WORDS", hide_default_value = true)]
    boot_args: String,
    /// Start through firmware, from a disk, as a board does; for `virt` and `raspi4b`.
    #[arg(long, value_enum, value_name = "FIRMWARE")]
    via: Option<Via>,
    /// The emulator: a program's path, or `bookworm-backports` or `trixie-backports` for a newer
    /// one that is fetched and lies beside the system's [default: `system`, which is
    /// `qemu-system-aarch64` on the search path, installed when missing].
    #[arg(long, value_name = "PATH", value_parser = QemuChoice::parse)]
    qemu: Option<QemuChoice>,
}

/// A finished bundle does not say what it needs: enough for small ones, and `--smp` and `--ram`
/// for others.
const UNKNOWN: Needs = Needs { cpus: 4, ram: 1 << 30 };

impl MachineOptions {
    /// The machine that is asked for, and what it does not leave to choice.
    fn words(&self) -> Result<Words> {
        let model = Model::find(&self.machine)?;
        model.check(self.cpu.as_deref(), self.gic, self.smp)?;
        Ok(Words {
            machine: self.machine.clone(),
            model,
            gic: self.gic,
            cpu: self.cpu.clone(),
            smp: self.smp,
            ram: self.ram,
        })
    }
}

/// The command `cargo xtask run`; the answer is the exit status of this program.
///
/// # Errors
///
/// Anything that keeps the run from starting.
pub fn command(options: &Options) -> Result<u8> {
    // What can fail without anything being built fails now, not after minutes of building a guest.
    let words = options.machine.words()?;
    let board = options.machine.via.map(|way| via::board_of(words.model, way)).transpose()?;
    options.record.check(options.gdb.is_some(), &options.machine.boot_args)?;
    let arguments = options.record.boot_words(&options.machine.boot_args);
    let nonce = Nonce::of(&arguments)?;
    let arguments = nonce.before(&arguments);
    if let Some(way) = options.machine.via {
        way.check_words(&arguments)?;
    }
    let supplies = Supplies::new(options.machine.qemu.clone());
    if !matches!(options.machine.qemu, Some(QemuChoice::Program(_))) {
        supplies.emulator(words.model, None)?;
    }
    let (bundle, needs) = match options.selection.bundle(&supplies)? {
        Selected::Given(path) => (OnDisk::Given(path), UNKNOWN),
        Selected::Made(bundle) => {
            let needs = Needs { cpus: u32::try_from(bundle.cpus)?, ram: bundle.machine_ram };
            words.check(needs)?;
            (OnDisk::made("bundle", &bundle.bytes)?, needs)
        }
    };
    let hypervisor = if options.ghost { build::ghost()? } else { build::hypervisor()? };
    let guests = options.selection.guests(&supplies)?;
    let mut extra = options.qemu_arguments.clone();
    if let Some(port) = options.gdb {
        extra.extend(gdb::arguments(port));
        // Firmware and other machines put the image elsewhere.
        let is_known = words.model.name == "virt" && options.machine.via.is_none();
        let symbols = options.record.symbols();
        gdb::prepare(port, &hypervisor.elf, is_known, &gdb::programs(&guests, symbols))?;
    }
    let mut machine = words.machine(supplies.emulator(words.model, None)?, needs);
    machine.extra = extra;
    let tree = OnDisk::made("dtb", &[])?;
    if let Some(bytes) = machine.completed_tree(&hypervisor.image, tree.path())? {
        fs::write(tree.path(), bytes)
            .with_context(|| format!("could not write {}", tree.path().display()))?;
        machine.tree = Some(tree.path().to_owned());
    }
    let mut boot = Boot {
        image: &hypervisor.image,
        bundle: Some(bundle.path()),
        arguments: &arguments,
        via: None,
    };
    let disk = match options.machine.via.zip(board) {
        None => None,
        Some((way, board)) => {
            if options.machine.ram.is_none() && !machine.model.has_fixed_ram() {
                machine.ram = via::ram(machine.ram, fs::metadata(bundle.path())?.len());
            }
            let scratch = OnDisk::made("dtb", &[])?;
            let disk = via::disk(&machine, board, way, &boot, scratch.path())?;
            Some((OnDisk::made("disk", &disk)?, board, way))
        }
    };
    if let Some((disk, board, way)) = &disk {
        let program = supplies.firmware(*way, *board)?;
        let option = way.machine_option();
        boot.via = Some(Firmware { program, disk: disk.path(), board: *board, option });
    }
    // Once all else about the machine is settled.
    let recording = options.record.prepare(&mut machine, &guests, &hypervisor.elf)?;
    let self_test = SelfTest::of(options.selection.what(), options.selection.append());
    let hear = |line: &str| {
        self_test.hear(line);
        recording.iter().for_each(|recording| recording.hear(line));
    };
    let limit = options.timeout.map(Duration::from_secs);
    let screen = Screen::new(&guests);
    let status = attended::run(&machine, boot, &hypervisor.elf, &nonce, limit, screen, &hear)?;
    // Who has read enough, as `head` has, has what he wants.
    let status = status.map_or(exit::GUEST_OFF, |status| self_test.conclude(status));
    match recording {
        Some(recording) => recording.finish(status),
        None => Ok(status),
    }
}

/// A file that QEMU reads.
enum OnDisk {
    /// Somebody else's.
    Given(PathBuf),
    /// Ours, gone after the run.
    Made(tempfile::TempPath),
}

impl OnDisk {
    fn made(kind: &str, bytes: &[u8]) -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix("run-")
            .suffix(&format!(".{kind}"))
            .tempfile_in(workspace::output_dir()?)
            .with_context(|| format!("could not make a file for the {kind}"))?
            .into_temp_path();
        fs::write(&path, bytes)
            .with_context(|| format!("could not write the {kind} {}", path.display()))?;
        Ok(Self::Made(path))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Made(path) => path,
        }
    }
}
