//! U-Boot for QEMU's `virt` machine, as Debian builds it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::apt::{self, Apt};
use super::{cache, say};

/// The package, which is for every architecture.
const PACKAGE: &str = "u-boot-qemu";

/// The 64-bit build within it.
const PROGRAM: &str = "usr/lib/u-boot/qemu_arm64/u-boot.bin";

/// U-Boot, fetched if the cache has none.
///
/// # Errors
/// If it has to be fetched and that fails.
pub(crate) fn ensure_u_boot() -> Result<PathBuf> {
    let dir = cache::root()?.join("firmware/u-boot-virt");
    let _lock = cache::lock("firmware")?;
    cache::entry(&dir, fetch)?;
    Ok(dir.join("u-boot.bin"))
}

fn fetch(new: &Path) -> Result<()> {
    say("fetching U-Boot, to start the hypervisor as a board does");
    let apt = Apt::open()?;
    let package = apt.newest(PACKAGE, |_| true)?;
    let deb = apt.download(&package)?;
    let unpacked = new.join("unpacked");
    apt::unpack(&deb, &format!("./{PROGRAM}"), &unpacked)?;
    fs::rename(unpacked.join(PROGRAM), new.join("u-boot.bin")).context("keeping U-Boot")?;
    fs::write(new.join("version"), format!("{}\n", package.version))?;
    fs::remove_dir_all(&unpacked).context("clearing up after unpacking U-Boot")?;
    let _ = fs::remove_file(deb);
    Ok(())
}
