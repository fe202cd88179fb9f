//! Makes the machine able to build, run and test: `cargo xtask setup`, and the `ensure_…`
//! functions that every other command calls for exactly what it lacks.
//!
//! Each function first looks at what is there and does nothing when that suffices, so that a
//! complete machine needs neither network nor administrator rights.

pub(crate) mod apt;
mod boards;
pub(crate) mod cache;
mod edk2;
mod emulators;
pub(crate) mod exec;
mod fuzzer;
mod host;
mod miri;
pub(crate) mod parts;
mod toolchain;
mod u_boot;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::workspace::BARE_METAL;
pub(crate) use boards::{ensure_all_trees, ensure_board_trees, has_board_trees};
pub(crate) use edk2::ensure_edk2;
pub(crate) use emulators::{Choice as QemuChoice, Emulator, FETCHED, Qemu};
pub(crate) use fuzzer::{ensure_fuzzer, host_triple};
use host::Need;
pub(crate) use miri::{NIGHTLY, ensure_miri};
pub(crate) use toolchain::{ensure_coverage_tools, ensure_lint_tools, ensure_target};
pub(crate) use u_boot::{ensure_u_boot, ensure_u_boot_rpi};

/// The program that emulates the machine.
const QEMU: &str = "qemu-system-aarch64";

/// Its Debian package.
const QEMU_PACKAGE_NAME: &str = "qemu-system-arm";

/// Where that program comes from.
const QEMU_PACKAGE: Need = Need::new(QEMU, QEMU_PACKAGE_NAME);

/// The oldest emulator that the scenarios are known to run on.
const OLDEST_QEMU: (u32, u32) = (7, 2);

/// The compiler of guests in C and of Linux.
const C_COMPILER: Need = Need::new("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu");

/// What builds guests in C.
const MAKE: Need = Need::new("make", "make");

/// What building mainline Linux takes beside the native compiler; each is found by its program.
const KERNEL_TOOLS: [Need; 8] = [
    C_COMPILER,
    Need::new("gcc", "gcc"),
    MAKE,
    Need::new("flex", "flex"),
    Need::new("bison", "bison"),
    Need::new("bc", "bc"),
    Need::new("perl", "perl"),
    Need::new("xz", "xz-utils"),
];

/// Tells the user what is being done; on standard error, because standard output may be a
/// guest's console.
pub(crate) fn say(what: &str) {
    eprintln!("[xtask] {what}");
}

/// Provides every program and compiler part that any command would ask for.
///
/// # Errors
/// The first thing that cannot be provided.
pub(crate) fn everything() -> Result<()> {
    // All packages in one go, so that who has to install them by hand learns all names at once.
    let packages: Vec<Need> = [QEMU_PACKAGE].into_iter().chain(KERNEL_TOOLS).collect();
    host::ensure(&packages, "to run the hypervisor and to build Linux for its guest")?;
    let std = ensure_target()?;
    say(&format!("bare-metal target: {std}"));
    ensure_lint_tools()?;
    say("format and lint checks: cargo fmt and cargo clippy are there");
    let qemu = ensure_qemu()?;
    say(&format!("emulator: {}", qemu.display()));
    ensure_cross_gcc()?;
    say("tools for building Linux: all there");
    say(&format!("U-Boot for QEMU: {}", ensure_u_boot()?.display()));
    say(&format!("EFI firmware for QEMU: {}", ensure_edk2()?.display()));
    Ok(())
}

/// Provides what boards take that the machine's own emulator does not know: newer ones, which lie
/// beside it, and the boards' device trees.
///
/// # Errors
/// If the trees or all newer emulators cannot be had.
pub(crate) fn for_boards() -> Result<()> {
    let trees = ensure_board_trees()?;
    say(&format!("board trees: {}", trees.display()));
    say(&format!("trees of all boards: {}", ensure_all_trees()?.display()));
    say(&format!("U-Boot for Raspberry Pi 4: {}", ensure_u_boot_rpi()?.display()));
    let mut reasons = Vec::new();
    for emulator in emulators::FETCHED {
        match emulator.ensure() {
            Ok(program) => {
                say(&format!("emulator {}: {}", emulator.name(), program.display()));
            }
            Err(error) => {
                let reason = format!("no emulator {}: {error:#}", emulator.name());
                say(&reason);
                reasons.push(reason);
            }
        }
    }
    if reasons.len() == emulators::FETCHED.len() {
        bail!("{}", reasons.join("\n"));
    }
    Ok(())
}

