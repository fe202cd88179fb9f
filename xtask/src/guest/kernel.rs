//! A kernel in the cache, and a first look at whether it is one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A kernel in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// Which one, for people.
    pub(super) version: String,
    /// The arm64 `Image`.
    pub(super) image: PathBuf,
    /// Its `System.map`, if that is kept.
    pub(super) symbols: Option<PathBuf>,
}

/// Checks that `path` starts like an arm64 `Image`: "ARM\x64" at offset 56 (kernel
/// Documentation/arch/arm64/booting.rst, section 4).
///
/// # Errors
/// If it cannot be read or does not.
pub(super) fn check_image(path: &Path) -> Result<()> {
    let mut header = [0; 64];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut header))
        .with_context(|| format!("reading {}", path.display()))?;
    if header.get(56..60) != Some(b"ARM\x64".as_slice()) {
        bail!("{} is not an arm64 kernel Image", path.display());
    }
    Ok(())
}
