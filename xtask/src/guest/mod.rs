//! Real guests: a stock Debian kernel, a mainline kernel built with the pKVM guest driver, and a
//! small initramfs for both. All live in the cache and are made on first use.

mod cpio;
mod debian;
mod initramfs;
mod kernel;
mod mainline;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use crate::setup::say;

/// A guest kernel that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Debian's own arm64 kernel, taken unmodified from its package: a normal VM.
    Debian,
    /// Mainline Linux with the pKVM guest driver, built from Debian's kernel source package.
    #[value(name = "linux")]
    Mainline,
    /// The same from the oldest kernel source with that driver, an older generation of it.
    #[value(name = "linux-6.12")]
    Mainline612,
}

/// The files that boot a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// What it is, for people: `Linux 7.3.4-1~bpo13+1, own configuration`.
    pub(crate) version: String,
    /// The kernel, an arm64 `Image`.
    pub(crate) kernel: PathBuf,
    /// The initramfs, a gzipped newc archive with busybox and `tests/linux/init.sh` as `/init`.
    pub(crate) initrd: PathBuf,
    /// The kernel's symbol table (`System.map`), for making names of guest addresses.
    pub(crate) symbols: Option<PathBuf>,
}

/// A guest from the cache, made first if the cache has none. Building mainline Linux takes about
/// ten CPU minutes.
///
/// # Errors
/// If something has to be fetched or built and that fails.
pub(crate) fn ensure(which: Which) -> Result<Payload> {
    let initrd = initramfs::ensure()?;
    let kernel = match which {
        Which::Debian => debian::ensure()?,
        Which::Mainline => mainline::ensure(mainline::NEWEST)?,
        Which::Mainline612 => mainline::ensure(mainline::OLDEST)?,
    };
    Ok(Payload { version: kernel.version, kernel: kernel.image, initrd, symbols: kernel.symbols })
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
    Ok(())
}
