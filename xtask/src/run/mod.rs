//! `cargo xtask run`: one run of the hypervisor under QEMU with the console on the terminal.

mod attended;
pub mod console;
mod terminal;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::build;
use crate::qemu::{Boot, Machine};
use crate::units::parse_size;

/// Options of `run`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Boot this finished bundle.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    machine: MachineOptions,
    /// Stop after this many seconds, with exit status 124.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Everything after `--` goes to QEMU untouched.
    #[arg(last = true, value_name = "QEMU ARGUMENT")]
    qemu_arguments: Vec<OsString>,
}

/// The emulated machine.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineOptions {
    /// QEMU's machine, with options of its own after commas if need be.
    #[arg(long, default_value = "virt", value_name = "NAME")]
    machine: String,
    /// Version of the machine's interrupt controller.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=3))]
    gic: u8,
    /// QEMU's CPU model.
    #[arg(long, default_value = "cortex-a72", value_name = "MODEL")]
    cpu: String,
    /// CPUs of the machine [default: as many as the VMs need].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    smp: Option<u32>,
    /// RAM of the machine [default: what the VMs need and some more].
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    ram: Option<u64>,
    /// Words for Postern itself, such as `postern.log=debug`.
    #[arg(long, default_value = "", value_name = "WORDS")]
    boot_args: String,
    /// The emulator [default: `qemu-system-aarch64` on the search path, installed when missing].
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
}

impl MachineOptions {
    /// The machine for VMs that need `cpus` CPUs and `ram` bytes together.
    fn machine(&self, cpus: u32, ram: u64, extra: &[OsString]) -> Machine {
        Machine {
            qemu: self.qemu.clone().unwrap_or_else(|| PathBuf::from("qemu-system-aarch64")),
            machine: self.machine.clone(),
            gic: self.gic,
            cpu: self.cpu.clone(),
            smp: self.smp.unwrap_or(cpus),
            ram: self.ram.unwrap_or(ram),
            extra: extra.to_vec(),
        }
    }
}

/// The command `cargo xtask run`; the answer is the exit status of this program.
///
/// # Errors
///
/// Anything that keeps the run from starting.
pub fn command(options: &Options) -> Result<u8> {
    let hypervisor = build::hypervisor()?;
    let machine = options.machine.machine(1, 512 << 20, &options.qemu_arguments);
    let boot = Boot {
        image: &hypervisor.image,
        bundle: options.bundle.as_deref(),
        arguments: &options.machine.boot_args,
    };
    attended::run(&machine, boot, &hypervisor.elf, options.timeout.map(Duration::from_secs))
}
