//! Mainline Linux with the pKVM guest driver, built from Debian's kernel source package with the
//! configuration in `tests/linux`. No prebuilt Debian kernel has that driver.
//!
//! Kept per version and configuration; the source tree (1.8 GB) is deleted after the build.

mod config;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::kernel::{Kernel, keep};
use crate::setup::apt::{Apt, Package};
use crate::setup::{cache, ensure_cross_gcc, exec, say};

/// Everything that the guest is built from beside the source; allnoconfig is the base.
const FRAGMENT: &str = include_str!("../../../tests/linux/pkvm-guest.config");

/// The symbol without which the kernel is of no use here.
const ESSENTIAL: &str = "CONFIG_ARM_PKVM_GUEST";

/// The series to prefer, best first: those that the configuration has been checked with. Should
/// the archive drop them all, the newest that it has is taken.
pub(super) const NEWEST: &[&str] = &["7.3", "7.2", "6.12"];

/// Only the long-term series with the older generation of the driver.
pub(super) const OLDEST: &[&str] = &["6.12"];

/// Unpacking the source takes 15 s on an idle machine.
const UNPACK_LIMIT: Duration = Duration::from_secs(600);

/// Configuring takes 10 s.
const CONFIG_LIMIT: Duration = Duration::from_secs(600);

/// The build takes about nine CPU minutes, but a busy machine may give it few of its own. This only
/// catches one that hangs.
const BUILD_LIMIT: Duration = Duration::from_secs(2 * 3600);

/// What is kept of a build beside the `Image` and the configuration: `vmlinux` for debuggers.
const KEPT: [&str; 2] = ["System.map", "vmlinux"];

/// How often the build says how far it is.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Steps that make reports in a build of this configuration, for a rough percentage (counted
/// with 7.3.4).
const STEPS: u64 = 1_690;

/// A kernel of the first of `series` that can be had, built if the cache has none.
///
/// # Errors
/// If something has to be fetched or built and that fails.
pub(super) fn ensure(series: &[&str]) -> Result<Kernel> {
    let guests = cache::root()?.join("guests");
    let digest = cache::sha256(format!("{FRAGMENT}{}", KEPT.join(" ")).as_bytes());
    let digest = digest.get(..12).unwrap_or(&digest);
    if let Some(kernel) = cached(&guests, series, digest) {
        return Ok(kernel);
    }
    let _lock = cache::lock("guest-linux")?;
    // Whoever held the lock may have built it.
    if let Some(kernel) = cached(&guests, series, digest) {
        return Ok(kernel);
    }
    // First what is cheap to fail.
    ensure_cross_gcc()?;
    let (package, deb) = source(series)?;
    let dir = guests.join(format!("linux-{}-{digest}", package.version));
    cache::entry(&dir, |new| build(&package, &deb, new))?;
    cached(&guests, series, digest).context("the kernel just built is not in the cache")
}

/// The entry of the earliest possible one of `series` with this configuration.
fn cached(guests: &Path, series: &[&str], digest: &str) -> Option<Kernel> {
    let names: Vec<String> = fs::read_dir(guests)
        .ok()?
        .flatten()
        .map(|item| item.file_name().to_string_lossy().into_owned())
        .collect();
    series.iter().find_map(|series| {
        let name = pick(&names, series, digest)?;
        let dir = guests.join(name);
        if !cache::is_sound(&dir) {
            return None;
        }
        let version = name.strip_prefix("linux-")?.strip_suffix(digest)?.strip_suffix('-')?;
        Some(Kernel {
            version: format!("Linux {version}, configured as a pKVM guest"),
            image: dir.join("Image"),
            symbols: Some(dir.join("System.map")),
            vmlinux: Some(dir.join("vmlinux")),
        })
    })
}

/// The directory name for a version of `series` (`7.3`) built with the configuration `digest`.
fn pick<'a>(names: &'a [String], series: &str, digest: &str) -> Option<&'a str> {
    names.iter().map(String::as_str).find(|name| {
        name.strip_prefix("linux-")
            .and_then(|rest| rest.strip_prefix(series))
            .is_some_and(|rest| rest.starts_with(['.', '-', '~']) && rest.ends_with(digest))
            && name.strip_suffix(digest).is_some_and(|rest| rest.ends_with('-'))
    })
}

