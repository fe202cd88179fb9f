//! The stages of `test` that cargo does: format, lints, host tests, documentation.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::libtest::{Checks, count};
use crate::setup::exec::{self, command_line};
use crate::{audit, build, workspace};

/// One stage.
pub struct Stage {
    /// What it checks.
    pub name: &'static str,
    /// Does it.
    pub run: fn() -> Result<Checks>,
}

/// The stages in order, the quickest first.
pub const ALL: &[Stage] = &[
    Stage { name: "format", run: format },
    Stage { name: "lints, host", run: host_lints },
    Stage { name: "lints, bare metal", run: bare_metal_lints },
    Stage { name: "documentation", run: documentation },
    Stage { name: "host tests", run: host_tests },
    Stage { name: "packages", run: super::packages::check },
    Stage { name: "audit of image and unsafe code", run: audit },
];

fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args(words).stdin(Stdio::null());
    command
}

fn format() -> Result<Checks> {
    one(cargo(&["fmt", "--all", "--check"]))
}

fn host_lints() -> Result<Checks> {
    one(cargo(&["clippy", "--workspace", "--all-targets", "--", "-Dwarnings"]))
}

/// The code that only exists on the bare machine, with protected VMs and without.
fn bare_metal_lints() -> Result<Checks> {
    let mut checks = Checks { passed: 0, failed: 0 };
    for words in [
        &["--package", "hyp", "--package", "hyp-efi", "--package", "conformance"][..],
        &[
            "--package",
            "bench-guest",
            "--package",
            "floors",
            "--package",
            "guest-runtime",
            "--package",
            "hostile",
        ],
        &["--package", "hyp", "--no-default-features"],
        &["--package", "hyp", "--features", "ghost"],
        &["--package", "hyp", "--features", "inject"],
        &["-pguest-shim-c", "-pguest-shim", "--features", "guest-shim/virtio-drivers"],
    ] {
        let mut command = build::bare_metal_cargo("clippy")?;
        command.args(words).args(["--", "-Dwarnings"]);
        let result = one(command)?;
        checks.passed += result.passed;
        checks.failed += result.failed;
    }
    Ok(checks)
}

fn documentation() -> Result<Checks> {
    let mut command = cargo(&["doc", "--no-deps", "--package", "hyp-abi"]);
    command.args(["--package", "hyp-core", "--package", "hyp-efi", "--package", "guest-shim"]);
    command.args(["--package", "guest-shim-c", "--features", "guest-shim/virtio-drivers"]);
    one(command.env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// One check: the command ends well. Its own words go to standard error.
fn one(mut command: impl std::borrow::BorrowMut<Command>) -> Result<Checks> {
    let command = command.borrow_mut();
    let status =
        command.status().with_context(|| format!("could not start {}", command_line(command)))?;
    let passed = usize::from(status.success());
    Ok(Checks { passed, failed: 1 - passed })
}

/// How long the host's tests may take, compiling included: minutes, were they not stuck.
const HOST_TESTS: Duration = Duration::from_secs(30 * 60);

/// Every test of the host counts by itself.
fn host_tests() -> Result<Checks> {
    let mut command = cargo(&["test", "--no-fail-fast", "--color=never"]);
    let begun = Instant::now();
    let mut text = String::new();
    let mut program = String::new();
    let on_line = |line: &str| {
        if let Some((_, name)) = line.split_once("Running ").or(line.split_once("Doc-tests ")) {
            name.clone_into(&mut program);
            eprintln!("[xtask] {:4} s  {name}", begun.elapsed().as_secs());
        } else if line.trim_start().starts_with("Compiling ") {
            eprintln!("{line}");
        } else if line.ends_with("has been running for over 60 seconds") {
            eprintln!("[xtask] {:4} s  {line}", begun.elapsed().as_secs());
        }
        text.push_str(line);
        text.push('\n');
    };
    let result = exec::run(&mut command, HOST_TESTS, on_line, |_| {});
    let mut checks = count(&text);
    match result {
        Ok(finished) if finished.status.success() => {}
        Ok(_) => {
            eprint!("{}", without_passed(&text));
            // A test that does not compile or crashes has no result line.
            checks.failed = checks.failed.max(1);
        }
        Err(error) => {
            eprint!("{}", without_passed(&text));
            eprintln!("error: {program}: {error:#}");
            checks.failed += 1;
        }
    }
    Ok(checks)
}

/// What cargo and test programs say, but for the lines of tests that passed.
fn without_passed(text: &str) -> String {
    let is_passed = |line: &&str| line.starts_with("test ") && line.ends_with(" ... ok");
    text.lines().filter(|line| !is_passed(line)).flat_map(|line| [line, "\n"]).collect()
}

/// What can be seen without running anything.
fn audit() -> Result<Checks> {
    let built = build::hypervisor()?;
    let report = audit::check(&built.elf, Some(&built.efi_elf), false)?;
    report.breaches.iter().for_each(|breach| println!("     {breach}"));
    Ok(Checks { passed: report.checks, failed: report.breaches.len() })
}
