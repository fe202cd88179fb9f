//! Guest payloads: tells what a file is, unpacks it, and finds what is wrong with it before anything
//! is started.
//!
//! Recognized are an arm64 Linux `Image`, an AArch64 ELF file and, for want of any other sign, a
//! raw binary; each also gzipped, and an `Image` inside an EFI zboot file.

mod elf;
mod foreign;
mod image;
mod unpack;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hyp_abi::vplatform::PAYLOAD_BASE;

/// What a payload turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An arm64 Linux `Image`.
    Image,
    /// An AArch64 ELF file.
    Elf,
    /// Anything else.
    Raw,
}

/// A payload, ready to be placed in a VM's memory. All addresses are guest-physical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Where it came from, for messages.
    pub source: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// The bytes to load.
    pub bytes: Vec<u8>,
    /// Where the first byte goes.
    pub load: u64,
    /// The first address behind the memory that it uses from the start, beyond the bytes if it has
    /// zeroed data.
    pub end: u64,
    /// Where execution starts, with the tree's address in x0.
    pub entry: u64,
    /// What is odd about it, for a person to read.
    pub doubt: Option<String>,
}

/// Bytes of memory that the arm64 `Image` in `file` takes when it runs.
///
/// # Errors
///
/// It is no such image.
pub fn image_size(file: &[u8]) -> Result<u64> {
    let header = image::Header::find(file)?.context("it is no arm64 Image")?;
    header.memory_size(file.len())
}

impl Payload {
    /// Reads and recognizes the file at `path`. `load_addr` moves an `Image` or a raw binary from
    /// 0x4020_0000; an ELF file says itself where it goes.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is cut short, or is for another architecture.
    pub fn read(path: &Path, load_addr: Option<u64>) -> Result<Self> {
        let file = fs::read(path)
            .with_context(|| format!("cannot read the payload {}", path.display()))?;
        Self::recognize(path, file, load_addr)
            .with_context(|| format!("cannot use the payload {}", path.display()))
    }

    /// The same with the file's bytes at hand.
    ///
    /// # Errors
    ///
    /// As [`Payload::read`].
    pub fn recognize(path: &Path, file: Vec<u8>, load_addr: Option<u64>) -> Result<Self> {
        let bytes = unpack::unpack(file)?;
        if bytes.is_empty() {
            bail!("it is empty");
        }
        let source = path.to_owned();
        if elf::is_elf(&bytes) {
            if load_addr.is_some() {
                bail!("it is an ELF file, which has its own addresses: leave the load address out");
            }
            let elf::Flat { bytes, load, end, entry } = elf::flatten(&bytes)?;
            return Ok(Self { source, kind: Kind::Elf, bytes, load, end, entry, doubt: None });
        }
        let base = load_addr.unwrap_or(PAYLOAD_BASE);
        if let Some(header) = image::Header::find(&bytes)? {
            let doubt = header.check_length(&bytes)?;
            let load = header.load(base)?;
            let end = span(load, header.memory_size(bytes.len())?)?;
            return Ok(Self { source, kind: Kind::Image, bytes, load, end, entry: load, doubt });
        }
        foreign::refuse(&bytes)?;
        if !base.is_multiple_of(4) {
            bail!("the load address {base:#x} is no instruction's address: take a multiple of 4");
        }
        let end = span(base, u64::try_from(bytes.len())?)?;
        Ok(Self { source, kind: Kind::Raw, bytes, load: base, end, entry: base, doubt: None })
    }
}

/// The end of `size` bytes at `base`.
fn span(base: u64, size: u64) -> Result<u64> {
    base.checked_add(size).with_context(|| format!("{size:#x} bytes at {base:#x} wrap around"))
}
