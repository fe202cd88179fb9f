//! `cargo xtask audit`: what can be seen in the finished EL2 image. No guest's trap leads to a
//! panic, stacks are deep enough, hot paths do nothing slow.
//!
//! The call graph is read from the instructions. How, and what it cannot see, is in
//! docs/audit.md.

mod binary;
pub mod frames;
mod graph;
mod hot;
mod insn;
mod panics;
mod places;
mod pointers;
mod program;
mod room;
mod rules;
mod stack;

use std::path::PathBuf;

use anyhow::Result;

use crate::build;
pub use binary::check as image;

/// Options of `audit`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Read this ELF file instead of building the image.
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
}

/// The command `cargo xtask audit`; the answer is the exit status of this program.
///
/// # Errors
///
/// The image cannot be built or read.
pub fn command(options: &Options) -> Result<u8> {
    let elf = match &options.elf {
        Some(elf) => elf.clone(),
        None => build::hypervisor()?.elf,
    };
    let report = image(&elf)?;
    report.lines.iter().for_each(|line| println!("{line}"));
    report.breaches.iter().for_each(|breach| println!("FAIL {breach}"));
    println!("{} breaches", report.breaches.len());
    Ok(u8::from(!report.breaches.is_empty()))
}
