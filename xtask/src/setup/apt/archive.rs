//! Which part of Debian's archive a private package root reads, and how apt is told.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::site::archive_site;
use super::{ASK_LIMIT, exec};

/// Has the keys of all suites from Debian 12 on.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Some releases of Debian for one architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Archive {
    /// The private root's folder in the cache.
    pub(super) folder: &'static str,
    /// The releases; where two have a package, the newer version counts.
    pub(super) suites: &'static [&'static str],
    /// The architecture, whose index also lists the packages for all architectures; the machine's
    /// own if absent.
    pub(super) arch: Option<&'static str>,
}

impl Archive {
    /// What guests and boards are made of, whatever release the machine runs: Debian 12 for
    /// prebuilt arm64 kernels and busybox, both backports for kernel source, the newer one also for
    /// the Rust source.
    pub(crate) const GUESTS: Self = Self {
        folder: "apt",
        suites: &["bookworm", "bookworm-backports", "trixie-backports"],
        arch: Some("arm64"),
    };

    /// Programs for this machine from Debian 12 and what was ported back to it.
    pub(crate) const HOST_BOOKWORM: Self = Self {
        folder: "apt-host-bookworm",
        suites: &["bookworm", "bookworm-backports"],
        arch: None,
    };

    /// Programs for this machine from Debian 13 and what was ported back to it.
    pub(crate) const HOST_TRIXIE: Self =
        Self { folder: "apt-host-trixie", suites: &["trixie", "trixie-backports"], arch: None };

    /// The releases' names, for people.
    pub(super) fn shown(&self) -> String {
        self.suites.join(", ")
    }

    /// Writes the private configuration: what the machine's own configuration says about proxies
    /// and the like stays in force, only the places differ.
    pub(super) fn configure(&self, root: &Path) -> Result<()> {
        let site = archive_site(root)?;
        let native = native()?;
        let arch = self.arch.unwrap_or(&native);
        let signed_by = if Path::new(KEYRING).is_file() {
            format!(" signed-by={KEYRING}")
        } else {
            String::new()
        };
        let sources: String = self
            .suites
            .iter()
            .map(|suite| {
                format!("deb [arch={arch} target=Packages{signed_by}] {site} {suite} main\n")
            })
            .collect();
        let at = root.display();
        // The hooks that some systems run after an update are theirs, not ours. By itself apt
        // takes an unreachable archive for success.
        let conf = format!(
            "#clear APT::Architectures;\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n\
             APT::Architectures {{ \"{native}\"; \"{arch}\"; }};\n\
             APT::Sandbox::User \"root\";\n\
             APT::Update::Error-Mode \"any\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n\
             Acquire::http::Timeout \"30\";\n\
             Dir::Etc::SourceList \"{at}/sources.list\";\n\
             Dir::Etc::SourceParts \"/dev/null\";\n\
             Dir::Etc::Preferences \"/dev/null\";\n\
             Dir::Etc::PreferencesParts \"/dev/null\";\n\
             Dir::State::Lists \"{at}/lists\";\n\
             Dir::State::Status \"{at}/status\";\n\
             Dir::Cache \"{at}/cache\";\n\
             Dir::Cache::pkgcache \"pkgcache.bin\";\n\
             Dir::Cache::srcpkgcache \"srcpkgcache.bin\";\n"
        );
        for (name, text) in
            [("sources.list", sources.as_str()), ("apt.conf", conf.as_str()), ("status", "")]
        {
            let path = root.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// The machine's own architecture.
fn native() -> Result<String> {
    let mut ask = Command::new("dpkg");
    ask.arg("--print-architecture");
    Ok(exec::output(&mut ask, ASK_LIMIT, "repair dpkg")?.trim().to_owned())
}