/// The emulator, installed when missing.
///
/// # Errors
/// If there is none and it cannot be installed, or if it is too old.
pub(crate) fn ensure_qemu() -> Result<PathBuf> {
    host::ensure(&[QEMU_PACKAGE], "to run and test the hypervisor")?;
    let Some(path) = exec::on_path(QEMU) else { bail!("{QEMU} is not on PATH after set-up") };
    let ((major, minor), _) = version_of(&path)?;
    if (major, minor) < OLDEST_QEMU {
        bail!(
            "{} is QEMU {major}.{minor}, but {}.{} or newer is needed: install a newer \
             qemu-system-arm or give one with --qemu",
            path.display(),
            OLDEST_QEMU.0,
            OLDEST_QEMU.1
        );
    }
    Ok(path)
}

/// Version of the emulator `program`: major and minor number, and the whole of it.
///
/// # Errors
/// It cannot be started, or it is no QEMU.
fn version_of(program: &Path) -> Result<((u32, u32), String)> {
    let banner = exec::output(
        Command::new(program).arg("--version"),
        Duration::from_secs(30),
        "install qemu-system-arm again, or give a working emulator with --qemu",
    )?;
    let Some((version, shown)) = qemu_version(&banner) else {
        bail!(
            "tried: {} --version\ncame back: {}\nto do: install qemu-system-arm or give a working \
             emulator with --qemu",
            program.display(),
            banner.trim()
        )
    };
    Ok((version, shown.to_owned()))
}

/// The C compiler for guests and make, installed when missing.
///
/// # Errors
/// If one is missing and cannot be installed.
pub(crate) fn ensure_c_tools() -> Result<()> {
    host::ensure(&[C_COMPILER, MAKE], "to build guests written in C")
}

/// What building a guest outside of this workspace takes, installed when missing.
///
/// # Errors
/// If something is missing and cannot be installed; or if the target's standard library is built from its
/// source here, which a guest from outside does not know how to ask for.
pub(crate) fn ensure_own_guest_tools() -> Result<()> {
    host::ensure(&[QEMU_PACKAGE, C_COMPILER, MAKE], "to build and run guests of your own")?;
    match ensure_target()? {
        toolchain::TargetStd::Installed => Ok(()),
        built @ toolchain::TargetStd::BuildStd { .. } => {
            bail!("`rustup target add {BARE_METAL}` is needed: {built}")
        }
    }
}

/// The cross compiler and all else that building Linux takes, installed when missing.
///
/// # Errors
/// If something is missing and cannot be installed.
pub(crate) fn ensure_cross_gcc() -> Result<()> {
    host::ensure(&KERNEL_TOOLS, "to build mainline Linux for the guest")
}

/// The version in what `qemu-system-aarch64 --version` prints: major and minor number, and the
/// whole of it.
fn qemu_version(banner: &str) -> Option<((u32, u32), &str)> {
    let (_, version) = banner.split_once("version ")?;
    let version = version.split_whitespace().next()?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    Some(((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?), version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn qemu_banners() {
        let debian = "QEMU emulator version 7.2.19 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright";
        assert_eq!(qemu_version(debian), Some(((7, 2), "7.2.19")));
        assert_eq!(qemu_version("QEMU emulator version 10.0.0-rc1"), Some(((10, 0), "10.0.0-rc1")));
        assert_eq!(qemu_version("no such thing"), None);
    }

    #[test]
    fn the_job_for_ci_is_not_root() {
        let document = workspace::root().join("docs/for-guest-authors.md");
        let text = std::fs::read_to_string(document).unwrap();
        let job = text.split("```yaml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let installs =
            format!("sudo apt-get install --yes --no-install-recommends {QEMU_PACKAGE_NAME}\n");
        assert!(job.contains(&installs), "{job}");
        // It wants tools for building Linux, too.
        assert!(!job.contains("xtask setup"), "{job}");
    }

    #[test]
    fn versions_compare_by_number() {
        assert!((10, 0) >= OLDEST_QEMU);
        assert!((7, 1) < OLDEST_QEMU);
    }
}
