//! The C example of the guest shim: a bare-metal guest from its sources and the static library.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::cross::{self, Profile};
use crate::setup::{self, exec::command_line};
use crate::workspace;

/// Builds the library and, by its own Makefile, the example; the answer is an ELF file.
///
/// # Errors
///
/// A compiler is missing and cannot be provided, or fails.
pub fn c_guest() -> Result<PathBuf> {
    setup::ensure_c_tools()?;
    let library = cross::static_library("guest-shim-c", "postern_guest", Profile::Guest)?;
    let elf = workspace::output_dir()?.join("c-example.elf");
    let unfinished = elf.with_extension(format!("{}.elf", std::process::id()));
    let mut command = Command::new("make");
    command.args(["--silent", "--always-make", "--directory"]);
    command.arg(workspace::root().join("guest-shim/c/example"));
    command.arg(format!("OUTPUT={}", unfinished.display()));
    command.arg(format!("LIBRARY={}", library.display())).stdin(Stdio::null());
    let output = command.output().context("could not start make")?;
    if !output.status.success() {
        bail!(
            "tried: {}\ncame back: {}\nto do: the C compiler's messages above name the line",
            command_line(&command),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    fs::rename(&unfinished, &elf)?;
    Ok(elf)
}
