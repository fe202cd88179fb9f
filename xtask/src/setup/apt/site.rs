//! Where this machine itself takes Debian's packages from.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{ASK_LIMIT, REMEDY, UPDATE_LIMIT};
use crate::setup::{exec, say};

/// The address of the Debian archive that this machine itself uses.
pub(super) fn archive_site(root: &Path) -> Result<String> {
    let mut ask = Command::new("apt-get");
    if let Some(site) = debian_site(&index_targets(&mut ask)?) {
        return Ok(site);
    }
    // apt names only targets that it has fetched, and this machine has fetched none yet. Have it
    // fetch its own sources into our directory, which takes no rights.
    say("asking this machine's package sources for the address of the Debian archive");
    let lists = root.join("machine-lists");
    fs::create_dir_all(lists.join("partial")).context("preparing package lists")?;
    let lists_option = format!("Dir::State::Lists={}", lists.display());
    let mut update = Command::new("apt-get");
    update.args(["-o", &lists_option, "-o", "APT::Sandbox::User=root", "update"]);
    let updated = exec::output(&mut update, UPDATE_LIMIT, REMEDY);
    let mut ask = Command::new("apt-get");
    ask.args(["-o", &lists_option]);
    let site = debian_site(&index_targets(&mut ask)?);
    let _ = fs::remove_dir_all(&lists);
    match (site, updated) {
        (Some(site), _) => Ok(site),
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => bail!(
            "this machine's package sources name no Debian archive; guests' kernels are taken from \
             Debian packages: use a Debian machine, or a cache filled on one"
        ),
    }
}

fn index_targets(apt_get: &mut Command) -> Result<String> {
    apt_get.args([
        "indextargets",
        "--format",
        "$(ORIGIN)|$(LABEL)|$(SITE)",
        "Created-By: Packages",
    ]);
    exec::output(apt_get, ASK_LIMIT, REMEDY)
}

/// Of lines `origin|label|site` the first site of the main archive.
fn debian_site(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let site = line.strip_prefix("Debian|Debian|")?;
        // Any way that apt knows to reach an archive (http, mirror+file, …) but a disc, which has
        // one release only. A field that apt does not know stays `$(…)`.
        let usable = site.contains(":/") && !site.starts_with("cdrom:") && !site.starts_with('$');
        usable.then(|| site.trim_end_matches('/').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_told_from_security_and_strangers() {
        let targets = "nodistro|x|https://example.org/node\n\
                       Debian|Debian-Security|http://mirror.example/debian-security\n\
                       Debian|Debian|http://mirror.example/debian/\n";
        assert_eq!(debian_site(targets).as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(debian_site(""), None);
        assert_eq!(debian_site("Debian|Debian|$(SITE)"), None);
        assert_eq!(debian_site("Debian|Debian|cdrom://[Debian 12]/"), None);
        let list = "mirror+file:/etc/apt/mirrors/debian.list";
        assert_eq!(debian_site(&format!("Debian|Debian|{list}")).as_deref(), Some(list));
    }
}
