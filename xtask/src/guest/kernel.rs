//! A kernel in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::payload::{Kind, Payload};

/// A kernel in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// Which one, for people.
    pub(super) version: String,
    /// The arm64 `Image`.
    pub(super) image: PathBuf,
    /// Its `System.map`, if that is kept.
    pub(super) symbols: Option<PathBuf>,
    /// Its ELF file, if that is kept.
    pub(super) vmlinux: Option<PathBuf>,
}

/// Writes the arm64 `Image` in the file `kernel`, unpacked if it is packed, to `Image` in `folder`.
///
/// # Errors
/// If it cannot be read, holds no such kernel, or the disk is full.
pub(super) fn keep(kernel: &Path, folder: &Path) -> Result<()> {
    let payload = Payload::read(kernel, None)?;
    if payload.kind != Kind::Image {
        bail!("{} is not an arm64 kernel Image", kernel.display());
    }
    let image = folder.join("Image");
    fs::write(&image, payload.bytes).with_context(|| format!("cannot write {}", image.display()))
}
