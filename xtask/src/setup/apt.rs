//! A private package root: reads Debian's index and fetches packages without installing them and
//! without touching the machine's own package lists.
//!
//! Needed because the guests' kernels and the Rust source come from other releases and from
//! another architecture than the machine's. The archive's address is the machine's own; what is
//! fetched is checked by apt against the signed index, and again here by its SHA-256.

mod deb822;

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use super::{cache, exec, say};
pub(crate) use deb822::Package;

/// The releases that packages are taken from, whatever release the machine runs: Debian 12 for
/// prebuilt arm64 kernels and busybox, both backports for kernel source, the newer one also for
/// the Rust source.
const SUITES: [&str; 3] = ["bookworm", "bookworm-backports", "trixie-backports"];

/// Only this architecture's index is read; it also lists the packages for all architectures.
const ARCH: &str = "arm64";

/// Has the keys of all suites above from Debian 12 on.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An index older than this is fetched again before something is looked up in it.
const INDEX_AGE: Duration = Duration::from_secs(3600);

/// About 10 MB of index.
const UPDATE_LIMIT: Duration = Duration::from_secs(300);

/// The largest package, a kernel's source, has 170 MB.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(1800);

/// Unpacking 100 MB.
const UNPACK_LIMIT: Duration = Duration::from_secs(120);

/// Local look-ups.
const ASK_LIMIT: Duration = Duration::from_secs(120);

/// How often a long download says how far it is.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// What to do when the archive cannot be used.
const REMEDY: &str = "check the network and that `apt-get update` works on this machine";

/// The private package root, its index read.
#[derive(Debug)]
pub(crate) struct Apt {
    conf: PathBuf,
    packages: PathBuf,
    _lock: cache::Lock,
}

impl Apt {
    /// Opens the root in the cache; the index is fetched if it is missing or old. Without a
    /// network an old index will do.
    ///
    /// # Errors
    /// If this is no Debian machine, or there is no index and none can be fetched.
    pub(crate) fn open() -> Result<Self> {
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
        let root = cache.join("apt");
        let packages = cache.join("packages");
        for dir in
            [root.join("lists/partial"), root.join("cache/archives/partial"), packages.clone()]
        {
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let apt = Self { conf: root.join("apt.conf"), packages, _lock: lock };
        let stamp = root.join("updated");
        if !is_recent(&stamp) {
            apt.configure(&root)?;
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
            format!("no fitting version of package {name} in {}; {REMEDY}", SUITES.join(", "))
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

    /// Writes the private configuration: what the machine's own configuration says about proxies
    /// and the like stays in force, only the places differ.
    fn configure(&self, root: &Path) -> Result<()> {
        let site = archive_site(root)?;
        let signed_by = if Path::new(KEYRING).is_file() {
            format!(" signed-by={KEYRING}")
        } else {
            String::new()
        };
        let sources: String = SUITES
            .iter()
            .map(|suite| {
                format!("deb [arch={ARCH} target=Packages{signed_by}] {site} {suite} main\n")
            })
            .collect();
        let native = exec::output(
            Command::new("dpkg").arg("--print-architecture"),
            ASK_LIMIT,
            "repair dpkg",
        )?;
        let at = root.display();
        let native = native.trim();
        // The hooks that some systems run after an update are theirs, not ours. By itself apt
        // takes an unreachable archive for success.
        let conf = format!(
            "#clear APT::Architectures;\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n\
             APT::Architectures {{ \"{native}\"; \"{ARCH}\"; }};\n\
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

    fn update(&self) -> Result<()> {
        say(&format!("fetching Debian's package index ({})", SUITES.join(", ")));
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

/// Unpacks what matches `pattern`, a shell pattern that begins with `./`, of the package file `deb`
/// into the new folder `into`.
///
/// # Errors
/// If the package is damaged, has no such file, or the disk is full.
pub(crate) fn unpack(deb: &Path, pattern: &str, into: &Path) -> Result<()> {
    fs::create_dir_all(into).with_context(|| format!("cannot create {}", into.display()))?;
    let mut unpack = Command::new("sh");
    unpack.args([
        "-c",
        "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --wildcards \"$3\"",
        "sh",
    ]);
    unpack.arg(deb).arg(into).arg(pattern);
    exec::output(&mut unpack, UNPACK_LIMIT, "free some disk space, or set POSTERN_CACHE")?;
    Ok(())
}

/// Debian's rules for comparing versions are dpkg's to know.
///
/// # Errors
/// If dpkg cannot be started.
pub(crate) fn compare_versions(a: &str, b: &str) -> Result<Ordering> {
    for (relation, ordering) in [("eq", Ordering::Equal), ("gt", Ordering::Greater)] {
        let status = Command::new("dpkg")
            .args(["--compare-versions", a, relation, b])
            .status()
            .context("cannot start dpkg")?;
        if status.success() {
            return Ok(ordering);
        }
    }
    Ok(Ordering::Less)
}

/// The address of the Debian archive that this machine itself uses.
fn archive_site(root: &Path) -> Result<String> {
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
