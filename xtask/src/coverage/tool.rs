//! Building the tests with counters, running them, asking llvm-cov what they ran.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::setup::{self, exec, say};
use crate::workspace;

/// Packages whose tests are run.
const PACKAGES: [&str; 2] = ["hyp-core", "model"];

/// Building everything on a slow machine.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);
/// One test program on a slow machine.
const TEST_LIMIT: Duration = Duration::from_secs(15 * 60);
/// Reading what the tests have counted.
const REPORT_LIMIT: Duration = Duration::from_secs(120);

/// Runs the tests and reports each line that was run, in the form of lcov.
///
/// # Errors
///
/// The tools cannot be had, something does not build, or a test fails.
pub fn measure() -> Result<String> {
    let tools = setup::ensure_coverage_tools()?;
    let folder = workspace::target_dir().join("coverage");
    let counts = folder.join("counts");
    let _ = fs::remove_dir_all(&counts);
    fs::create_dir_all(&counts).with_context(|| format!("could not make {}", counts.display()))?;
    say("building the tests of hyp-core and of the model with counters");
    let programs = build(&folder)?;
    for program in &programs {
        say(&format!("running {}", workspace::shown(program)));
        let mut command = Command::new(program);
        command.current_dir(workspace::root().join("hyp/core")).arg("--quiet");
        command.env("LLVM_PROFILE_FILE", counts.join("%p-%m.profraw"));
        exec::output(
            &mut command,
            TEST_LIMIT,
            "`cargo test -p hyp-core -p model` shows which test",
        )?;
    }
    let merged = counts.join("all.profdata");
    let mut merge = Command::new(tools.join("llvm-profdata"));
    merge.args(["merge", "--sparse", "--output"]).arg(&merged);
    merge.args(raw_counts(&counts)?);
    exec::output(&mut merge, REPORT_LIMIT, "remove target/coverage and try again")?;
    let mut export = Command::new(tools.join("llvm-cov"));
    export.args(["export", "--format=lcov", "--instr-profile"]).arg(&merged);
    for program in &programs {
        export.arg("--object").arg(program);
    }
    exec::output(&mut export, REPORT_LIMIT, "remove target/coverage and try again")
}

/// Builds the test programs in a target folder of their own: other flags, other results.
fn build(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut cargo = Command::new(workspace::cargo());
    cargo.current_dir(workspace::root()).args(["test", "--no-run", "--message-format=json"]);
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    cargo.env("CARGO_TARGET_DIR", folder).env("RUSTFLAGS", "-Cinstrument-coverage");
    // Build scripts and macros count, too, and would leave their counts where they run.
    cargo.env("LLVM_PROFILE_FILE", folder.join("build/%p-%m.profraw"));
    let messages = exec::output(&mut cargo, BUILD_LIMIT, "see whether `cargo test` builds")?;
    let programs = executables(&messages);
    if programs.is_empty() {
        bail!("cargo built no test program of {}", PACKAGES.join(" and "));
    }
    Ok(programs)
}

/// The programs that cargo's messages name.
fn executables(messages: &str) -> Vec<PathBuf> {
    let message = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
    let program =
        |value: serde_json::Value| Some(PathBuf::from(value.get("executable")?.as_str()?));
    messages.lines().filter_map(message).filter_map(program).collect()
}

fn raw_counts(folder: &Path) -> Result<Vec<OsString>> {
    let mut files = Vec::new();
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        if path.extension().is_some_and(|ending| ending == "profraw") {
            files.push(path.into_os_string());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_from_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\nnoise\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/t/oracle-1\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executables(messages), [PathBuf::from("/t/oracle-1")]);
    }
}
