//! How large the image is, against the limit that the project has set itself.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, elf};

use super::link::UNWINDING;
use crate::units::shown_size;

/// The most bytes that the image may have.
pub const IMAGE_LIMIT: u64 = 192 << 10;

/// The sections of `linker/hyp.ld` that the hypervisor takes out of its map, from page to page.
const BOOT: [&str; 2] = [".boot", ".boot_constants"];
const BOOT_PAGES: [&str; 2] = ["boot_pages", "text_end"];

/// Bytes of what fills the image's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Code, boot's own included.
    pub code: u64,
    /// Code and constants that only boot needs: gone when guests run.
    pub boot: u64,
    /// Constants.
    pub constants: u64,
    /// Data with an initial value.
    pub data: u64,
    /// Memory that begins as zeros.
    pub zeroed: u64,
}

impl Sizes {
    /// What the sections of `elf_file` add up to.
    ///
    /// # Errors
    ///
    /// It is not an ELF file.
    pub fn of(elf_file: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf_file).context("not an ELF file")?;
        let [first, end] = BOOT_PAGES.map(|name| file.symbol_by_name(name));
        let first = first.map_or(0, |symbol| symbol.address());
        let end = end.map_or(u64::MAX, |symbol| symbol.address());
        let mut sizes = Self::default();
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
            if !sh_flags.contains(elf::SHF_ALLOC) || section.name()? == UNWINDING {
                continue;
            }
            if BOOT.contains(&section.name()?) {
                let [from, to] = [section.address(), section.address() + section.size()];
                sizes.boot += to.min(end).saturating_sub(from.max(first));
            }
            let sum = if sh_flags.contains(elf::SHF_EXECINSTR) {
                &mut sizes.code
            } else if !sh_flags.contains(elf::SHF_WRITE) {
                &mut sizes.constants
            } else if section.kind() == object::SectionKind::UninitializedData {
                &mut sizes.zeroed
            } else {
                &mut sizes.data
            };
            *sum += section.size();
        }
        Ok(sizes)
    }

    /// Code and constants that EL2 has mapped while guests run.
    pub fn resident(&self) -> u64 {
        (self.code + self.constants).saturating_sub(self.boot)
    }
}

/// A table of what fills the image: code, constants, data, zeroed memory.
///
/// # Errors
///
/// `elf_file` is not an ELF file.
pub fn report(elf_file: &[u8], image_len: u64) -> Result<String> {
    let Sizes { code, boot, constants, data, zeroed } = Sizes::of(elf_file)?;
    let mut text = String::new();
    for (what, bytes) in [
        ("code", code),
        ("  boot's own", boot),
        ("constants", constants),
        ("data", data),
        ("zeroed memory", zeroed),
    ] {
        writeln!(text, "  {what:<14} {:>12}", shown_size(bytes))?;
    }
    let verdict = if image_len <= IMAGE_LIMIT { "within" } else { "ABOVE" };
    writeln!(
        text,
        "  {:<14} {:>12}, {verdict} the limit of {}",
        "image",
        shown_size(image_len),
        shown_size(IMAGE_LIMIT)
    )?;
    Ok(text)
}
