//! The packages that others may depend on: each can be taken out of this workspace.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::house;
use crate::libtest::Checks;
use crate::setup::exec::command_line;
use crate::workspace;

/// What a guest from outside links.
const NAMES: [&str; 2] = ["hyp-abi", "guest-shim"];

/// What each of them has, beside its sources.
const FILES: [&str; 3] = ["README.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// Packs them, builds each from its package with all features, and looks whether what a reader of the
/// package needs is in it. Takes no network: what they depend on, their tests have fetched.
pub fn check() -> Result<Checks> {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command.args(["package", "--quiet", "--offline", "--allow-dirty", "--all-features"]);
    command.args(NAMES.iter().flat_map(|name| ["--package", name]));
    let status =
        command.status().with_context(|| format!("could not start {}", command_line(&command)))?;
    let passed = usize::from(status.success());
    let mut checks = Checks { passed, failed: 1 - passed };
    if passed == 1 {
        for name in NAMES {
            let folder = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
            let missing = missing(&workspace::target_dir().join("package").join(folder))?;
            missing.iter().for_each(|what| println!("     package {name}: {what}"));
            checks.passed += usize::from(missing.is_empty());
            checks.failed += usize::from(!missing.is_empty());
        }
    }
    Ok(checks)
}

/// What the unpacked package in `folder` lacks.
fn missing(folder: &Path) -> Result<Vec<String>> {
    let absent = FILES.iter().filter(|file| !folder.join(file).is_file());
    let mut missing: Vec<_> = absent.map(|file| format!("no {file}")).collect();
    missing.extend(house::dead_links(folder)?);
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_lacks_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("README.md", "[in](LICENSE-MIT) [out](../docs/abi.md) [web](https://example.org/)");
        write("LICENSE-MIT", "");
        assert_eq!(
            missing(folder.path()).unwrap(),
            ["no LICENSE-APACHE", "README.md:1: no ../docs/abi.md"]
        );
    }
}
