//! What the bench guest runs on, and one run of it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::output::Output;
use crate::qemu::{
    Boot, Ending, Keyboard, Machine, Memory, Model, Session, Typist, watch_for_stop,
};
use crate::run::console::Lines;
use crate::setup::Qemu;
use crate::setup::exec::command_line;
use crate::vm_desc::preset;
use crate::{build, bundle, workspace};

/// The time that a run may take; it takes a second or two.
const LIMIT: Duration = Duration::from_secs(120);
/// Bytes of the VM's memory.
const MEM: u64 = 256 << 20;
/// Bytes of the machine's memory.
const RAM: u64 = 512 << 20;
/// Lines shown of a run that failed.
const TAIL: usize = 12;
/// One tick of the counter for each instruction, and a device tree without random numbers.
const ICOUNT: [&str; 2] = ["-icount", "shift=4,sleep=off"];
const MACHINE: &str = "virt,dtb-randomness=off";

/// What the guest runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The smallest handler.
    FloorMin,
    /// The handler with a full register frame.
    FloorFull,
    /// Postern, in a protected VM.
    Protected,
    /// Postern, in a normal VM.
    Normal,
}

/// How a run differs from the usual.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// vCPUs, and CPUs of the machine.
    pub cpus: u32,
    /// Length to which the guest's image is filled up, for Postern.
    pub image_len: Option<usize>,
    /// 64 GiB in the machine.
    pub is_large: bool,
}

impl Variant {
    /// `cpus` CPUs, all else as usual.
    pub const fn cpus(cpus: u32) -> Self {
        Self { cpus, image_len: None, is_large: false }
    }
}

/// Everything that runs need.
#[derive(Debug)]
pub struct Laboratory {
    /// The emulator.
    pub qemu: Qemu,
    /// The finished hypervisor.
    pub hypervisor: build::Hypervisor,
    /// The bench guest, as ELF.
    pub guest: PathBuf,
    /// The smallest handler, as ELF.
    pub floor_min: PathBuf,
    floor_full: PathBuf,
    folder: PathBuf,
}

impl Laboratory {
    /// Builds what is needed.
    ///
    /// # Errors
    ///
    /// A build fails.
    pub fn set_up(qemu: Qemu) -> Result<Self> {
        watch_for_stop()?;
        let folder = workspace::output_dir()?.join("bench");
        fs::create_dir_all(&folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
        Ok(Self {
            qemu,
            hypervisor: build::hypervisor()?,
            guest: build::bench_guest()?,
            floor_min: build::floor("floor-min")?,
            floor_full: build::floor("floor-full")?,
            folder,
        })
    }

    /// The ELF file of what runs at EL2.
    pub fn elf(&self, subject: Subject) -> &Path {
        match subject {
            Subject::FloorMin => &self.floor_min,
            Subject::FloorFull => &self.floor_full,
            Subject::Protected | Subject::Normal => &self.hypervisor.elf,
        }
    }

    /// A file of ours.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs the guest; `words` are on its command line, `extra` on QEMU's.
    ///
    /// # Errors
    ///
    /// The run does not come to its end or counts something else than instructions.
    pub fn run(
        &self,
        subject: Subject,
        variant: Variant,
        words: &str,
        extra: &[OsString],
    ) -> Result<Output> {
        let mut machine = Machine {
            qemu: self.qemu.clone(),
            model: Model::find(MACHINE)?,
            machine: MACHINE.to_owned(),
            gic: 3,
            cpu: "cortex-a72".to_owned(),
            smp: variant.cpus,
            ram: RAM,
            memory: Memory::Plain,
            tree: None,
            extra: ICOUNT.iter().map(Into::into).collect(),
        };
        machine.extra.extend_from_slice(extra);
        if variant.is_large {
            machine.ram = 64 << 30;
        }
        let path = self.folder.join(format!("{}.bundle", std::process::id()));
        let boot = match subject {
            Subject::FloorMin | Subject::FloorFull => {
                let loaded = self.guest.display().to_string().replace(',', ",,");
                machine.extra.extend(["-device".into(), format!("loader,file={loaded}").into()]);
                Boot { image: self.elf(subject), bundle: None, arguments: words, via: None }
            }
            Subject::Protected | Subject::Normal => {
                self.bundle(subject == Subject::Protected, variant, words)?.write(&path)?;
                Boot {
                    image: &self.hypervisor.image,
                    bundle: Some(&path),
                    arguments: "postern.log=error",
                    via: None,
                }
            }
        };
        let command = machine.command(boot, Keyboard::Plain);
        let mut cutter = Lines::default();
        let mut lines = Vec::new();
        let ending = Session::start(&command, Typist::Nobody, Some(LIMIT))?.run(|piece| {
            lines.extend(cutter.feed(piece));
            Ok(Vec::new())
        })?;
        lines.extend(cutter.finish());
        fs::remove_file(&path).ok();
        if ending == Ending::Interrupted {
            bail!("interrupted");
        }
        let explain = || {
            let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n  | ");
            format!("{subject:?} by `{}`; its last lines:\n  | {tail}\n", command_line(&command))
        };
        let output = Output::parse(&lines).with_context(explain)?;
        output.check_calibration().with_context(explain)?;
        Ok(output)
    }

    fn bundle(&self, protected: bool, variant: Variant, words: &str) -> Result<bundle::Bundle> {
        let kernel = match variant.image_len {
            None => self.guest.clone(),
            Some(length) => self.filled_up(length)?,
        };
        let mut description = Table::new();
        let mut say = |key: &str, value: Value| description.insert(key.to_owned(), value);
        say("name", "bench".into());
        say("kernel", String::new().into());
        say("mem", MEM.to_string().into());
        say("cpus", i64::from(variant.cpus).into());
        say("protected", protected.into());
        say("append", words.into());
        // The constant tree has no seed in it.
        say("insecure-entropy", true.into());
        let mut vm = preset::describe(description)?;
        vm.kernel = kernel;
        bundle::build(&[vm])
    }

    /// The guest as a flat image of `length` bytes; what is behind the guest's own is no zeros.
    fn filled_up(&self, length: usize) -> Result<PathBuf> {
        let elf = fs::read(&self.guest)
            .with_context(|| format!("could not read {}", self.guest.display()))?;
        let mut image = build::flatten::arm64_image(&elf)?;
        if image.len() > length {
            bail!("the bench guest has grown beyond {length} bytes");
        }
        image.resize(length, 0xa5);
        let path = self.folder.join(format!("guest-{length}.img"));
        fs::write(&path, image).with_context(|| format!("could not write {}", path.display()))?;
        Ok(path)
    }
}
