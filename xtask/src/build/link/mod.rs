//! This program as the linker of the EL2 image.
//!
//! What only boot needs is taken out of EL2's map before the first guest runs. Which sections of the
//! compiled program that is follows from what refers to what, and is only known once all is compiled.
//! So rustc is told that the linker is this program, which reads the objects, writes for
//! `linker/hyp.ld` what stays, and has rust-lld do the rest.

mod graph;
mod split;
mod strings;

#[cfg(test)]
mod strings_tests;
#[cfg(test)]
mod tests;

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use graph::Graph;
pub use graph::UNWINDING;
use split::Split;
use strings::Owner;

/// Set in the environment of a cargo that is to link so.
const ROLE: &str = "POSTERN_LINKS_IMAGE";
/// The names that `linker/hyp.ld` includes.
const RESIDENT_CODE: &str = "resident-code.ld";
const BOOT_CONSTANTS: &str = "boot-constants.ld";

/// Makes the `cargo rustc` that `command` is, with arguments for rustc, use this program as its linker.
///
/// # Errors
///
/// It is not known where this program is.
pub fn take_role(command: &mut Command) -> Result<()> {
    let own = on_disk(env::current_exe().context("where is this program?")?)?;
    let mut linker = OsString::from("-Clinker=");
    linker.push(own);
    command.env(ROLE, "1").arg(linker);
    Ok(())
}

/// The file that now is where this program's was when it was started: tests build it anew while it runs,
/// and Linux then says of the old one that it was deleted (`proc(5)`, `/proc/pid/exe`).
fn on_disk(own: PathBuf) -> Result<PathBuf> {
    let before = own.to_str().and_then(|own| own.strip_suffix(" (deleted)")).map(PathBuf::from);
    let own = if own.is_file() { own } else { before.unwrap_or(own) };
    ensure!(own.is_file(), "{} is gone: start the command again", own.display());
    Ok(own)
}

/// Whether this program was started as the linker.
pub fn has_role() -> bool {
    env::var_os(ROLE).is_some()
}

/// Links; the program's arguments are those for rust-lld.
///
/// # Errors
///
/// An object cannot be read, or is not the hypervisor, or rust-lld fails.
pub fn link() -> Result<u8> {
    let mut arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let mut names: Vec<_> = arguments
        .iter_mut()
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "o"))
        .collect();
    let mut objects: Vec<_> = names
        .iter()
        .map(|name| fs::read(name).with_context(|| format!("{}", name.display())))
        .collect::<Result<_>>()?;
    let graph = Graph::of(&objects)?;
    let split = Split::of(&graph)?;
    let own = tempfile::tempdir()?;
    fs::write(own.path().join(RESIDENT_CODE), statements(&split.resident_code)?)?;
    fs::write(own.path().join(BOOT_CONSTANTS), statements(&split.boot_constants)?)?;
    for (number, (object, name)) in objects.iter_mut().zip(&mut names).enumerate() {
        let owner = |index| match graph.places.get(&(number, index)) {
            None => Owner::Nobody,
            Some(place) if split.stays[*place] => Owner::Resident,
            Some(_) => Owner::Boot,
        };
        strings::move_boots(object, owner)?;
        **name = own.path().join(format!("{number}.o")).into();
        fs::write(&*name, object)?;
    }
    // The first folder counts, and the build script has named one with what is right without us.
    let (flavor, rest) = arguments.split_at_checked(2).context("rustc gives no arguments")?;
    ensure!(flavor[0] == "-flavor", "rustc does not mean rust-lld: {flavor:?}");
    // rustc has put the folder where it is into PATH.
    let status =
        Command::new("rust-lld").args(flavor).arg("-L").arg(own.path()).args(rest).status();
    let status = status.context("could not start rust-lld, which comes with rustc")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Statements of a linker script for the input sections of these names.
fn statements(names: &[&str]) -> Result<String> {
    let mut text = String::new();
    for name in names {
        writeln!(text, "*(\"{name}\")")?;
    }
    Ok(text)
}
