//! What runs need beside the hypervisor: the emulator and the payloads.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::ValueEnum as _;

use crate::board::Board;
use crate::image::via::Via;
use crate::qemu::{Model, TreeSource};
use crate::setup::{self, Emulator, FETCHED, Qemu, QemuChoice};
use crate::vm_desc::What;
use crate::vm_desc::preset::Files;
use crate::{build, guest};

/// Emulator and payloads of this machine; each payload is made once, when it is first asked for.
#[derive(Debug)]
pub struct Supplies {
    /// The emulator that the user wants.
    chosen: Option<QemuChoice>,
    /// Those that were opened.
    emulators: Mutex<Vec<(QemuChoice, Result<Qemu, String>)>>,
    /// One for each [`What`].
    payloads: Vec<(What, Made)>,
    u_boot: OnceLock<Result<PathBuf, String>>,
    u_boot_rpi: OnceLock<Result<PathBuf, String>>,
    edk2: OnceLock<Result<PathBuf, String>>,
}

/// Files made once, or why they cannot be.
type Made = OnceLock<Result<Files, String>>;

/// An error that can be told more than once.
fn told(error: anyhow::Error) -> String {
    format!("{error:#}")
}

impl Supplies {
    /// Nothing yet; `chosen` is the emulator to use, if it is not for us to choose one.
    pub fn new(chosen: Option<QemuChoice>) -> Self {
        Self {
            chosen,
            emulators: Mutex::default(),
            payloads: What::value_variants().iter().map(|what| (*what, Made::new())).collect(),
            u_boot: OnceLock::new(),
            u_boot_rpi: OnceLock::new(),
            edk2: OnceLock::new(),
        }
    }

    /// An emulator that knows `model`: `wanted` if given, then the user's choice, then the system's
    /// if it is new enough, then a newer one beside it, fetched if need be.
    ///
    /// # Errors
    ///
    /// None can be had, or the one that is wanted is too old; the message says what would do.
    pub fn emulator(&self, model: &Model, wanted: Option<Emulator>) -> Result<Qemu> {
        let wanted = wanted.map(QemuChoice::Known).or_else(|| self.chosen.clone());
        let knows = |qemu: &Qemu| qemu.version >= model.since;
        let (major, minor) = model.since;
        if let Some(wanted) = wanted {
            let qemu = self.open(&wanted)?;
            ensure!(
                knows(&qemu),
                "the machine {} takes QEMU {major}.{minor} or newer, and {} is {}.{}: leave --qemu \
                 out, and one that is new enough is taken",
                model.name,
                wanted.shown(),
                qemu.version.0,
                qemu.version.1
            );
            return Ok(qemu);
        }
        let system = self.open(&QemuChoice::default())?;
        if knows(&system) {
            return Ok(system);
        }
        let mut reasons = Vec::new();
        for newer in FETCHED {
            match self.open(&QemuChoice::Known(newer)) {
                Ok(qemu) if knows(&qemu) => return Ok(qemu),
                Ok(qemu) => reasons.push(format!("{} is too old", qemu.program.display())),
                Err(error) => reasons.push(format!("{error:#}")),
            }
        }
        bail!(
            "the machine {} takes QEMU {major}.{minor} or newer: {}",
            model.name,
            reasons.join("; ")
        )
    }

    /// What has to be fetched before `model` can run; nothing if all is there.
    pub fn absent(&self, model: &Model, wanted: Option<Emulator>) -> Option<String> {
        let lacks_tree = matches!(model.tree, TreeSource::Board(_)) && !setup::has_board_trees();
        let emulator = match wanted.map(QemuChoice::Known).or_else(|| self.chosen.clone()) {
            Some(wanted) => {
                (!wanted.is_present()).then(|| format!("the emulator {}", wanted.shown()))
            }
            None => {
                let too_old = self
                    .open(&QemuChoice::default())
                    .is_ok_and(|system| system.version < model.since);
                let newer = FETCHED.iter().any(|newer| QemuChoice::Known(*newer).is_present());
                let (major, minor) = model.since;
                (too_old && !newer).then(|| format!("QEMU {major}.{minor} or newer"))
            }
        };
        let tree = lacks_tree.then(|| "the boards' device trees".to_owned());
        let all: Vec<_> = emulator.into_iter().chain(tree).collect();
        (!all.is_empty()).then(|| all.join(" and "))
    }

    /// Opens an emulator once and remembers how it went.
    fn open(&self, choice: &QemuChoice) -> Result<Qemu> {
        let mut known = self.emulators.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|(other, _)| other == choice).map(|(_, made)| made.clone());
        let made = found.unwrap_or_else(|| {
            let made = choice.open().map_err(|error| format!("{error:#}"));
            known.push((choice.clone(), made.clone()));
            made
        });
        made.map_err(|why| anyhow!("{why}"))
    }

    /// The firmware of the way `via` for a machine that stands for `board`, fetched if need be.
    ///
    /// # Errors
    ///
    /// It cannot be had on this machine.
    pub fn firmware(&self, via: Via, board: Board) -> Result<&Path> {
        let made = match (via, board) {
            (Via::Uefi, _) => self.edk2.get_or_init(|| setup::ensure_edk2().map_err(told)),
            (_, Board::Rpi4) => {
                self.u_boot_rpi.get_or_init(|| setup::ensure_u_boot_rpi().map_err(told))
            }
            _ => self.u_boot.get_or_init(|| setup::ensure_u_boot().map_err(told)),
        };
        match made {
            Ok(path) => Ok(path),
            Err(why) => Err(anyhow!("{why}")),
        }
    }

    /// The files of `what`, built or fetched if need be.
    ///
    /// # Errors
    ///
    /// They cannot be had on this machine.
    pub fn files(&self, what: What) -> Result<&Files> {
        let made = self.payloads.iter().find(|(known, _)| *known == what);
        let (_, made) = made.context("a payload that no command line can name")?;
        match made.get_or_init(|| make(what).map_err(|error| format!("{error:#}"))) {
            Ok(made) => Ok(made),
            Err(why) => Err(anyhow!("{why}")),
        }
    }
}

/// The files of `what`.
fn make(what: What) -> Result<Files> {
    let which = match what {
        What::Demo | What::Conformance => {
            return Ok(Files { kernel: build::conformance_guest()?, initrd: None });
        }
        What::Hostile => return Ok(Files { kernel: build::hostile_guest()?, initrd: None }),
        What::CExample => return Ok(Files { kernel: build::c_guest()?, initrd: None }),
        What::Linux => guest::Which::Mainline,
        What::Linux612 => guest::Which::Mainline612,
        What::Debian61 => guest::Which::Debian61,
        What::Debian612 => guest::Which::Debian612,
        What::Debian7 => guest::Which::Debian7,
        What::DebianInstaller => guest::Which::DebianInstaller,
    };
    let payload = guest::ensure(which)?;
    Ok(Files { kernel: payload.kernel, initrd: Some(payload.initrd) })
}
