//! Real guests: stock Debian kernels, mainline kernels built with the pKVM guest driver, a small
//! initramfs for both, and Debian's installer. All live in the cache and are made on first use.

mod cpio;
mod debian;
mod initramfs;
mod installer;
mod kernel;
mod mainline;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use crate::setup::say;

/// A guest kernel that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Debian's own arm64 kernel, taken unmodified from its package: a normal VM. The oldest.
    #[value(name = "debian-6.1", alias = "debian")]
    Debian61,
    /// The same, of the long-term series after it.
    #[value(name = "debian-6.12")]
    Debian612,
    /// The newest 7.x of the same.
    #[value(name = "debian-7")]
    Debian7,
    /// Debian's installer with its own kernel and a large RAM disk.
    DebianInstaller,
    /// Mainline Linux with the pKVM guest driver, built from Debian's kernel source package.
    #[value(name = "linux")]
    Mainline,
    /// The same from the oldest kernel source with that driver, an older generation of it.
    #[value(name = "linux-6.12")]
    Mainline612,
}

impl Which {
    /// Those that `cargo xtask test` runs.
    pub(crate) const TESTED: [Self; 4] =
        [Self::Debian61, Self::Debian612, Self::Debian7, Self::Mainline];
}

/// The files that boot a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// What it is, for people: `Linux 7.3.4-1~bpo13+1, own configuration`.
    pub(crate) version: String,
    /// The kernel, an arm64 `Image`.
    pub(crate) kernel: PathBuf,
    /// The initramfs, a gzipped newc archive; but for the installer's with busybox, and
    /// `tests/linux/init.sh` as `/init`.
    pub(crate) initrd: PathBuf,
    /// The kernel's symbol table (`System.map`), for making names of guest addresses.
    pub(crate) symbols: Option<PathBuf>,
    /// The kernel as an ELF file, for debuggers.
    pub(crate) vmlinux: Option<PathBuf>,
}

/// A guest from the cache, made first if the cache has none. Building mainline Linux takes about
/// ten CPU minutes.
///
/// # Errors
/// If something has to be fetched or built and that fails.
pub(crate) fn ensure(which: Which) -> Result<Payload> {
    let ours = |kernel| anyhow::Ok((kernel, initramfs::ensure()?));
    let (kernel, initrd) = match which {
        Which::Debian61 => ours(debian::ensure("6.1")?)?,
        Which::Debian612 => ours(debian::ensure("6.12")?)?,
        Which::Debian7 => ours(debian::ensure("7")?)?,
        Which::DebianInstaller => installer::ensure()?,
        Which::Mainline => ours(mainline::ensure(mainline::NEWEST)?)?,
        Which::Mainline612 => ours(mainline::ensure(mainline::OLDEST)?)?,
    };
    let kernel::Kernel { version, image, symbols, vmlinux } = kernel;
    Ok(Payload { version, kernel: image, initrd, symbols, vmlinux })
}

/// `cargo xtask guest WHICH`: provides the guest and says where its files are.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn command(which: Which) -> Result<()> {
    let payload = ensure(which)?;
    say(&payload.version);
    println!("kernel {}", payload.kernel.display());
    println!("initrd {}", payload.initrd.display());
    if let Some(symbols) = payload.symbols {
        println!("symbols {}", symbols.display());
    }
    if let Some(vmlinux) = payload.vmlinux {
        println!("vmlinux {}", vmlinux.display());
    }
    Ok(())
}
