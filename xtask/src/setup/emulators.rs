//! Other QEMUs than the machine's own, which run beside it: each lies in a folder of the cache with
//! its own C library, so that neither knows of the other.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Deserialize;

use super::apt::{Apt, Archive, package_files, unpack};
use super::{QEMU, QEMU_PACKAGE_NAME, cache, exec, say};

/// A QEMU that can be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Emulator {
    /// The machine's own.
    #[default]
    System,
    /// The newest for Debian 12.
    BookwormBackports,
    /// The newest for Debian 13.
    TrixieBackports,
}

/// Those that `setup --boards` provides, the oldest first: what the first cannot do, such as start
/// on this processor, the second may.
///
/// From QEMU 10.2 on, the main loop waits through io_uring and now and then for ever, although a timer
/// is due: seen with QEMU 11.1 on `raspi4b` in one start of three, until anything wakes it, such as a
/// connection to its monitor.
pub(crate) const FETCHED: [Emulator; 2] = [Emulator::BookwormBackports, Emulator::TrixieBackports];

/// Libraries that are opened only when they are wanted, which no list of needs names.
const OPENED_LATER: [&str; 1] = ["libgcc_s.so.1"];

/// Asking a program something.
const ASK_LIMIT: Duration = Duration::from_secs(60);

impl Emulator {
    /// Its name on the command line and in scenarios.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::BookwormBackports => "bookworm-backports",
            Self::TrixieBackports => "trixie-backports",
        }
    }

    fn archive(self) -> Option<Archive> {
        match self {
            Self::System => None,
            Self::BookwormBackports => Some(Archive::HOST_BOOKWORM),
            Self::TrixieBackports => Some(Archive::HOST_TRIXIE),
        }
    }

    /// The folder in which it is kept, whether it is there or not.
    fn folder(self) -> Result<PathBuf> {
        Ok(cache::root()?.join("emulators").join(self.name()))
    }

    /// Whether using it fetches nothing.
    fn is_present(self) -> bool {
        self == Self::System || self.folder().is_ok_and(|folder| folder.is_dir())
    }

    /// The program; fetched or installed if need be.
    ///
    /// # Errors
    /// If it has to be fetched and that fails, or it does not start here.
    pub(crate) fn ensure(self) -> Result<PathBuf> {
        let Some(archive) = self.archive() else { return super::ensure_qemu() };
        let dir = self.folder()?;
        let _lock = cache::lock("emulators")?;
        cache::entry(&dir, |new| fetch(archive, new))?;
        shut_in(&dir)?;
        Ok(dir.join(QEMU))
    }
}

/// The emulator that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// One of those that we know how to get.
    Known(Emulator),
    /// A program of the user's.
    Program(PathBuf),
}

impl Default for Choice {
    fn default() -> Self {
        Self::Known(Emulator::System)
    }
}

impl Choice {
    /// What a person writes: a known emulator's name, or the path of a program.
    ///
    /// # Errors
    /// Never; any text may be a path.
    pub(crate) fn parse(text: &str) -> Result<Self, std::convert::Infallible> {
        let known = Emulator::from_str(text, false).ok().map(Self::Known);
        Ok(known.unwrap_or_else(|| Self::Program(text.into())))
    }

    /// The emulator; fetched or installed if need be.
    ///
    /// # Errors
    /// As [`Emulator::ensure`], or the program is no QEMU.
    pub(crate) fn open(&self) -> Result<Qemu> {
        let program = match self {
            Self::Known(emulator) => emulator.ensure()?,
            Self::Program(path) => path.clone(),
        };
        let (version, shown_version) = super::version_of(&program)?;
        Ok(Qemu { program, version, shown_version })
    }

    /// Whether using it fetches nothing.
    pub(crate) fn is_present(&self) -> bool {
        match self {
            Self::Known(emulator) => emulator.is_present(),
            Self::Program(_) => true,
        }
    }

    /// Its name or path.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Known(emulator) => emulator.name().to_owned(),
            Self::Program(path) => path.display().to_string(),
        }
    }
}

/// An emulator that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Qemu {
    /// The program.
    pub(crate) program: PathBuf,
    /// Major and minor number of its version.
    pub(crate) version: (u32, u32),
    /// The whole of its version, for people.
    pub(crate) shown_version: String,
}

/// Keeps the emulator in `dir` from the modules of the machine's own, which are of another build: where
/// this folder lies beside the program, QEMU looks for all its files in there (`get_relocated_path` in
/// its `util/cutils.c`).
fn shut_in(dir: &Path) -> Result<()> {
    let bundle = dir.join("qemu-bundle");
    fs::create_dir_all(&bundle).with_context(|| format!("cannot create {}", bundle.display()))
}

