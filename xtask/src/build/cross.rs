//! Cargo runs for the bare-metal target.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, bail};

use super::link;
use crate::{setup, workspace};

/// How cargo optimizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// What ships and what is tested.
    Release,
    /// Guests.
    Guest,
    /// The hypervisor with the ghost check.
    Ghost,
    /// The same with faults that a test injects.
    Inject,
}

impl Profile {
    fn folder(self) -> &'static str {
        match self {
            Self::Release | Self::Inject => "release",
            Self::Guest => "guest",
            Self::Ghost => "ghost",
        }
    }
}

/// What the compiler is told about all that the EL2 image and the EFI program are built from.
///
/// A multiply-accumulate does not stand behind a load or store, where Cortex-A53 computes a wrong sum (erratum
/// 835769): a feature that rustc passes on to LLVM and warns of at each crate, and `core` is not built with it
/// where it comes compiled, so the finished code is looked through (`sequences.rs`). Whatever else there
/// would be to warn of, `cargo clippy` says.
const ERRATA_FLAGS: [&str; 2] = ["-Ctarget-feature=+fix-cortex-a53-835769", "-Awarnings"];

/// What the compiler is told about the EL2 image alone.
const IMAGE_FLAGS: [&str; 3] = [
    // With opt-level z, pieces that functions have in common become functions of their own: on the ways of
    // traps, too, which then take longer.
    "-Cllvm-args=-enable-machine-outliner=never",
    // As large as a call and what it takes to get there, tried out. For opt-level z it would be 5.
    "-Cllvm-args=-inline-threshold=25",
    // A comparison is smaller than two or three entries.
    "-Cllvm-args=-aarch64-min-jump-table-entries=10",
];

/// What the compiler is told about the image that users run: its addresses are less than 1 MiB apart, so that one
/// instruction makes one, where two do otherwise. If it grows too large for that, the linker says so. Images for
/// tests are too large.
const SMALL_FLAG: &str = "-Ccode-model=tiny";

/// What the compiler is told about the EFI program alone: the same of addresses and of tables.
const EFI_FLAGS: [&str; 2] =
    ["-Ccode-model=tiny", "-Cllvm-args=-aarch64-min-jump-table-entries=10"];

/// What the compiler is told about guests and all that they are built from: a recorded run shows who
/// called what traps by the frames of the guest.
const GUEST_FLAGS: [&str; 1] = ["-Cforce-frame-pointers=yes"];

/// A cargo command with everything that the bare-metal target needs on this machine; `verb` is
/// `rustc` or `clippy`.
///
/// # Errors
///
/// The target's standard library is missing and cannot be provided.
pub fn cargo(verb: &str) -> Result<Command> {
    // What cannot be written is found before minutes of compiling.
    workspace::output_dir()?;
    let library = setup::ensure_target()?;
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args([verb, "--target", workspace::BARE_METAL]);
    library.configure(&mut command);
    if let Some(flags) = names_without_machine(&crate_folders()) {
        command.args(["--config", &flags]);
    }
    // The user's flags are meant for the host, and would replace those for the target.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    // The console of a guest is on our standard input: no tool may eat from it.
    command.stdin(Stdio::null());
    Ok(command)
}

/// Folders in which cargo unpacks crates, one for each registry.
fn crate_folders() -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let sources = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok());
    let mut folders: Vec<_> =
        sources.into_iter().flatten().flatten().map(|folder| folder.path()).collect();
    folders.sort();
    folders
}

/// Cargo's configuration by which crates in `folders` are named without the folder: what EL2 says when
/// it panics, and so the image, does not depend on where it was built.
fn names_without_machine(folders: &[PathBuf]) -> Option<String> {
    let flags: Vec<_> = folders
        .iter()
        .filter_map(|folder| Some(format!("--remap-path-prefix={}=", folder.to_str()?)))
        .collect();
    (!flags.is_empty()).then(|| target_flags(&flags))
}

/// Cargo's configuration that gives the compiler `flags`, besides others, for the bare-metal target.
fn target_flags<T: AsRef<str>>(flags: &[T]) -> String {
    let quoted = |flag: &T| toml::Value::from(flag.as_ref()).to_string();
    let flags: Vec<_> = flags.iter().map(quoted).collect();
    format!("target.{}.rustflags=[{}]", workspace::BARE_METAL, flags.join(", "))
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
        Profile::Guest => {
            command.args(["--profile", "guest"]).args(["--config", &target_flags(&GUEST_FLAGS)])
        }
        Profile::Ghost => command.args(["--profile", "ghost", "--features", "ghost"]),
        Profile::Inject => command.args(["--release", "--features", "inject"]),
    };
    if package.starts_with("hyp") {
        command.args(["--config", &target_flags(&ERRATA_FLAGS)]);
    }
    if package == "hyp" && profile != Profile::Ghost {
        command.arg("--").args(IMAGE_FLAGS);
        if profile == Profile::Release {
            command.arg(SMALL_FLAG);
        }
        link::take_role(&mut command)?;
    }
    if package == "hyp-efi" {
        command.arg("--").args(EFI_FLAGS);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_crates_are_left_out_of_names() {
        assert_eq!(names_without_machine(&[]), None);
        let folders = [PathBuf::from("/a b/src/one"), PathBuf::from("/c/\"two")];
        let text = names_without_machine(&folders).unwrap();
        let parsed: toml::Table = toml::from_str(&text).unwrap();
        let flags = &parsed["target"][workspace::BARE_METAL]["rustflags"];
        let expected = ["--remap-path-prefix=/a b/src/one=", "--remap-path-prefix=/c/\"two="];
        assert_eq!(flags, &toml::Value::from(expected.to_vec()));
    }
}
