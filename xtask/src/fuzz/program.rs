//! Building the targets: what cargo-fuzz does, with the toolchain that everything else is built by.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Target;
use crate::setup::{self, exec::command_line};
use crate::workspace;

/// Compiler flags of all code of the targets, but not of build scripts: what counts branches and
/// comparisons for libFuzzer, and what finds wild accesses.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // A chain of comparisons stays one, so that each link of it is progress.
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Cforce-frame-pointers",
    "-Zsanitizer=address",
];

/// The program with all targets.
#[derive(Debug)]
pub(super) struct Program(PathBuf);

/// Builds it.
///
/// # Errors
///
/// It does not compile.
pub(super) fn build() -> Result<Program> {
    let host = setup::host_triple()?;
    setup::say("building the fuzz targets, which takes minutes the first time");
    let mut command = Command::new(workspace::cargo());
    command
        .current_dir(workspace::root())
        .args(["build", "--package", "fuzz", "--features", "libfuzzer"])
        // With a target named, the flags are not those of build scripts.
        .args(["--profile", "fuzz", "--target", &host])
        // The sanitizer is part of the toolchain, its switch is not stable yet.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .stdin(Stdio::null());
    let status =
        command.status().with_context(|| format!("could not start {}", command_line(&command)))?;
    if !status.success() {
        bail!("the fuzz targets do not build: see above");
    }
    Ok(Program(workspace::target_dir().join(host).join("fuzz/fuzz")))
}

impl Program {
    /// The program as `target`, with the options that every use of it has.
    pub(super) fn command(&self, target: &Target) -> Command {
        let mut command = Command::new(&self.0);
        command
            .env("POSTERN_FUZZ_TARGET", target.name)
            // What is never freed is no matter of the hypervisor, and to look for it takes rights.
            // C code (capstone's tables) has equal constants that the compiler made one.
            .env("ASAN_OPTIONS", "detect_leaks=0:detect_odr_violation=0")
            .args(["-detect_leaks=0", "-timeout=25", "-rss_limit_mb=2048", "-print_final_stats=1"])
            .arg(format!("-max_len={}", target.longest))
            .stdin(Stdio::null());
        command
    }
}
