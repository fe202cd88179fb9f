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
    /// Path of each file in the package, a shell pattern without leading `/`. A pattern matches one file,
    /// which keeps its name in the cache, but for [`Kept::Folders`].
    pub(crate) files: &'static [&'static str],
    /// What files are called in the cache.
    pub(crate) kept: Kept,
    /// Completes the sentence "fetching … ".
    pub(crate) why: &'static str,
}

/// What the files of a package are called in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// By their names alone: one file for each pattern.
    Names,
    /// By their names in the folder that they are in: any number of files for each pattern.
    Folders,
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
        let kept = keep_files(&unpacked, new, self.kept)?;
        fs::remove_dir_all(&unpacked).context("clearing up after unpacking")?;
        ensure!(
            kept == self.files.len() || (self.kept == Kept::Folders && kept > self.files.len()),
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

/// Moves every file below `from`, however deep, to `to`; returns how many there are.
fn keep_files(from: &Path, to: &Path, kept: Kept) -> Result<usize> {
    let mut count = 0;
    for item in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = item?.path();
        if path.is_symlink() {
            continue;
        } else if path.is_dir() {
            count += keep_files(&path, to, kept)?;
        } else if let Some(name) = path.file_name() {
            let folder = match (kept, from.file_name()) {
                (Kept::Folders, Some(folder)) => to.join(folder),
                _ => to.to_owned(),
            };
            fs::create_dir_all(&folder)
                .and_then(|()| fs::rename(&path, folder.join(name)))
                .with_context(|| format!("keeping {}", path.display()))?;
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_names_alone_or_with_their_folder() {
        for (kept, name) in [(Kept::Names, "evk.dtb"), (Kept::Folders, "nxp/evk.dtb")] {
            let scratch = tempfile::tempdir().unwrap();
            let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
            fs::create_dir_all(from.join("usr/lib/nxp")).unwrap();
            fs::create_dir_all(&to).unwrap();
            fs::write(from.join("usr/lib/nxp/evk.dtb"), b"tree").unwrap();
            assert_eq!(keep_files(&from, &to, kept).unwrap(), 1);
            assert_eq!(fs::read(to.join(name)).unwrap(), b"tree");
        }
    }
}
