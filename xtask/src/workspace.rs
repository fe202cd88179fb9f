//! Where things are: the checkout, cargo's target folder and the folder of finished products.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The bare-metal target of the EL2 image and of the guests.
pub const BARE_METAL: &str = "aarch64-unknown-none-softfloat";

/// The checkout this program was built from.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Cargo's target folder.
pub fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Where finished images, bundles and logs go: `target/postern`. Made when missing.
///
/// # Errors
///
/// The folder cannot be made or written to, as in a checkout on a read-only file system.
pub fn output_dir() -> Result<PathBuf> {
    let dir = target_dir().join("postern");
    std::fs::create_dir_all(&dir).and_then(|()| tempfile::tempfile_in(&dir)).with_context(|| {
        format!(
            "cannot write to {}: set CARGO_TARGET_DIR to a folder that can be written; nothing else \
             goes into the checkout",
            dir.display()
        )
    })?;
    Ok(dir)
}

/// The cargo that runs this program, so that the same toolchain builds the image.
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

/// `path` as a person wants to read it: below the checkout without the checkout's own path.
pub fn shown(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(root()).unwrap_or(path).display()
}
