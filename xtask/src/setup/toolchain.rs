//! The Rust side: the bare-metal target's standard library, clippy and rustfmt.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{apt::Apt, cache, exec, say};
use crate::workspace::BARE_METAL as TARGET;

/// A download by rustup is given up after this time; there is another way.
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);

/// Asking the compiler about itself.
const ASK_LIMIT: Duration = Duration::from_secs(60);

/// Unpacking some hundred megabytes.
const UNPACK_LIMIT: Duration = Duration::from_secs(300);

/// Where the bare-metal target's `core` and `alloc` come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetStd {
    /// The toolchain has them.
    Installed,
    /// Cargo builds them from the standard library's source in this directory.
    BuildStd {
        /// The `library` directory of the Rust source.
        library: PathBuf,
    },
}

impl fmt::Display for TargetStd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed => write!(out, "{TARGET} is installed"),
            Self::BuildStd { library } => {
                write!(out, "{TARGET} is built from the source in {}", library.display())
            }
        }
    }
}

impl TargetStd {
    /// Gives a `cargo build` or `cargo clippy` for the target what it needs.
    pub(crate) fn configure(&self, cargo: &mut Command) {
        let Self::BuildStd { library } = self else { return };
        cargo.arg("-Zbuild-std=core,alloc,compiler_builtins");
        // The standard library uses unstable features of its own compiler; a note about that at
        // every build helps nobody.
        cargo.args(["--config", "future-incompat-report.frequency='never'"]);
        // Cargo reads the first from its own environment only: `[env]` in its configuration is
        // too late. The second tells it where the source is when it is not in the toolchain.
        cargo.env("RUSTC_BOOTSTRAP", "1").env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    }
}

/// Set to have cargo build the standard library where the compiled one is installed, too.
const BUILD_STD: &str = "POSTERN_BUILD_STD";

/// Finds the target's standard library, or provides it: by rustup, else by building it from the
/// source of exactly this compiler. With `POSTERN_BUILD_STD` in the environment it is built in any case.
///
/// # Errors
/// If no way works; the message names all that were tried.
pub(crate) fn ensure_target() -> Result<TargetStd> {
    let sysroot = sysroot()?;
    let builds = env::var_os(BUILD_STD).is_some();
    let is_installed = || !builds && has_target(&sysroot);
    if is_installed() {
        return Ok(TargetStd::Installed);
    }
    let in_toolchain = sysroot.join("lib/rustlib/src/rust/library");
    if in_toolchain.join("core").is_dir() {
        say(&format!("{TARGET} is built from the toolchain's Rust source"));
        return Ok(TargetStd::BuildStd { library: in_toolchain });
    }
    let version = rustc_version()?;
    let unpacked = cache::root()?.join(format!("rust-src-{version}"));
    if has_source(&unpacked) {
        return Ok(TargetStd::BuildStd { library: unpacked.join("library") });
    }
    let _lock = cache::lock("toolchain")?;
    let by_rustup = if builds {
        rustup(&["component", "add", "rust-src"], "the standard library's source")
    } else {
        rustup(&["target", "add", TARGET], "the standard library for bare-metal ARM")
    };
    if is_installed() {
        return Ok(TargetStd::Installed);
    }
    if in_toolchain.join("core").is_dir() {
        return Ok(TargetStd::BuildStd { library: in_toolchain });
    }
    if let Err(error) = &by_rustup {
        say(&format!("rustup could not: {}", first_lines(&format!("{error:#}"))));
    }
    if !has_source(&unpacked)
        && let Err(error) = fetch_source(&version, &unpacked)
    {
        let first = by_rustup.err().map_or_else(String::new, |error| format!("{error:#}\n"));
        bail!(
            "no standard library for {TARGET}, and two ways to provide it failed.\n\
             First, rustup:\n{first}\
             Second, building it from the Debian package of Rust {version}'s source:\n{error:#}\n\
             Either `rustup target add {TARGET}` or `rustup component add rust-src` will do."
        );
    }
    Ok(TargetStd::BuildStd { library: unpacked.join("library") })
}

/// Provides `cargo fmt` and `cargo clippy`.
///
/// # Errors
/// If one is missing and rustup cannot install it.
pub(crate) fn ensure_lint_tools() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let works = || exec::output(cargo().args([subcommand, "--version"]), ASK_LIMIT, "").is_ok();
        if !works() {
            let _lock = cache::lock("toolchain")?;
            rustup(&["component", "add", component], "the format and lint checks")?;
            if !works() {
                bail!("`cargo {subcommand}` does not run though rustup installed {component}");
            }
        }
    }
    Ok(())
}

