//! Debian's installer for a network boot: a stock kernel with every driver and a RAM disk of some
//! 30 MB with a program of its own. It shows that large files load; nothing gets installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::debian::find;
use super::kernel::{Kernel, keep};
use crate::setup::apt::{self, Apt};
use crate::setup::cache;

/// The installer of Debian 12.
const PACKAGE: &str = "debian-installer-12-netboot-arm64";

/// The RAM disk in the cache entry.
const INITRD: &str = "initrd.gz";

/// The installer's kernel and RAM disk, fetched if the cache has none: 130 MB.
///
/// # Errors
/// If they have to be fetched and that fails.
pub(super) fn ensure() -> Result<(Kernel, PathBuf)> {
    let dir = cache::root()?.join("guests/debian-installer");
    let _lock = cache::lock("guest-debian-installer")?;
    cache::entry(&dir, fetch)?;
    let version =
        fs::read_to_string(dir.join("version")).context("reading the installer's version")?;
    let kernel = Kernel {
        version: format!("Debian's installer {}", version.trim()),
        image: dir.join("Image"),
        symbols: None,
        vmlinux: None,
    };
    Ok((kernel, dir.join(INITRD)))
}

fn fetch(new: &Path) -> Result<()> {
    let apt = Apt::open()?;
    let package = apt.newest(PACKAGE, |_| true)?;
    let deb = apt.download(&package)?;
    let unpacked = new.join("unpacked");
    // The package also has a graphical one.
    apt::unpack(&deb, "./usr/lib/debian-installer/images/*/text/*", &unpacked)?;
    let file = |name| {
        find(&unpacked, |found| found == name)
            .with_context(|| format!("{} holds no file called {name}", deb.display()))
    };
    keep(&file("linux")?, new)?;
    fs::rename(file(INITRD)?, new.join(INITRD)).context("keeping the installer's RAM disk")?;
    fs::write(new.join("version"), format!("{}\n", package.version))?;
    fs::remove_dir_all(&unpacked).context("clearing up after unpacking the installer")?;
    // 130 MB that nobody will ask for again.
    let _ = fs::remove_file(deb);
    Ok(())
}
