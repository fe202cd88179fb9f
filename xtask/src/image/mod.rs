//! `cargo xtask image`: what a board's U-Boot boots, with the hypervisor, its VMs and how to start
//! them.

mod disk;
mod fit;
mod legacy;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::qemu::Boot;
use crate::run::{Selected, Selection, Supplies};
use crate::units::shown_size;
use crate::{build, workspace};
use disk::File;

/// Options of `image`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    selection: Selection,
    /// The board that is to boot it.
    #[arg(long, value_enum)]
    board: Board,
    /// What to make.
    #[arg(long, value_enum, default_value_t = Form::Disk)]
    form: Form,
    /// Where it goes.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Words for Postern itself, such as `postern.log=debug`.
    #[arg(long, default_value = "", value_name = "WORDS", hide_default_value = true)]
    boot_args: String,
}

/// A board whose U-Boot is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Board {
    /// QEMU's `virt` machine with U-Boot's `qemu_arm64` build.
    Virt,
}

impl Board {
    /// Where a FIT has the image put: a multiple of 2 MiB, in RAM, away from U-Boot itself and
    /// from where the FIT is read to.
    fn load_address(self) -> u64 {
        match self {
            // `kernel_addr_r` in U-Boot's `include/configs/qemu-arm.h`.
            Self::Virt => 0x4040_0000,
        }
    }
}

/// What is made for the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A disk or card whose `extlinux.conf` names image and bundle; U-Boot starts them by `booti`.
    Disk,
    /// A disk or card with a FIT, whose `boot.scr` starts it by `bootm` after U-Boot has checked
    /// its hashes.
    FitDisk,
    /// The FIT alone, for boards that load it in their own way.
    Fit,
}

/// How a machine's firmware comes to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// U-Boot from a disk, by `extlinux.conf` and `booti`.
    UBoot,
    /// U-Boot from a disk, by `boot.scr` and `bootm` of a FIT with hashes.
    UBootFit,
}

impl Via {
    /// The disk that this way takes.
    fn form(self) -> Form {
        match self {
            Self::UBoot => Form::Disk,
            Self::UBootFit => Form::FitDisk,
        }
    }
}

/// What goes into an image.
#[derive(Debug, Clone, Copy)]
struct Contents<'a> {
    /// Flat hypervisor image.
    image: &'a [u8],
    /// The VMs. Without one EL2 can only complain, and a test wants to see that.
    bundle: Option<&'a [u8]>,
    /// EL2's boot arguments.
    arguments: &'a str,
}

/// The command `cargo xtask image`.
///
/// # Errors
///
/// A file is missing or unfit, or the image cannot be built or written.
pub fn command(options: &Options) -> Result<()> {
    let (bundle, needs) = match options.selection.bundle(&Supplies::payloads())? {
        Selected::Given(path) => (read(&path)?, String::new()),
        Selected::Made(bundle) => {
            let ram = shown_size(ram(bundle.machine_ram, u64::try_from(bundle.bytes.len())?));
            (bundle.bytes, format!("; needs {} CPUs and {ram} of RAM", bundle.cpus))
        }
    };
    let image = read(&build::hypervisor()?.image)?;
    let contents = Contents { image: &image, bundle: Some(&bundle), arguments: &options.boot_args };
    let made = make(options.board, options.form, contents)?;
    fs::write(&options.output, &made)
        .with_context(|| format!("cannot write {}", options.output.display()))?;
    let size = shown_size(u64::try_from(made.len())?);
    println!("{}: {size}{needs}", workspace::shown(&options.output));
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Refuses a machine for which there is no U-Boot.
///
/// # Errors
///
/// The machine is not `virt`.
pub fn check_machine(machine: &str) -> Result<()> {
    let name = machine.split(',').next().unwrap_or_default();
    if name != "virt" && !name.starts_with("virt-") {
        bail!(
            "there is a U-Boot for QEMU's machine `virt` only, not for `{name}`: leave --via out"
        );
    }
    Ok(())
}

/// The disk from which U-Boot starts `boot` on the machine `virt`.
///
/// # Errors
///
/// A file cannot be read or does not fit into its format.
pub fn disk(via: Via, boot: &Boot<'_>) -> Result<Vec<u8>> {
    let image = read(boot.image)?;
    let bundle = boot.bundle.map(read).transpose()?;
    let contents = Contents { image: &image, bundle: bundle.as_deref(), arguments: boot.arguments };
    make(Board::Virt, via.form(), contents)
}

/// RAM for a machine where the VMs need `needs` and U-Boot starts it, which reads the bundle to one
/// place and then moves it to another.
pub fn ram(needs: u64, bundle: u64) -> u64 {
    /// U-Boot, its heap and its load addresses, the last of which is 64 MiB from the start.
    const U_BOOT: u64 = 128 << 20;
    (needs + bundle + U_BOOT).next_multiple_of(64 << 20)
}

/// The image of a disk, or a FIT.
///
/// # Errors
///
/// The parts do not fit into their format.
fn make(board: Board, form: Form, contents: Contents<'_>) -> Result<Vec<u8>> {
    let in_fit = || fit::write(contents.image, contents.bundle, board.load_address());
    match form {
        Form::Fit => in_fit(),
        Form::FitDisk => {
            let script = legacy::script(&commands(contents.arguments))?;
            disk::fat(&[
                File { folder: "", name: "postern.itb", bytes: &in_fit()? },
                File { folder: "", name: "boot.scr", bytes: &script },
            ])
        }
        Form::Disk => {
            let menu = menu(contents);
            let mut files = vec![
                File { folder: "extlinux", name: "extlinux.conf", bytes: menu.as_bytes() },
                File { folder: "", name: "postern.img", bytes: contents.image },
            ];
            let bundle = contents.bundle.map(legacy::ramdisk).transpose()?;
            if let Some(bytes) = &bundle {
                files.push(File { folder: "", name: "postern.bundle", bytes });
            }
            disk::fat(&files)
        }
    }
}

/// `extlinux.conf`. It names no tree, so U-Boot passes the one that it has itself.
fn menu(contents: Contents<'_>) -> String {
    let mut menu = String::from("default postern\nlabel postern\n\tkernel /postern.img\n");
    if contents.bundle.is_some() {
        menu.push_str("\tinitrd /postern.bundle\n");
    }
    if !contents.arguments.is_empty() {
        menu.push_str(&format!("\tappend {}\n", contents.arguments));
    }
    menu
}

/// The script that starts the FIT. U-Boot sets the variables of `load` before it runs a script.
fn commands(arguments: &str) -> String {
    let fit = format!("${{ramdisk_addr_r}}#{}", fit::CONFIGURATION);
    format!(
        "setenv bootargs '{arguments}'\n\
         load ${{devtype}} ${{devnum}}:${{distro_bootpart}} ${{ramdisk_addr_r}} postern.itb\n\
         bootm {fit} {fit} ${{fdtcontroladdr}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_menu_names_what_there_is() {
        let mut contents =
            Contents { image: b"", bundle: Some(b"b"), arguments: "postern.log=debug" };
        let whole = menu(contents);
        for line in ["kernel /postern.img", "initrd /postern.bundle", "append postern.log=debug"] {
            assert!(whole.lines().any(|found| found.trim() == line), "{whole}");
        }
        contents.bundle = None;
        contents.arguments = "";
        let bare = menu(contents);
        assert!(!bare.contains("initrd") && !bare.contains("append"), "{bare}");
    }
}
