//! Cargo runs for the bare-metal target.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::link;
use crate::{setup, workspace};

/// How cargo optimizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// What ships and what is tested.
    Release,
    /// The hypervisor with the ghost check.
    Ghost,
    /// The same with faults that a test injects.
    Inject,
}

impl Profile {
    fn folder(self) -> &'static str {
        match self {
            Self::Release | Self::Inject => "release",
            Self::Ghost => "ghost",
        }
    }
}

/// What the compiler is told about the EL2 image alone: from one end to the other it is less than 1 MiB, so
/// that one instruction makes an address, where two do otherwise. If it grows too large for that, the linker
/// says so. The image with the ghost check is.
const IMAGE_FLAGS: [&str; 1] = ["-Ccode-model=tiny"];

/// A cargo command with everything that the bare-metal target needs on this machine; `verb` is
/// `rustc` or `clippy`.
///
/// # Errors
///
/// The target's standard library is missing and cannot be provided.
pub fn cargo(verb: &str) -> Result<Command> {
    let library = setup::ensure_target()?;
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args([verb, "--target", workspace::BARE_METAL]);
    library.configure(&mut command);
    // The user's flags are meant for the host, and would replace those that the checkout's
    // configuration has for the target.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    // The console of a guest is on our standard input: no tool may eat from it.
    command.stdin(Stdio::null());
    Ok(command)
}

/// Builds program `bin` of `package`; the answer is its ELF file.
///
/// # Errors
///
/// Cargo cannot be started or the build fails; the compiler's own words are on standard error.
pub fn build(package: &str, bin: &str, profile: Profile) -> Result<PathBuf> {
    product(package, &["--bin", bin], bin, profile)
}

/// Builds static library `name` of `package`; the answer is its archive.
///
/// # Errors
///
/// As [`build`].
pub fn static_library(package: &str, name: &str, profile: Profile) -> Result<PathBuf> {
    product(package, &["--lib"], &format!("lib{name}.a"), profile)
}

fn product(package: &str, what: &[&str], file: &str, profile: Profile) -> Result<PathBuf> {
    let mut command = cargo("rustc")?;
    command.args(["--package", package]).args(what);
    match profile {
        Profile::Release => command.arg("--release"),
        Profile::Ghost => command.args(["--profile", "ghost", "--features", "ghost"]),
        Profile::Inject => command.args(["--release", "--features", "inject"]),
    };
    if package == "hyp" && profile != Profile::Ghost {
        command.arg("--").args(IMAGE_FLAGS);
        link::take_role(&mut command)?;
    }
    let status = command.status().with_context(|| format!("could not start {command:?}"))?;
    if !status.success() {
        bail!("building `{package}` failed ({status}); the compiler's messages are above");
    }
    let folder = workspace::target_dir().join(workspace::BARE_METAL).join(profile.folder());
    let built = folder.join(file);
    if !built.is_file() {
        bail!("cargo built `{package}` but {} is not there", built.display());
    }
    Ok(built)
}