/// Fetches the source package of the first of `series` that the archive has.
fn source(series: &[&str]) -> Result<(Package, PathBuf)> {
    let apt = Apt::open()?;
    let mut names: Vec<String> = series.iter().map(|one| format!("linux-source-{one}")).collect();
    if series != OLDEST {
        names.extend(newest_first(apt.names("^linux-source-[0-9]+\\.[0-9]+$")?));
    }
    for name in &names {
        if let Ok(package) = apt.newest(name, |_| true) {
            let deb = apt.download(&package)?;
            return Ok((package, deb));
        }
    }
    bail!("the archive has none of {}; check the network and try again", names.join(", "))
}

/// Sorts `linux-source-X.Y` by number; what has no such number is dropped.
fn newest_first(names: Vec<String>) -> Vec<String> {
    let mut numbered: Vec<((u32, u32), String)> = names
        .into_iter()
        .filter_map(|name| {
            let (major, minor) = name.strip_prefix("linux-source-")?.split_once('.')?;
            Some(((major.parse().ok()?, minor.parse().ok()?), name))
        })
        .collect();
    numbered.sort_unstable_by(|a, b| b.cmp(a));
    numbered.into_iter().map(|(_, name)| name).collect()
}

/// Fills the cache entry `new` from the source package file `deb`.
fn build(package: &Package, deb: &Path, new: &Path) -> Result<()> {
    let work = work_folder(new, &std::env::temp_dir())?;
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let built = build_in(&work, package, deb, new);
    // Gigabytes, of no use to anybody either way.
    let _ = fs::remove_dir_all(&work);
    built
}

/// Where the entry `new` is built: beside it, or below `elsewhere` if the kernel's build could not bear
/// that path ("source directory cannot contain spaces or colons", its Makefile says).
fn work_folder(new: &Path, elsewhere: &Path) -> Result<PathBuf> {
    let can_bear =
        |path: &Path| !path.to_string_lossy().contains(|c: char| c.is_whitespace() || c == ':');
    let beside = new.with_extension("work");
    if can_bear(&beside) {
        return Ok(beside);
    }
    let name = format!("postern-linux-{}.work", std::process::id());
    let away = elsewhere.join(name);
    if !can_bear(&away) {
        bail!(
            "Linux cannot be built in {} nor in {}, which have blanks or colons in their paths: set \
             POSTERN_CACHE or TMPDIR to another folder",
            beside.display(),
            elsewhere.display()
        );
    }
    Ok(away)
}

fn build_in(work: &Path, package: &Package, deb: &Path, new: &Path) -> Result<()> {
    say(&format!("unpacking the source of Linux {}", package.version));
    let mut unpack = Command::new("sh");
    unpack.args([
        "-ec",
        "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --wildcards './usr/src/linux-source-*.xz'\n\
         mkdir \"$2/source\" \"$2/out\"\n\
         tar -x -J -f \"$2\"/usr/src/linux-source-*.tar.xz -C \"$2/source\" --strip-components=1",
        "sh",
    ]);
    unpack.arg(deb).arg(work);
    let space = "free 3 GB of disk space, or set POSTERN_CACHE to a larger disk";
    exec::output(&mut unpack, UNPACK_LIMIT, space)?;

    let fragment = work.join("pkvm-guest.config");
    fs::write(&fragment, FRAGMENT).context("writing the configuration")?;
    let mut configure = make(work);
    configure.arg("allnoconfig").env("KCONFIG_ALLCONFIG", &fragment);
    exec::output(&mut configure, CONFIG_LIMIT, "see the messages of kconfig above")?;
    let got = work.join("out/.config");
    let got = fs::read_to_string(&got).with_context(|| format!("reading {}", got.display()))?;
    report_missing(&package.version, &got)?;

    say(&format!(
        "building Linux {} for the guest: about nine CPU minutes, once for this configuration",
        package.version
    ));
    compile(work)?;
    keep(&work.join("out/arch/arm64/boot/Image"), new)?;
    for name in KEPT {
        let from = work.join("out").join(name);
        fs::copy(&from, new.join(name)).with_context(|| format!("keeping {}", from.display()))?;
    }
    fs::write(new.join("config"), got).context("keeping the configuration")
}

