//! Debian's prebuilt arm64 kernel, unmodified. Its pKVM guest driver is off, so it serves as the
//! stock guest of a normal VM.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel::{Kernel, check_image};
use crate::setup::apt::{self, Apt};
use crate::setup::cache;

/// The package that depends on the current kernel of each release.
const META_PACKAGE: &str = "linux-image-cloud-arm64:arm64";

/// The series of the stable release; backports offer newer ones under the same name, whose
/// packages are put together in another way.
const SERIES: &str = "6.1.";

/// The kernel, fetched if the cache has none.
///
/// # Errors
/// If it has to be fetched and that fails.
pub(super) fn ensure() -> Result<Kernel> {
    let dir = cache::root()?.join("guests/debian");
    let _lock = cache::lock("guest-debian")?;
    cache::entry(&dir, fetch)?;
    let version =
        fs::read_to_string(dir.join("version")).context("reading the kernel's version")?;
    Ok(Kernel {
        version: format!("Debian's Linux {}, unmodified", version.trim()),
        image: dir.join("Image"),
        symbols: None,
    })
}

fn fetch(new: &Path) -> Result<()> {
    let apt = Apt::open()?;
    let meta = apt.newest(META_PACKAGE, |version| version.starts_with(SERIES))?;
    let name = meta
        .dependency("linux-image-")
        .with_context(|| format!("{META_PACKAGE} depends on no kernel: `{}`", meta.depends))?;
    let package = apt.newest(&format!("{name}:arm64"), |version| version == meta.version)?;
    let deb = apt.download(&package)?;
    let unpacked = new.join("unpacked");
    apt::unpack(&deb, "./boot/vmlinuz-*", &unpacked)?;
    let image: PathBuf = fs::read_dir(unpacked.join("boot"))?
        .flatten()
        .map(|item| item.path())
        .next()
        .with_context(|| format!("{} holds no /boot/vmlinuz", deb.display()))?;
    check_image(&image)?;
    fs::rename(&image, new.join("Image")).context("keeping the kernel")?;
    fs::write(new.join("version"), format!("{}\n", package.version))?;
    fs::remove_dir_all(&unpacked).context("clearing up after unpacking the kernel")?;
    // 20 MB that nobody will ask for again.
    let _ = fs::remove_file(deb);
    Ok(())
}
