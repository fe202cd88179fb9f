//! The guests' first file system: a static busybox, our init script and a debugger's test, nothing else.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

use super::cpio::Archive;
use crate::setup::apt::{Apt, compare_versions};
use crate::setup::{cache, ensure_c_tools, exec, say};

/// What the guest runs first; it makes its own mounts and reports on the console.
const INIT: &str = include_str!("../../../tests/linux/init.sh");

/// What `gtest=debug` runs, in C.
const DEBUG: &str = include_str!("../../../tests/linux/debug.c");

/// What compiles it.
const COMPILER: &str = "aarch64-linux-gnu-gcc";
/// Flags for a program that has nothing but Linux's system calls.
const FREESTANDING: &[&str] = &[
    "-std=gnu11",
    "-Os",
    "-ffreestanding",
    "-fno-pic",
    "-fno-stack-protector",
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none",
];

/// The file in the cache entry.
const FILE: &str = "initramfs.cpio.gz";

/// Compiling one file.
const COMPILE_LIMIT: Duration = Duration::from_secs(60);

/// Unpacking two megabytes.
const UNPACK_LIMIT: Duration = Duration::from_secs(60);

/// The initramfs, made if the cache has none with this init script and this program.
///
/// # Errors
/// If busybox or a C compiler cannot be fetched or the cache not be written.
pub(super) fn ensure() -> Result<PathBuf> {
    let guests = cache::root()?.join("guests");
    let digest = cache::sha256([INIT, DEBUG].concat().as_bytes());
    let dir = guests.join(format!("initramfs-{}", digest.get(..12).unwrap_or(&digest)));
    let _lock = cache::lock("initramfs")?;
    cache::entry(&dir, |new| {
        let busybox = busybox(&cache::root()?.join("guests"))?;
        say("packing the guests' initramfs");
        let packed = pack(&busybox, &compiled(new)?, INIT)?;
        fs::write(new.join(FILE), packed).context("writing the initramfs")
    })?;
    Ok(dir.join(FILE))
}

/// The bytes of Debian's static arm64 busybox. Kept on its own, so that a changed init script
/// needs no network.
fn busybox(guests: &Path) -> Result<Vec<u8>> {
    let dir = guests.join("busybox");
    cache::entry(&dir, |new| {
        let apt = Apt::open()?;
        // The oldest release's: every kernel here can run it.
        let package = apt.newest("busybox-static:arm64", |version| {
            compare_versions(version, "1:1.36").is_ok_and(std::cmp::Ordering::is_lt)
        });
        let package = package.or_else(|_| apt.newest("busybox-static:arm64", |_| true))?;
        let deb = apt.download(&package)?;
        let unpacked = new.join("unpacked");
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(&deb).arg(&unpacked);
        exec::output(&mut unpack, UNPACK_LIMIT, "free some disk space, or set POSTERN_CACHE")?;
        // /bin in Debian 12, /usr/bin later.
        let program = ["bin/busybox", "usr/bin/busybox"]
            .iter()
            .map(|path| unpacked.join(path))
            .find(|path| path.is_file())
            .with_context(|| format!("{} holds no busybox", deb.display()))?;
        fs::copy(program, new.join("busybox")).context("copying busybox")?;
        fs::remove_dir_all(&unpacked).context("clearing up after unpacking busybox")
    })?;
    fs::read(dir.join("busybox")).context("reading busybox")
}

/// [`DEBUG`] as a program; what comes up on the way is left in the folder `scratch`.
fn compiled(scratch: &Path) -> Result<Vec<u8>> {
    let (source, program) = (scratch.join("debug.c"), scratch.join("debug"));
    fs::write(&source, DEBUG).context("writing the guests' program")?;
    ensure_c_tools()?;
    let mut compile = Command::new(COMPILER);
    compile.args(FREESTANDING).arg(&source).arg("-o").arg(&program);
    exec::output(&mut compile, COMPILE_LIMIT, "correct tests/linux/debug.c")?;
    fs::read(program).context("reading the guests' program")
}

/// The compressed archive. The same input gives the same bytes: no times, no owners.
fn pack(busybox: &[u8], debug: &[u8], init: &str) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    // Device nodes are not needed: the kernel's built-in archive has /dev/console.
    for directory in ["bin", "sbin"] {
        archive.directory(directory)?;
    }
    archive.program("bin/busybox", busybox)?;
    archive.program("bin/debug", debug)?;
    archive.program("init", init.as_bytes())?;
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(&archive.finish()?)?;
    gzip.finish().context("compressing the initramfs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_reproducible() {
        let first = pack(b"program", b"other", "#!/bin/sh\n").unwrap();
        assert_eq!(first, pack(b"program", b"other", "#!/bin/sh\n").unwrap());
        // RFC 1952: magic, deflate, and the time stamp zero.
        assert_eq!(first.get(..3), Some([0x1f, 0x8b, 8].as_slice()));
        assert_eq!(first.get(4..8), Some([0; 4].as_slice()));
    }

    #[test]
    fn the_init_script_starts_with_busybox() {
        assert!(INIT.starts_with("#!/bin/busybox sh\n"));
    }
}
