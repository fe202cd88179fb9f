//! Single files out of Debian packages: firmware, board trees.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::apt::{self, Apt, Archive, Package};
use super::{cache, say};

/// Files of one package that are kept in the cache as one entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    /// The entry in the cache, below `firmware`.
    pub(crate) name: &'static str,
    /// Where the package is.
    pub(crate) archive: Archive,
    /// The package, with `:arm64` where it is not the machine's own.
    pub(crate) package: &'static str,
    /// The newest version that begins so is taken.
    pub(crate) version: &'static str,
    /// If the package is empty and depends on one with the files: how that one's name begins.
    pub(crate) through: Option<&'static str>,
    /// Path of each file in the package, a shell pattern without leading `/` that matches one file.
    /// It keeps its name in the cache.
    pub(crate) files: &'static [&'static str],
    /// Completes the sentence "fetching … ".
    pub(crate) why: &'static str,
}

impl Parts {
    /// Whether the cache has them.
    pub(crate) fn is_present(&self) -> bool {
        self.folder().is_ok_and(|folder| folder.is_dir())
    }

    /// The folder that has the files, fetched if the cache has none.
    ///
    /// # Errors
    /// If it has to be fetched and that fails.
    pub(crate) fn ensure(&self) -> Result<PathBuf> {
        let dir = self.folder()?;
        let _lock = cache::lock("firmware")?;
        cache::entry(&dir, |new| self.fetch(new))?;
        Ok(dir)
    }

    fn folder(&self) -> Result<PathBuf> {
        Ok(cache::root()?.join("firmware").join(self.name))
    }

    fn fetch(&self, new: &Path) -> Result<()> {
        say(&format!("fetching {} {}", self.name, self.why));
        let apt = Apt::open_archive(self.archive)?;
        let package = self.find(&apt)?;
        let deb = apt.download(&package)?;
        let unpacked = new.join("unpacked");
        for pattern in self.files {
            apt::unpack(&deb, &format!("./{pattern}"), &unpacked)?;
        }
        keep_files(&unpacked, new)?;
        fs::remove_dir_all(&unpacked).context("clearing up after unpacking")?;
        let kept = fs::read_dir(new)?.count();
        ensure!(
            kept == self.files.len(),
            "{} {} holds {kept} of the {} files that were looked for: {}",
            package.name,
            package.version,
            self.files.len(),
            self.files.join(", ")
        );
        fs::write(new.join("version"), format!("{}\n", package.version))?;
        // Nobody will ask for it again.
        let _ = fs::remove_file(deb);
        Ok(())
    }

    fn find(&self, apt: &Apt) -> Result<Package> {
        let package = apt.newest(self.package, |version| version.starts_with(self.version))?;
        let Some(prefix) = self.through else { return Ok(package) };
        let name = package.dependency(prefix).with_context(|| {
            format!("{} depends on no {prefix}…: `{}`", self.package, package.depends)
        })?;
        let name = format!("{name}:{}", package.architecture);
        apt.newest(&name, |version| version == package.version)
    }
}

/// Moves every file below `from`, however deep, to `to`.
fn keep_files(from: &Path, to: &Path) -> Result<()> {
    for item in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = item?.path();
        if path.is_symlink() {
            continue;
        } else if path.is_dir() {
            keep_files(&path, to)?;
        } else if let Some(name) = path.file_name() {
            fs::rename(&path, to.join(name))
                .with_context(|| format!("keeping {}", path.display()))?;
        }
    }
    Ok(())
}
