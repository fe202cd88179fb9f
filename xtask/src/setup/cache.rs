//! The cache: everything that was downloaded or built at length, outside the checkout.
//!
//! An *entry* is a directory with a `SHA256SUMS` file (the format of sha256sum(1)) that names each
//! file in it, also in its folders. Entries appear by a rename, so an entry is whole or absent; one whose files no
//! longer match their sums counts as absent and is made again.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::say;

/// The file of an entry that names all others.
const SUMS: &str = "SHA256SUMS";

/// The cache directory: `POSTERN_CACHE`, else `postern` in the user's cache folder. It exists when
/// this returns.
///
/// # Errors
/// If there is neither that variable nor a home directory, or the directory cannot be made.
pub(crate) fn root() -> Result<PathBuf> {
    let chosen =
        |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = if let Some(path) = chosen("POSTERN_CACHE") {
        path
    } else if let Some(path) = chosen("XDG_CACHE_HOME") {
        path.join("postern")
    } else if let Some(home) = chosen("HOME") {
        home.join(".cache/postern")
    } else {
        bail!("no place for the cache: neither POSTERN_CACHE nor HOME is set; set POSTERN_CACHE");
    };
    let root = absolute(&root).with_context(|| format!("bad cache path {}", root.display()))?;
    fs::create_dir_all(&root).with_context(|| {
        format!("cannot create the cache {}; set POSTERN_CACHE to another place", root.display())
    })?;
    Ok(root)
}

/// Held while one process works on a part of the cache; the operating system lets go of it when
/// the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Waits until no other process works on the part called `name`.
///
/// # Errors
/// If the lock file cannot be made or locked.
pub(crate) fn lock(name: &str) -> Result<Lock> {
    let dir = root()?.join("locks");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join(name);
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_err() {
        say(&format!("waiting for another cargo xtask that works on {name}"));
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(Lock { _file: file })
}

/// SHA-256 of a file, in lower-case hexadecimal digits.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn sha256_file(path: &Path) -> Result<String> {
    let reading = || format!("reading {}", path.display());
    let mut file = File::open(path).with_context(reading)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(count) => hasher.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).with_context(reading),
        }
    }
}

/// SHA-256 of bytes, in lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `dir` is an entry all of whose files match their sums.
pub(crate) fn is_sound(dir: &Path) -> bool {
    let Ok(sums) = fs::read_to_string(dir.join(SUMS)) else { return false };
    let mut files = 0;
    for line in sums.lines() {
        let Some((sum, name)) = line.split_once("  ") else { return false };
        if !sha256_file(&dir.join(name)).is_ok_and(|found| found == sum) {
            return false;
        }
        files += 1;
    }
    files > 0
}

/// Makes sure that the entry `dir` exists and is sound: if not, `make` fills a new directory,
/// which then takes its place.
///
/// # Errors
/// What `make` reports, or a file system error. On error no entry is left behind.
pub(crate) fn entry(dir: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if dir.exists() {
        if is_sound(dir) {
            return Ok(());
        }
        say(&format!("{} is damaged: making it again", dir.display()));
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    let mut name = dir.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let fresh = dir.with_file_name(name);
    // Left by an earlier run that was interrupted.
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    let made = make(&fresh).and_then(|()| seal(&fresh)).and_then(|()| {
        fs::rename(&fresh, dir).with_context(|| format!("cannot move {} into place", dir.display()))
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    made
}

fn seal(dir: &Path) -> Result<()> {
    let mut names = Vec::new();
    list(dir, "", &mut names)?;
    names.sort();
    let mut sums = String::new();
    for name in names {
        sums.push_str(&format!("{}  {name}\n", sha256_file(&dir.join(&name))?));
    }
    fs::write(dir.join(SUMS), sums).with_context(|| format!("writing sums in {}", dir.display()))
}

/// Adds the files below `dir`, which `prefix` names from the entry's own folder on.
fn list(dir: &Path, prefix: &str, names: &mut Vec<String>) -> Result<()> {
    for item in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let item = item?;
        let name = format!("{prefix}{}", item.file_name().to_string_lossy());
        if item.file_type()?.is_dir() {
            list(&item.path(), &format!("{name}/"), names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = env::temp_dir().join(format!("postern-cache-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn sha256_matches_the_standard_vectors() {
        // FIPS 180-4 examples: the empty message and "abc".
        assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn an_entry_is_made_once_and_again_when_damaged() {
        let dir = scratch("again").join("entry");
        let mut made = 0;
        for step in 0..3 {
            entry(&dir, |new| {
                made += 1;
                fs::write(new.join("data"), b"content").context("writing")
            })
            .unwrap();
            assert!(is_sound(&dir));
            if step == 1 {
                fs::write(dir.join("data"), b"c0ntent").unwrap();
                assert!(!is_sound(&dir));
            }
        }
        assert_eq!(made, 2);
        fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_failed_making_leaves_nothing() {
        let parent = scratch("failed");
        let dir = parent.join("entry");
        let result = entry(&dir, |new| {
            fs::write(new.join("half"), b"x")?;
            bail!("interrupted")
        });
        assert!(result.is_err());
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        fs::remove_dir_all(parent).unwrap();
    }

    #[test]
    fn files_in_folders_are_part_of_an_entry() {
        let dir = scratch("folders").join("entry");
        entry(&dir, |new| {
            fs::create_dir(new.join("maker"))?;
            fs::write(new.join("maker/board.dtb"), b"tree").context("writing")
        })
        .unwrap();
        assert!(is_sound(&dir));
        fs::write(dir.join("maker/board.dtb"), b"trEe").unwrap();
        assert!(!is_sound(&dir));
        fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_truncated_file_is_noticed() {
        let dir = scratch("short").join("entry");
        entry(&dir, |new| fs::write(new.join("data"), b"0123456789").context("writing")).unwrap();
        File::options().write(true).open(dir.join("data")).unwrap().set_len(4).unwrap();
        assert!(!is_sound(&dir));
        fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    }
}
