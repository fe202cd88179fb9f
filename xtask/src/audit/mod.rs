//! `cargo xtask audit`: what can be seen without running anything. In the finished EL2 image: no
//! guest's trap leads to a panic, stacks are deep enough, hot paths do nothing slow. In the sources:
//! each unsafe block says why it is sound.
//!
//! The call graph is read from the instructions. How, and what it cannot see, is in
//! docs/audit.md.

mod binary;
pub mod frames;
mod graph;
mod hot;
pub mod insn;
mod ledger;
mod lines;
mod panics;
mod places;
mod pointers;
mod program;
mod room;
mod rules;
mod stack;
mod unwinding;
mod upkeep;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::build;
pub use binary::Report;

/// Options of `audit`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Read this ELF file instead of building the image.
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
    /// Write the ledger of unsafe code, docs/unsafe.md, anew.
    #[arg(long)]
    save: bool,
}

/// The command `cargo xtask audit`; the answer is the exit status of this program.
///
/// # Errors
///
/// The image cannot be built or read.
pub fn command(options: &Options) -> Result<u8> {
    let (elf, efi_elf) = match &options.elf {
        Some(elf) => (elf.clone(), None),
        None => {
            let built = build::hypervisor()?;
            (built.elf, Some(built.efi_elf))
        }
    };
    let report =
        check(&elf, efi_elf.as_deref(), options.save).with_context(|| elf.display().to_string())?;
    report.lines.iter().for_each(|line| println!("{line}"));
    report.breaches.iter().for_each(|breach| println!("FAIL {breach}"));
    println!("{} checks passed, {} failed", report.checks, report.breaches.len());
    Ok(u8::from(!report.breaches.is_empty()))
}

/// All of it, on the image at `elf` and the EFI program at `efi_elf`; with `save` the ledger of unsafe code is
/// written anew.
///
/// # Errors
///
/// The image, the rules or the sources cannot be read.
pub fn check(elf: &Path, efi_elf: Option<&Path>, save: bool) -> Result<Report> {
    let mut report = binary::check(elf)?;
    for (what, elf) in [("image", Some(elf)), ("EFI program", efi_elf)] {
        let Some(elf) = elf else { continue };
        let bytes = fs::read(elf).with_context(|| format!("could not read {}", elf.display()))?;
        let found = build::sequences::find(&bytes)?;
        report.lines.push(format!(
            "{what}: {} instructions, {} sequences that some CPUs execute wrongly",
            found.instructions,
            found.breaches.len()
        ));
        report.checks += usize::from(found.breaches.is_empty());
        report.breaches.extend(found.breaches);
    }
    let (entries, breaches) = ledger::check(save)?;
    report.lines.push(format!("unsafe code: {entries} entries in docs/unsafe.md"));
    report.checks += usize::from(breaches.is_empty());
    report.breaches.extend(breaches);
    Ok(report)
}
