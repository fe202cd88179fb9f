//! Programs that the machine's own package manager has to install.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{cache, exec, say};

/// A package list is fetched within this time, or the attempt is given up.
const UPDATE_LIMIT: Duration = Duration::from_secs(300);

/// Installing a compiler takes seconds; a slow mirror may take minutes.
const INSTALL_LIMIT: Duration = Duration::from_secs(1200);

/// A program and the Debian package that brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    program: &'static str,
    package: &'static str,
}

impl Need {
    /// `program` as it is called, and the Debian package that it comes in.
    pub(super) const fn new(program: &'static str, package: &'static str) -> Self {
        Self { program, package }
    }
}

/// Installs the packages of those programs that are not on `PATH`; `why` completes the sentence
/// "installing x …".
///
/// # Errors
/// If something is missing and this is not a Debian machine, the user is not root, or the package
/// manager fails. The message names the packages.
pub(super) fn ensure(needs: &[Need], why: &str) -> Result<()> {
    if missing(needs).is_empty() {
        return Ok(());
    }
    let _lock = cache::lock("host-packages")?;
    let packages = missing(needs);
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    let by_hand = format!("apt-get update && apt-get install --no-install-recommends {names}");
    if exec::on_path("apt-get").is_none() {
        bail!("{}", refusal(&names, why, None));
    }
    if !is_root() {
        bail!("{}", refusal(&names, why, Some(&by_hand)));
    }
    say(&format!("installing {names} {why}"));
    // The lists may be there and fresh, which saves a download; if they are missing or name files
    // that the archive has dropped, the second attempt has new ones.
    if install(&packages, &by_hand).is_err() {
        say("the package lists are missing or old: fetching them first");
        let mut update = apt_get();
        update.arg("update");
        exec::output(&mut update, UPDATE_LIMIT, &format!("check the network, then: {by_hand}"))?;
        install(&packages, &by_hand)?;
    }
    let left = missing(needs);
    if !left.is_empty() {
        bail!("{} installed, but the programs are still not on PATH", left.join(" "));
    }
    Ok(())
}

fn missing(needs: &[Need]) -> Vec<&'static str> {
    needs
        .iter()
        .filter(|need| exec::on_path(need.program).is_none())
        .map(|need| need.package)
        .collect()
}

/// Why nothing is installed, and what the user can do: run `by_hand` as root, if that exists here.
fn refusal(names: &str, why: &str, by_hand: Option<&str>) -> String {
    match by_hand {
        Some(by_hand) => {
            format!("{names} must be installed {why}, which takes root; run as root:\n  {by_hand}")
        }
        None => format!(
            "{names} must be installed {why}, and this machine has no apt-get: install what these \
             Debian packages hold with your own package manager"
        ),
    }
}

fn install(packages: &[&str], by_hand: &str) -> Result<()> {
    let mut command = apt_get();
    command.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    exec::output(&mut command, INSTALL_LIMIT, by_hand).map(|_| ())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // The first two keep a stopped daemon or a dead mirror from hanging us.
    command.args(["-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::http::Timeout=30"]);
    command.args(["-o", "Acquire::Retries=3", "-o", "Dpkg::Use-Pty=0"]);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    exec::output(Command::new("id").arg("-u"), Duration::from_secs(10), "")
        .is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_absent_is_asked_for() {
        let needs = [Need::new("sh", "dash"), Need::new("no-such-program-here", "nowhere")];
        assert_eq!(missing(&needs), ["nowhere"]);
    }

    #[test]
    fn a_refusal_names_packages_reason_and_remedy() {
        let text = refusal("qemu-system-arm", "to run it", Some("apt-get install qemu-system-arm"));
        for part in ["qemu-system-arm must", "to run it", "as root", "apt-get install"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(refusal("a b", "to run it", None).contains("a b must be installed to run it"));
    }
}
