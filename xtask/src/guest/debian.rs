//! Debian's prebuilt arm64 kernels, unmodified. Their pKVM guest driver is off, so they serve as
//! stock guests of normal VMs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel::{Kernel, keep};
use crate::setup::apt::{self, Apt, Package};
use crate::setup::cache;

/// The flavour for clouds: the same kernel with fewer drivers, a third of the size.
const FLAVOUR: &str = "-cloud-arm64";

/// The newest kernel of `series` (`6.1`, `7`) that the index offers, fetched if the cache has none
/// of that series.
///
/// # Errors
/// If it has to be fetched and that fails.
pub(super) fn ensure(series: &str) -> Result<Kernel> {
    let entry = format!("debian-{series}");
    let dir = cache::root()?.join("guests").join(&entry);
    let _lock = cache::lock(&format!("guest-{entry}"))?;
    cache::entry(&dir, |new| fetch(series, new))?;
    let version =
        fs::read_to_string(dir.join("version")).context("reading the kernel's version")?;
    Ok(Kernel {
        version: format!("Debian's Linux {}, unmodified", version.trim()),
        image: dir.join("Image"),
        symbols: None,
        vmlinux: None,
    })
}

fn fetch(series: &str, new: &Path) -> Result<()> {
    let apt = Apt::open()?;
    let package = newest(&apt, series)?;
    let deb = apt.download(&package)?;
    let unpacked = new.join("unpacked");
    // Below /boot, from 7.0 on below /usr/lib/modules.
    apt::unpack(&deb, "./*/vmlinuz*", &unpacked)?;
    let kernel = find(&unpacked, |name| name.starts_with("vmlinuz"))
        .with_context(|| format!("{} holds no kernel called vmlinuz", deb.display()))?;
    keep(&kernel, new)?;
    fs::write(new.join("version"), format!("{}\n", package.version))?;
    fs::remove_dir_all(&unpacked).context("clearing up after unpacking the kernel")?;
    // 10 to 30 MB that nobody will ask for again.
    let _ = fs::remove_file(deb);
    Ok(())
}

/// The package with the newest kernel of `series`.
///
/// The package that always depends on the newest kernel cannot be asked: of each suite it names
/// one kernel, and in a suite on its way to the next version it may name none that is there.
fn newest(apt: &Apt, series: &str) -> Result<Package> {
    let pattern =
        format!("^linux-(binary|image)-(unsigned-)?{}\\..*{FLAVOUR}", series.replace('.', "\\."));
    let names = apt.names(&pattern)?;
    let name = names
        .iter()
        .max_by_key(|name| Release::of(name))
        .filter(|name| Release::of(name).is_some())
        .with_context(|| {
            format!(
                "Debian's index offers no {FLAVOUR} kernel of the series {series}; check that \
                 `apt-get update` works on this machine"
            )
        })?;
    apt.newest(&format!("{name}:arm64"), |_| true)
}

/// Which kernel a package holds; the larger is the one to take.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Release {
    /// The numbers in its release: 6.1.0-50 and 7.3.4+deb13 are `[6, 1, 0, 50]`, `[7, 3, 4, 13]`.
    numbers: Vec<u32>,
    form: Form,
}

/// How the package is put together, the worst first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    ImageUnsigned,
    /// Up to 6.18 the kernel; later nothing but dependencies on the next two.
    Image,
    BinaryUnsigned,
    Binary,
}

impl Release {
    /// What the package called `name` holds; `None` if it is no kernel of this flavour.
    fn of(name: &str) -> Option<Self> {
        let (form, rest) = if let Some(rest) = name.strip_prefix("linux-binary-unsigned-") {
            (Form::BinaryUnsigned, rest)
        } else if let Some(rest) = name.strip_prefix("linux-binary-") {
            (Form::Binary, rest)
        } else {
            let rest = name.strip_prefix("linux-image-")?;
            match rest.strip_suffix("-unsigned") {
                Some(rest) => (Form::ImageUnsigned, rest),
                None => (Form::Image, rest),
            }
        };
        let numbers = rest
            .strip_suffix(FLAVOUR)?
            .split(|c: char| !c.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().ok())
            .collect::<Option<Vec<_>>>()?;
        (!numbers.is_empty()).then_some(Self { numbers, form })
    }
}

/// The first file below `folder` whose name `fits`.
pub(super) fn find(folder: &Path, fits: impl Fn(&str) -> bool + Copy) -> Option<PathBuf> {
    let mut items: Vec<PathBuf> = fs::read_dir(folder).ok()?.flatten().map(|i| i.path()).collect();
    items.sort();
    items.into_iter().find_map(|path| {
        if path.is_symlink() {
            return None;
        }
        if path.is_dir() {
            return find(&path, fits);
        }
        path.file_name()?.to_str().is_some_and(fits).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(names: &[&str]) -> String {
        names.iter().max_by_key(|name| Release::of(name)).unwrap().to_string()
    }

    #[test]
    fn the_newest_release_is_taken_by_number() {
        let names = [
            "linux-image-6.1.0-9-cloud-arm64",
            "linux-image-6.1.0-50-cloud-arm64-unsigned",
            "linux-image-6.1.0-50-cloud-arm64",
            "linux-image-6.1.0-47-cloud-arm64-unsigned",
            "linux-image-6.1.0-99-cloud-arm64-dbg",
        ];
        assert_eq!(best(&names), "linux-image-6.1.0-50-cloud-arm64");
        let names =
            ["linux-image-6.12.90+deb12-cloud-arm64", "linux-image-6.12.90+deb12.1-cloud-arm64"];
        assert_eq!(best(&names), names[1]);
    }

    #[test]
    fn of_one_release_the_package_with_the_kernel_in_it_is_taken() {
        let names = [
            "linux-image-7.2.9+deb13-cloud-arm64",
            "linux-binary-unsigned-7.2.9+deb13-cloud-arm64",
            "linux-binary-7.2.9+deb13-cloud-arm64",
            "linux-binary-7.2.6+deb13-cloud-arm64",
        ];
        assert_eq!(best(&names), names[2]);
        assert_eq!(best(&names[..2]), names[1]);
        // A newer release counts more than a signature.
        let newer = "linux-binary-unsigned-7.3.4+deb13-cloud-arm64";
        assert_eq!(best(&[names[2], newer]), newer);
    }

    #[test]
    fn other_packages_are_no_kernels() {
        for name in [
            "linux-image-6.1.0-50-cloud-arm64-dbg",
            "linux-image-cloud-arm64",
            "linux-image-6.1.0-50-arm64",
            "linux-modules-7.3.4+deb13-cloud-arm64",
        ] {
            assert_eq!(Release::of(name), None, "{name}");
        }
    }
}