/// Provides llvm-cov and llvm-profdata of the compiler's own version; the folder they are in.
///
/// # Errors
/// If they are missing and rustup cannot install them.
pub(crate) fn ensure_coverage_tools() -> Result<PathBuf> {
    let folder = sysroot()?.join("lib/rustlib").join(super::host_triple()?).join("bin");
    let is_there = || ["llvm-cov", "llvm-profdata"].iter().all(|tool| folder.join(tool).is_file());
    if !is_there() {
        let _lock = cache::lock("toolchain")?;
        rustup(&["component", "add", "llvm-tools"], "counting the lines that tests run")?;
        if !is_there() {
            bail!("rustup installed llvm-tools, but {} has no llvm-cov", folder.display());
        }
    }
    Ok(folder)
}

fn has_target(sysroot: &Path) -> bool {
    let dir = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    fs::read_dir(dir).is_ok_and(|items| {
        items.flatten().any(|item| item.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// The marker file is written last, so an unpacking that was cut short does not count.
fn has_source(unpacked: &Path) -> bool {
    unpacked.join("complete").is_file()
}

/// Brings `library` of the Rust source to `unpacked`.
fn fetch_source(version: &str, unpacked: &Path) -> Result<()> {
    say(&format!("fetching the source of Rust {version}'s standard library from Debian"));
    let apt = Apt::open()?;
    let package = apt.newest("rust-src", |found| {
        found.strip_prefix(version).is_some_and(|rest| rest.starts_with(['+', '-', '~']))
    })?;
    let deb = apt.download(&package)?;
    let fresh = unpacked.with_extension("new");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    // Everything but the library (the compiler itself, vendored crates) would be 300 MB.
    let mut unpack = Command::new("sh");
    unpack.args([
        "-c",
        "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --strip-components=4 --wildcards \
         './usr/src/rustc-*/library/*'",
        "sh",
    ]);
    unpack.arg(&deb).arg(&fresh);
    exec::output(&mut unpack, UNPACK_LIMIT, "free some disk space, or set POSTERN_CACHE")?;
    if !fresh.join("library/core").is_dir() {
        bail!("{} holds no library/core", deb.display());
    }
    fs::write(fresh.join("complete"), format!("{}\n", package.version))?;
    // 45 MB that nobody will ask for again.
    let _ = fs::remove_file(deb);
    let _ = fs::remove_dir_all(unpacked);
    fs::rename(&fresh, unpacked).with_context(|| format!("cannot create {}", unpacked.display()))
}

fn rustup(args: &[&str], what: &str) -> Result<()> {
    let shown = format!("rustup {}", args.join(" "));
    if exec::on_path("rustup").is_none() {
        bail!(
            "tried: {shown}\ncame back: there is no rustup on PATH\nto do: install {what} by hand"
        );
    }
    say(&format!("{shown}: {what}"));
    let mut command = Command::new("rustup");
    // The workspace's own rust-toolchain.toml picks the toolchain.
    command.current_dir(crate::workspace::root()).args(args);
    exec::output(&mut command, RUSTUP_LIMIT, "check the network and try again").map(|_| ())
}

fn cargo() -> Command {
    let mut command = Command::new(crate::workspace::cargo());
    command.current_dir(crate::workspace::root());
    command
}

fn rustc() -> Command {
    let mut command = Command::new("rustc");
    command.current_dir(crate::workspace::root());
    command
}

pub(super) const NO_RUSTC: &str = "install Rust by rustup; rust-toolchain.toml names the version";

pub(super) fn sysroot() -> Result<PathBuf> {
    let path = exec::output(rustc().args(["--print", "sysroot"]), ASK_LIMIT, NO_RUSTC)?;
    Ok(PathBuf::from(path.trim()))
}

fn rustc_version() -> Result<String> {
    let banner = exec::output(rustc().arg("--version"), ASK_LIMIT, NO_RUSTC)?;
    parse_rustc_version(&banner)
        .map(str::to_owned)
        .with_context(|| format!("`rustc --version` says `{}`", banner.trim()))
}

/// `1.95.0` of `rustc 1.95.0 (59807616e 2026-04-14)`.
fn parse_rustc_version(banner: &str) -> Option<&str> {
    let version = banner.strip_prefix("rustc ")?.split_whitespace().next()?;
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
}

/// Enough of a long report for a progress line.
fn first_lines(text: &str) -> String {
    text.lines().take(3).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustc_banners() {
        assert_eq!(parse_rustc_version("rustc 1.95.0 (59807616e 2026-04-14)\n"), Some("1.95.0"));
        assert_eq!(parse_rustc_version("error: no override"), None);
    }

    #[test]
    fn an_installed_target_changes_nothing() {
        let mut command = Command::new("cargo");
        command.arg("build");
        TargetStd::Installed.configure(&mut command);
        assert_eq!(exec::command_line(&command), "cargo build");
    }

    #[test]
    fn a_built_target_reaches_the_cargo_command() {
        let mut command = Command::new("cargo");
        TargetStd::BuildStd { library: PathBuf::from("/src/library") }.configure(&mut command);
        let line = exec::command_line(&command);
        for part in
            ["RUSTC_BOOTSTRAP=1", "__CARGO_TESTS_ONLY_SRC_ROOT=/src/library", "-Zbuild-std=core"]
        {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
    }
}
