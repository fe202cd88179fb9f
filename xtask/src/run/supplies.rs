//! What runs need beside the hypervisor: the emulator and the payloads.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum as _;

use super::preset::{Files, What};
use crate::setup::{self, QemuChoice};
use crate::{build, guest};

/// Emulator and payloads of this machine; each payload is made once, when it is first asked for.
#[derive(Debug)]
pub struct Supplies {
    qemu: PathBuf,
    /// One for each [`What`].
    payloads: Vec<(What, Made)>,
    u_boot: OnceLock<Result<PathBuf, String>>,
}

/// Files made once, or why they cannot be.
type Made = OnceLock<Result<Files, String>>;

impl Supplies {
    /// Finds the emulator, which is `qemu` if given and else the system's.
    ///
    /// # Errors
    ///
    /// There is none and it cannot be provided.
    pub fn new(qemu: Option<QemuChoice>) -> Result<Self> {
        Ok(Self::with(qemu.unwrap_or_default().program()?))
    }

    /// Payloads alone, for who runs nothing.
    pub fn payloads() -> Self {
        Self::with(PathBuf::new())
    }

    fn with(qemu: PathBuf) -> Self {
        Self {
            qemu,
            payloads: What::value_variants().iter().map(|what| (*what, Made::new())).collect(),
            u_boot: OnceLock::new(),
        }
    }

    /// The emulator.
    pub fn qemu(&self) -> &Path {
        &self.qemu
    }

    /// U-Boot for the machine `virt`, fetched if need be.
    ///
    /// # Errors
    ///
    /// It cannot be had on this machine.
    pub fn u_boot(&self) -> Result<&Path> {
        match self.u_boot.get_or_init(|| setup::ensure_u_boot().map_err(|e| format!("{e:#}"))) {
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
