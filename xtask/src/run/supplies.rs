//! What runs need beside the hypervisor: the emulator and the payloads.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, anyhow};

use super::preset::{Files, What};
use crate::setup::{self, QemuChoice};
use crate::{build, guest};

/// Emulator and payloads of this machine; each payload is made once, when it is first asked for.
#[derive(Debug)]
pub struct Supplies {
    qemu: PathBuf,
    conformance: Made,
    c_example: Made,
    linux: Made,
    linux_6_12: Made,
    debian: Made,
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
            conformance: Made::new(),
            c_example: Made::new(),
            linux: Made::new(),
            linux_6_12: Made::new(),
            debian: Made::new(),
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
        let kernel = |which| {
            let payload = guest::ensure(which)?;
            Ok(Files { kernel: payload.kernel, initrd: Some(payload.initrd) })
        };
        match what {
            What::Demo | What::Conformance => once(&self.conformance, || {
                Ok(Files { kernel: build::conformance_guest()?, initrd: None })
            }),
            What::CExample => {
                once(&self.c_example, || Ok(Files { kernel: build::c_guest()?, initrd: None }))
            }
            What::Linux => once(&self.linux, || kernel(guest::Which::Mainline)),
            What::Linux612 => once(&self.linux_6_12, || kernel(guest::Which::Mainline612)),
            What::Debian => once(&self.debian, || kernel(guest::Which::Debian)),
        }
    }
}

/// Does `make` at the first call and remembers how it went.
fn once(cell: &Made, make: impl FnOnce() -> Result<Files>) -> Result<&Files> {
    match cell.get_or_init(|| make().map_err(|error| format!("{error:#}"))) {
        Ok(made) => Ok(made),
        Err(why) => Err(anyhow!("{why}")),
    }
}
