//! A package together with everything it depends on, down to the C library, for programs that are
//! to run beside the system and without its libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Apt, DOWNLOAD_LIMIT, HEARTBEAT, REMEDY, bytes_in};
use crate::setup::{exec, say};

impl Apt {
    /// Fetches the package files of `name` and of all that it depends on into the new folder
    /// `into`; the answer is the version of `name`. Apt compares each file with the signed index.
    ///
    /// # Errors
    /// If the index has no such package, or a download fails or is not what the index promised.
    pub(crate) fn download_with_dependencies(&self, name: &str, into: &Path) -> Result<String> {
        let version = self.newest(name, |_| true)?.version;
        fs::create_dir_all(into.join("partial"))
            .with_context(|| format!("cannot create {}", into.display()))?;
        let archives = format!("Dir::Cache::archives={}", into.display());
        let words = ["-o", &archives, "--yes", "--no-install-recommends"];
        // The root's list of what is installed is empty, so everything is wanted.
        let wanted = format!("{name}={version}");
        let release = self.archive.suites.last().copied().unwrap_or_default();
        let install = |more: &[&str]| {
            let mut command: Command = self.apt("apt-get");
            command.args(words).args(["-t", release]).args(more).args(["install", &wanted]);
            command
        };
        let listed = exec::output(&mut install(&["-qq", "--print-uris"]), DOWNLOAD_LIMIT, REMEDY)?;
        let total = total_size(&listed) / 1_000_000;
        say(&format!("fetching {name} {version} and what it needs ({total} MB)"));
        let mut command = install(&["--quiet", "--download-only"]);
        let shown = exec::command_line(&command);
        let mut next = HEARTBEAT;
        let finished = exec::run(
            &mut command,
            DOWNLOAD_LIMIT,
            |_| {},
            |elapsed| {
                if elapsed >= next {
                    next = elapsed.saturating_add(HEARTBEAT);
                    let so_far = bytes_in(into) / 1_000_000;
                    say(&format!("{name}: {so_far} of {total} MB"));
                }
            },
        )?;
        exec::check(&shown, &finished, REMEDY)?;
        Ok(version)
    }
}

/// The package files in `folder`, by name.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn package_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let items =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<_> = items
        .flatten()
        .map(|item| item.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    files.sort();
    Ok(files)
}

/// Sum of the sizes in lines `'address' file size checksum`.
fn total_size(listed: &str) -> u64 {
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_summed_with_and_without_checksum() {
        let listed = "'http://a/b_1.deb' b_1.deb 200 MD5Sum:00\n'http://a/c_1.deb' c_1.deb 30 \n\n";
        assert_eq!(total_size(listed), 230);
    }
}
