//! The C example of the guest shim: a bare-metal guest from its sources and the static library.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::cross::{self, Profile};
use crate::setup::{self, exec::command_line};
use crate::workspace;

/// Sources, in `guest-shim/c/example`.
const SOURCES: [&str; 3] = ["start.S", "main.c", "devices.c"];

/// Freestanding code that runs with the MMU off, and the code generation that needs: no FP
/// registers, no unaligned accesses. The folder of includes follows.
const FLAGS: &[&str] = &[
    "-std=c11",
    "-Os",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffreestanding",
    "-fno-pic",
    "-fno-stack-protector",
    "-mgeneral-regs-only",
    "-mstrict-align",
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none,--gc-sections,-z,max-page-size=4096",
];

/// Builds the library and the example; the answer is an ELF file.
///
/// # Errors
///
/// A compiler is missing and cannot be provided, or fails.
pub fn c_guest() -> Result<PathBuf> {
    let compiler = setup::ensure_c_compiler()?;
    let library = cross::static_library("guest-shim-c", "postern_guest", Profile::Guest)?;
    let elf = workspace::output_dir()?.join("c-example.elf");
    let unfinished = elf.with_extension(format!("{}.elf", std::process::id()));
    let shim = workspace::root().join("guest-shim");
    let mut command = Command::new(compiler);
    command.args(FLAGS).arg("-I").arg(shim.join("include"));
    command.arg("-T").arg(workspace::root().join("linker").join("guest.ld"));
    command.args(SOURCES.map(|source| shim.join("c").join("example").join(source)));
    command.arg(library).arg("-o").arg(&unfinished).stdin(Stdio::null());
    let output = command.output()?;
    if !output.status.success() {
        bail!(
            "tried: {}\ncame back: {}\nto do: the C compiler's messages above name the line",
            command_line(&command),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    std::fs::rename(&unfinished, &elf)?;
    Ok(elf)
}