/// Fills the new folder with the program, its libraries and its data, all on one level.
fn fetch(archive: Archive, new: &Path) -> Result<()> {
    say("fetching another QEMU than the machine's own, to lie beside it and not disturb it");
    let apt = Apt::open_archive(archive)?;
    let packages = new.join("packages");
    let version = apt.download_with_dependencies(QEMU_PACKAGE_NAME, &packages)?;
    let root = new.join("root");
    for package in package_files(&packages)? {
        unpack(&package, "./*", &root)?;
    }
    let program = root.join("usr/bin").join(QEMU);
    let libraries = library_folders(&root)?;
    let loader = find(&root, &|name| name.starts_with("ld-linux"))
        .context("the C library has no program loader")?;
    let mut path = std::ffi::OsString::new();
    for folder in &libraries {
        if !path.is_empty() {
            path.push(":");
        }
        path.push(folder);
    }
    let mut ask = Command::new(&loader);
    ask.arg("--library-path").arg(&path).arg("--list").arg(&program);
    let needs = exec::output(&mut ask, ASK_LIMIT, "use the machine's own QEMU")?;
    let inside = root.canonicalize().context("finding QEMU's libraries")?;
    for (name, from) in needed(&needs) {
        if !from.canonicalize().is_ok_and(|path| path.starts_with(&inside)) {
            bail!("QEMU {version} would use {}, which is the machine's own", from.display());
        }
        copy(from, &new.join(name))?;
    }
    for name in OPENED_LATER {
        if let Some(from) = libraries.iter().map(|dir| dir.join(name)).find(|path| path.exists()) {
            copy(&from, &new.join(name))?;
        }
    }
    copy(&loader, &new.join("loader"))?;
    copy(&program, &new.join("program"))?;
    // All else there is for other machines than ARM's, and links lead to packages that are only
    // suggested.
    for data in fs::read_dir(root.join("usr/share/qemu")).context("QEMU has no data")?.flatten() {
        let is_file = data.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && data.path().extension().is_some_and(|extension| extension == "rom") {
            copy(&data.path(), &new.join(data.file_name()))?;
        }
    }
    for folder in [packages, root] {
        fs::remove_dir_all(folder).context("clearing up after unpacking QEMU")?;
    }
    fs::write(new.join("version"), format!("{version}\n"))?;
    let wrapper = new.join(QEMU);
    fs::write(&wrapper, WRAPPER).context("writing QEMU's start script")?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    let said = exec::output(
        Command::new(&wrapper).arg("--version"),
        ASK_LIMIT,
        "use the machine's own QEMU",
    )?;
    if super::qemu_version(&said).is_none() {
        bail!("QEMU {version} was fetched, but says of itself: {}", said.trim());
    }
    Ok(())
}

/// Starts the program with its own loader and libraries, and nothing of the system's.
const WRAPPER: &str = r#"#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export QEMU_MODULE_DIR="$here"
exec "$here/loader" --library-path "$here" "$here/program" -L "$here" "$@"
"#;

/// Name and place of each library in the loader's list, lines `name => place (address)`. The loader
/// itself is listed with the path that the program asks for, and left out.
fn needed(list: &str) -> impl Iterator<Item = (&str, &Path)> {
    list.lines().filter_map(|line| {
        let (name, place) = line.trim().split_once(" => ")?;
        (!name.contains('/')).then_some((name, Path::new(place.split(" (").next()?)))
    })
}

/// Folders with libraries: Debian's, one for each architecture, in `/lib` and `/usr/lib`.
fn library_folders(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for lib in ["lib", "usr/lib"] {
        let Ok(items) = fs::read_dir(root.join(lib)) else { continue };
        folders.extend(
            items
                .flatten()
                .map(|item| item.path())
                .filter(|path| path.to_string_lossy().ends_with("-linux-gnu")),
        );
    }
    if folders.is_empty() {
        bail!("QEMU's packages hold no libraries");
    }
    Ok(folders)
}

/// The first file below `folder` whose name `fits`; links may lead out of it and do not count.
fn find(folder: &Path, fits: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let mut folders = Vec::new();
    for item in fs::read_dir(folder).ok()?.flatten() {
        let path = item.path();
        if item.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders.push(path);
        } else if item.file_type().is_ok_and(|kind| kind.is_file())
            && fits(&item.file_name().to_string_lossy())
        {
            return Some(path);
        }
    }
    folders.iter().find_map(|folder| find(folder, fits))
}

/// Copies what `from` leads to.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_and_anything_else_is_a_path() {
        let choice = |text| Choice::parse(text).unwrap();
        assert_eq!(choice("trixie-backports"), Choice::Known(Emulator::TrixieBackports));
        assert_eq!(choice("./system"), Choice::Program("./system".into()));
        for emulator in Emulator::value_variants() {
            assert_eq!(choice(emulator.name()), Choice::Known(*emulator));
        }
    }

    /// Where one has been fetched: it lists its devices, for which it loads all modules it finds.
    #[test]
    fn a_fetched_emulator_leaves_the_systems_modules_alone() {
        for emulator in FETCHED.into_iter().filter(|emulator| emulator.is_present()) {
            let mut list = Command::new(emulator.ensure().unwrap());
            let devices = exec::output(list.args(["-device", "help"]), ASK_LIMIT, "").unwrap();
            assert!(devices.contains("virtio-blk-device"), "{}", emulator.name());
        }
    }

    #[test]
    fn the_loaders_list_is_understood() {
        let list = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibz.so.1 => /r/usr/lib/x86_64-linux-gnu/libz.so.1 (0x00007f11)\n\
                    \t/lib64/ld-linux-x86-64.so.2 => /r/usr/lib64/ld.so (0x0)\n";
        let all: Vec<_> = needed(list).collect();
        assert_eq!(all, [("libz.so.1", Path::new("/r/usr/lib/x86_64-linux-gnu/libz.so.1"))]);
    }
}