/// Compares the configuration that was asked for with the one that came out.
fn report_missing(version: &str, got: &str) -> Result<()> {
    let missing = config::missing(FRAGMENT, got);
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("Linux {version} does not have, or refused: {}", missing.join(", ")));
    if missing.iter().any(|symbol| symbol == ESSENTIAL) {
        bail!(
            "Linux {version} cannot be configured with {ESSENTIAL}; see what it depends on in \
             drivers/virt and add that to tests/linux/pkvm-guest.config"
        );
    }
    Ok(())
}

fn compile(work: &Path) -> Result<()> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut command = make(work);
    command.arg(format!("-j{jobs}")).arg("Image");
    let shown = exec::command_line(&command);
    let steps = std::cell::Cell::new(0_u64);
    let mut next = HEARTBEAT;
    let finished = exec::run(
        &mut command,
        BUILD_LIMIT,
        |line| {
            if config::is_step(line) {
                steps.set(steps.get().saturating_add(1));
            }
        },
        |elapsed| {
            if elapsed >= next {
                next = elapsed.saturating_add(HEARTBEAT);
                let percent = steps.get().saturating_mul(100).checked_div(STEPS).unwrap_or(0);
                say(&format!("Linux: about {} %, {} s so far", percent.min(99), elapsed.as_secs()));
            }
        },
    )?;
    exec::check(&shown, &finished, "see the compiler's messages above")
}

fn make(work: &Path) -> Command {
    let mut command = Command::new("make");
    command.arg("-C").arg(work.join("source")).arg(format!("O={}", work.join("out").display()));
    command.args(["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"]);
    // The same input gives the same kernel, wherever and whenever it is built.
    command.env("KBUILD_BUILD_USER", "postern").env("KBUILD_BUILD_HOST", "postern");
    command.env("KBUILD_BUILD_TIMESTAMP", "1970-01-01 00:00:00 UTC");
    // Under `cargo xtask` nothing of an outer make may leak in.
    command.env_remove("MAKEFLAGS").env_remove("MFLAGS").env("LC_ALL", "C");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragment_asks_for_the_driver_and_what_it_depends_on() {
        for symbol in [ESSENTIAL, "CONFIG_DMA_RESTRICTED_POOL", "CONFIG_SERIAL_AMBA_PL011_CONSOLE"]
        {
            let line = format!("{symbol}=y");
            assert!(FRAGMENT.lines().any(|one| one == line), "{line} is missing");
        }
    }

    #[test]
    fn the_kernel_is_built_where_its_makefile_can() {
        let folder = |new: &str, elsewhere: &str| work_folder(Path::new(new), Path::new(elsewhere));
        let sound = folder("/cache/guests/linux-7.3.new", "/tmp").unwrap();
        assert_eq!(sound, Path::new("/cache/guests/linux-7.3.work"));
        for odd in ["/my cache/linux-7.3.new", "/a:b/linux-7.3.new"] {
            let away = folder(odd, "/tmp").unwrap();
            assert_eq!(away.parent(), Some(Path::new("/tmp")), "{odd}");
            let error = folder(odd, "/my tmp").unwrap_err().to_string();
            assert!(error.contains("POSTERN_CACHE") && error.contains("TMPDIR"), "{error}");
        }
    }

    #[test]
    fn series_are_sorted_by_number_not_by_letter() {
        let names = ["linux-source-6.1", "linux-source-7.3", "linux-source-6.12", "linux-source"];
        assert_eq!(
            newest_first(names.map(str::to_owned).to_vec()),
            ["linux-source-7.3", "linux-source-6.12", "linux-source-6.1"]
        );
    }

    #[test]
    fn an_entry_must_match_series_and_configuration() {
        let names = [
            "initramfs-0123456789ab",
            "linux-6.12.95-1~bpo12+1-0123456789ab",
            "linux-7.3.4-1~bpo13+1-ffffffffffff",
            "linux-7.3.4-1~bpo13+1-0123456789ab.new",
            "linux-7.3.4-1~bpo13+1-0123456789ab",
        ]
        .map(str::to_owned);
        let digest = "0123456789ab";
        assert_eq!(pick(&names, "7.3", digest), Some("linux-7.3.4-1~bpo13+1-0123456789ab"));
        assert_eq!(pick(&names, "6.12", digest), Some("linux-6.12.95-1~bpo12+1-0123456789ab"));
        // 6.1 is not the beginning of 6.12.
        assert_eq!(pick(&names, "6.1", digest), None);
        assert_eq!(pick(&names, "7.2", digest), None);
    }
}
