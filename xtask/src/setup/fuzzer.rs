//! What the fuzz targets take: a C++ compiler for libFuzzer, and the toolchain's address sanitizer.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::host::{self, Need};
use super::{exec, toolchain};

/// The compiler that the build script of libFuzzer's package calls.
const CXX: Need = Need::new("c++", "g++");

/// Provides what building and running the fuzz targets takes.
///
/// # Errors
/// There is no C++ compiler and none can be installed, or this machine's toolchain has no address
/// sanitizer.
pub(crate) fn ensure_fuzzer() -> Result<()> {
    host::ensure(&[CXX], "to build libFuzzer")?;
    let folder = toolchain::sysroot()?.join("lib/rustlib").join(host_triple()?).join("lib");
    let has_sanitizer = std::fs::read_dir(&folder).is_ok_and(|items| {
        items.flatten().any(|item| item.file_name().to_string_lossy().ends_with("_rt.asan.a"))
    });
    if !has_sanitizer {
        bail!(
            "no address sanitizer in {}: the toolchain has one for Linux on x86_64 and aarch64",
            folder.display()
        );
    }
    Ok(())
}

/// The target that this machine's own programs are built for.
///
/// # Errors
/// There is no compiler.
pub(crate) fn host_triple() -> Result<String> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(crate::workspace::root()).arg("-vV");
    let text = exec::output(&mut rustc, Duration::from_secs(60), toolchain::NO_RUSTC)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.with_context(|| format!("`rustc -vV` names no host: {}", text.trim()))?.to_owned())
}
