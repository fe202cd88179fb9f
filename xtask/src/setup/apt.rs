//! A private package root: reads Debian's index and fetches packages without installing them and
//! without touching the machine's own package lists.
//!
//! Needed because the guests' kernels and the Rust source come from other releases and from
//! another architecture than the machine's. The archive's address is the machine's own; what is
//! fetched is checked by apt against the signed index, and again here by its SHA-256.

mod archive;
mod closure;
mod deb;
mod deb822;
mod site;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use super::{cache, exec, say};
pub(crate) use archive::Archive;
pub(crate) use closure::package_files;
pub(crate) use deb::{compare_versions, unpack};
pub(crate) use deb822::Package;

/// An index older than this is fetched again before something is looked up in it.
const INDEX_AGE: Duration = Duration::from_secs(3600);

/// About 10 MB of index.
const UPDATE_LIMIT: Duration = Duration::from_secs(300);

/// The largest package, a kernel's source, has 170 MB.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(1800);

/// Local look-ups.
const ASK_LIMIT: Duration = Duration::from_secs(120);

/// How often a long download says how far it is.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// What to do when the archive cannot be used.
const REMEDY: &str = "check the network and that `apt-get update` works on this machine";

/// The private package root, its index read.
#[derive(Debug)]
pub(crate) struct Apt {
    archive: Archive,
    conf: PathBuf,
    packages: PathBuf,
    _lock: cache::Lock,
}

impl Apt {
    /// Opens the root for guests.
    ///
    /// # Errors
    /// As [`Self::open_archive`].
    pub(crate) fn open() -> Result<Self> {
        Self::open_archive(Archive::GUESTS)
    }

    /// Opens the root for `archive` in the cache; the index is fetched if it is missing or old. Without a
    /// network an old index will do.
    ///
    /// # Errors
    /// If this is no Debian machine, or there is no index and none can be fetched.
    pub(crate) fn open_archive(archive: Archive) -> Result<Self> {
        for program in ["apt-get", "apt-cache", "dpkg-deb", "dpkg"] {
            if exec::on_path(program).is_none() {
                bail!(
                    "{program} is not there: guests' kernels and sources are taken from Debian \
                     packages, so this step needs a Debian machine (or a cache filled on one, \
                     named by POSTERN_CACHE)"
                );
            }
        }
        let cache = cache::root()?;
        let lock = cache::lock("apt")?;
        let root = cache.join(archive.folder);
        let packages = cache.join("packages");
        for dir in
            [root.join("lists/partial"), root.join("cache/archives/partial"), packages.clone()]
        {
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let apt = Self { archive, conf: root.join("apt.conf"), packages, _lock: lock };
        let stamp = root.join("updated");
        if !is_recent(&stamp) {
            archive.configure(&root)?;
            match apt.update() {
                Ok(()) => fs::write(&stamp, "").context("writing the index's time stamp")?,
                // Perhaps one release failed and what we want is in another, or we are offline
                // with an index of last week: the look-up decides.
                Err(error) if has_index(&root) => {
                    let text = format!("{error:#}");
                    let first = text.lines().find(|line| line.starts_with("E: "));
                    say(&format!(
                        "going on with the package index as it is: {}",
                        first.unwrap_or(&text)
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(apt)
    }

    /// The newest version of the package `name` (with `:arm64` where it is foreign) whose version
    /// `accept` likes.
    ///
    /// # Errors
    /// If the index has none.
    pub(crate) fn newest(&self, name: &str, accept: impl Fn(&str) -> bool) -> Result<Package> {
        let text = self.ask(&["show", "--all-versions", name]).unwrap_or_default();
        let found = Package::parse_all(&text).into_iter().filter(|found| accept(&found.version));
        let mut best: Option<Package> = None;
        for package in found {
            let newer = match &best {
                Some(best) => compare_versions(&package.version, &best.version)?.is_gt(),
                None => true,
            };
            if newer {
                best = Some(package);
            }
        }
        best.with_context(|| {
            format!("no fitting version of package {name} in {}; {REMEDY}", self.archive.shown())
        })
    }

    /// The names of all packages that match the regular expression `pattern`.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub(crate) fn names(&self, pattern: &str) -> Result<Vec<String>> {
        let text = self.ask(&["search", "--names-only", pattern])?;
        Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
    }

    /// Fetches a package file unless the cache has it; either way its SHA-256 is compared with
    /// the index. Older versions of the same package leave the cache.
    ///
    /// # Errors
    /// If the download fails or the file is not what the index promised.
    pub(crate) fn download(&self, package: &Package) -> Result<PathBuf> {
        let file = self.packages.join(package.file_name());
        if file.is_file() && cache::sha256_file(&file)? == package.sha256 {
            return Ok(file);
        }
        let megabytes = package.size.div_ceil(1_000_000);
        say(&format!("fetching {} {} ({megabytes} MB)", package.name, package.version));
        let partial = self.packages.join("partial");
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).context("preparing the download")?;
        let mut command = self.apt("apt-get");
        command.current_dir(&partial).args(["--quiet", "download"]).arg(package.selector());
        let shown = exec::command_line(&command);
        let mut next = HEARTBEAT;
        let finished = exec::run(
            &mut command,
            DOWNLOAD_LIMIT,
            |_| {},
            |elapsed| {
                if elapsed >= next {
                    next = elapsed.saturating_add(HEARTBEAT);
                    let so_far = bytes_in(&partial) / 1_000_000;
                    say(&format!("{}: {so_far} of {megabytes} MB", package.name));
                }
            },
        )?;
        exec::check(&shown, &finished, REMEDY)?;
        let fetched = fs::read_dir(&partial)?
            .flatten()
            .map(|item| item.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .with_context(|| format!("`{shown}` left no package file"))?;
        let sum = cache::sha256_file(&fetched)?;
        if sum != package.sha256 {
            bail!(
                "{} {} is damaged: its SHA-256 is {sum}, the index says {}; try again",
                package.name,
                package.version,
                package.sha256
            );
        }
        self.forget_versions_of(package);
        fs::rename(&fetched, &file).with_context(|| format!("cannot create {}", file.display()))?;
        let _ = fs::remove_dir_all(&partial);
        Ok(file)
    }

    fn update(&self) -> Result<()> {
        say(&format!("fetching Debian's package index ({})", self.archive.shown()));
        exec::output(self.apt("apt-get").arg("update"), UPDATE_LIMIT, REMEDY).map(|_| ())
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(&self.conf).env("LC_ALL", "C");
        command
    }

    fn ask(&self, args: &[&str]) -> Result<String> {
        exec::output(self.apt("apt-cache").args(args), ASK_LIMIT, REMEDY)
    }

    fn forget_versions_of(&self, package: &Package) {
        let prefix = format!("{}_", package.name);
        let Ok(items) = fs::read_dir(&self.packages) else { return };
        for item in items.flatten() {
            if item.file_name().to_string_lossy().starts_with(&prefix) {
                // An old version that stays only costs space.
                let _ = fs::remove_file(item.path());
            }
        }
    }
}

fn is_recent(stamp: &Path) -> bool {
    stamp
        .metadata()
        .and_then(|meta| meta.modified())
        .is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age < INDEX_AGE))
}

fn has_index(root: &Path) -> bool {
    fs::read_dir(root.join("lists")).is_ok_and(|items| {
        items.flatten().any(|item| item.file_name().to_string_lossy().contains("_Packages"))
    })
}

fn bytes_in(dir: &Path) -> u64 {
    let Ok(items) = fs::read_dir(dir) else { return 0 };
    items.flatten().filter_map(|item| item.metadata().ok()).map(|meta| meta.len()).sum()
}
