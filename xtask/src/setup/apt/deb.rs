//! Package files, and their versions.

use std::cmp::Ordering;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::setup::exec;

/// Unpacking 100 MB.
const UNPACK_LIMIT: Duration = Duration::from_secs(120);

/// Unpacks what matches `pattern`, a shell pattern that begins with `./`, of the package file `deb`
/// into the new folder `into`.
///
/// # Errors
/// If the package is damaged, has no such file, or the disk is full.
pub(crate) fn unpack(deb: &Path, pattern: &str, into: &Path) -> Result<()> {
    fs::create_dir_all(into).with_context(|| format!("cannot create {}", into.display()))?;
    let mut unpack = Command::new("sh");
    unpack.args([
        "-c",
        "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --wildcards \"$3\"",
        "sh",
    ]);
    unpack.arg(deb).arg(into).arg(pattern);
    exec::output(&mut unpack, UNPACK_LIMIT, "free some disk space, or set POSTERN_CACHE")?;
    Ok(())
}

/// Debian's rules for comparing versions are dpkg's to know.
///
/// # Errors
/// If dpkg cannot be started.
pub(crate) fn compare_versions(a: &str, b: &str) -> Result<Ordering> {
    for (relation, ordering) in [("eq", Ordering::Equal), ("gt", Ordering::Greater)] {
        let status = Command::new("dpkg")
            .args(["--compare-versions", a, relation, b])
            .status()
            .context("cannot start dpkg")?;
        if status.success() {
            return Ok(ordering);
        }
    }
    Ok(Ordering::Less)
}
