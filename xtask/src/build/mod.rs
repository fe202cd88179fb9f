//! `cargo xtask build`: from sources to `target/postern/postern.img`.
//!
//! The image is built by a `cargo build` of its own for the bare-metal target, so that no feature
//! of a host crate leaks into it, and then flattened from its ELF file into the arm64 `Image`
//! that U-Boot and QEMU load and that is an EFI application too.

mod boot_code;
mod c_guest;
mod cross;
mod efi;
pub mod flatten;
pub mod link;
mod movable;
pub mod sequences;
pub mod size;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

pub use c_guest::c_guest;
use cross::Profile;
pub use cross::cargo as bare_metal_cargo;

use crate::workspace;

/// The finished hypervisor.
#[derive(Debug, Clone)]
pub struct Hypervisor {
    /// Flat arm64 `Image`.
    pub image: PathBuf,
    /// The same code as ELF with debug information, for symbols.
    pub elf: PathBuf,
    /// The program that EFI firmware starts, which is in the image, as ELF.
    pub efi_elf: PathBuf,
}

/// Builds the hypervisor and puts `postern.img` and `postern.elf` into `target/postern`.
///
/// # Errors
///
/// The compiler fails, or the linked file is not the image the linker script promises.
pub fn hypervisor() -> Result<Hypervisor> {
    finished("postern", Profile::Release)
}

/// Builds the hypervisor with the ghost check and puts `postern-ghost.img` and `postern-ghost.elf`
/// into `target/postern`.
///
/// # Errors
///
/// As [`hypervisor`].
pub fn ghost() -> Result<Hypervisor> {
    finished("postern-ghost", Profile::Ghost)
}

/// Builds the hypervisor that injects faults into itself and puts `postern-inject.img` and
/// `postern-inject.elf` into `target/postern`.
///
/// # Errors
///
/// As [`hypervisor`].
pub fn injecting() -> Result<Hypervisor> {
    finished("postern-inject", Profile::Inject)
}

/// Builds the hypervisor and puts it into files called `name`.
fn finished(name: &str, profile: Profile) -> Result<Hypervisor> {
    let linked = cross::build("hyp", "hyp", profile)?;
    let bytes =
        fs::read(&linked).with_context(|| format!("could not read {}", linked.display()))?;
    let image = flatten::arm64_image(&bytes)
        .with_context(|| format!("{} cannot be made into an Image", linked.display()))?;
    // Laid out by other rules of inlining, the other keeps all its code.
    if profile == Profile::Release {
        boot_code::check(&bytes)
            .with_context(|| format!("{} must not run guests", linked.display()))?;
        sequences::check(&bytes).with_context(|| linked.display().to_string())?;
    }
    let efi_elf = cross::build("hyp-efi", "postern-efi", Profile::Release)?;
    let starter =
        fs::read(&efi_elf).with_context(|| format!("could not read {}", efi_elf.display()))?;
    sequences::check(&starter).with_context(|| efi_elf.display().to_string())?;
    let image = efi::attach(image, &starter).context("the image has no EFI part")?;
    let dir = workspace::output_dir()?;
    let file = |kind: &str| dir.join(format!("{name}.{kind}"));
    let built = Hypervisor { image: file("img"), elf: file("elf"), efi_elf };
    replace(&built.image, &image)?;
    replace(&built.elf, &bytes)?;
    Ok(built)
}

/// Builds the conformance guest; the answer is an ELF file.
///
/// # Errors
///
/// The compiler fails.
pub fn conformance_guest() -> Result<PathBuf> {
    cross::build("conformance", "conformance", Profile::Guest)
}

/// Builds the conformance guest for other hosts than Postern and puts it into `target/postern`, an arm64
/// `Image` that is a raw binary as well: it may lie at any multiple of 4 KiB.
///
/// # Errors
///
/// The compiler fails, or the linker left something that the guest's entry cannot adapt.
pub fn conformance_image() -> Result<PathBuf> {
    let elf = conformance_guest()?;
    let bytes = fs::read(&elf).with_context(|| format!("could not read {}", elf.display()))?;
    let image = movable::check(&bytes)
        .and_then(|()| flatten::arm64_image(&bytes))
        .with_context(|| format!("{} cannot be made into an Image", elf.display()))?;
    let path = workspace::output_dir()?.join("conformance.img");
    replace(&path, &image)?;
    Ok(path)
}

/// Builds the hostile guest; the answer is an ELF file.
///
/// # Errors
///
/// The compiler fails.
pub fn hostile_guest() -> Result<PathBuf> {
    cross::build("hostile", "hostile", Profile::Guest)
}

/// Builds the guest of `cargo xtask bench`; the answer is an ELF file.
///
/// # Errors
///
/// The compiler fails.
pub fn bench_guest() -> Result<PathBuf> {
    cross::build("bench-guest", "bench-guest", Profile::Guest)
}

/// Builds a hand-written EL2 for comparison, `floor-min` or `floor-full`; the answer is an ELF file.
///
/// # Errors
///
/// The assembler fails.
pub fn floor(name: &str) -> Result<PathBuf> {
    cross::build("floors", name, Profile::Release)
}

/// Options of `build`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Build `postern-ghost.img` instead, which runs a model of the VM beside it and compares the two
    /// at each step; see docs/testing.md.
    #[arg(long)]
    ghost: bool,
}

/// The command `cargo xtask build`: builds everything that runs on the bare machine and says what
/// came out.
///
/// # Errors
///
/// As [`hypervisor`] and [`conformance_guest`].
pub fn command(options: &Options) -> Result<()> {
    if options.ghost {
        let built = ghost()?;
        for product in [&built.image, &built.elf] {
            println!("{}", workspace::shown(product));
        }
        return Ok(());
    }
    let built = hypervisor()?;
    let guest = conformance_guest()?;
    let guest_image = conformance_image()?;
    let report = size::report(&fs::read(&built.elf)?, fs::metadata(&built.image)?.len())?;
    print!("{report}");
    for product in [&built.image, &built.elf, &guest, &guest_image] {
        println!("{}", workspace::shown(product));
    }
    Ok(())
}

/// Writes a product so that a reader never sees half of it: another run may be booting the old
/// file at this moment.
fn replace(path: &std::path::Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let fresh = path.with_file_name(format!(".{name}.{}", std::process::id()));
    fs::write(&fresh, bytes)
        .and_then(|()| fs::rename(&fresh, path))
        .with_context(|| format!("could not write {}", path.display()))
}
