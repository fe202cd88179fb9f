//! Disks for emulated machines that start through firmware.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::contents::{Contents, NamedTree};
use super::parts::{self, Form};
use super::refuse;
use crate::board::{Addresses, Board};
use crate::qemu::{Boot, MODELS, Machine, Model};

/// How a machine's firmware comes to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// U-Boot from a disk, by `extlinux.conf` and `booti`.
    UBoot,
    /// U-Boot from a disk, by `boot.scr` and `booti`.
    UBootScript,
    /// U-Boot from a disk as for a board of which only the tree and some addresses are known.
    UBootGeneric,
    /// U-Boot from a disk, by `boot.scr` and `bootm` of a FIT with hashes.
    UBootFit,
    /// U-Boot from a disk, as an EFI application.
    UBootEfi,
    /// EDK2 from a disk, as an EFI application.
    Uefi,
}

impl Via {
    /// The disk that this way takes.
    fn form(self) -> Form {
        match self {
            Self::UBoot => Form::Disk,
            Self::UBootScript | Self::UBootGeneric => Form::ScriptDisk,
            Self::UBootFit => Form::FitDisk,
            Self::UBootEfi | Self::Uefi => Form::EfiDisk,
        }
    }

    /// Refuses words for Postern that would not arrive in this way.
    ///
    /// # Errors
    ///
    /// Says what is wrong with them.
    pub fn check_words(self, words: &str) -> Result<()> {
        self.form().check_words(words)
    }

    /// What QEMU's machine must be told, unless the caller's words say it: EDK2 passes on either
    /// ACPI tables or the device tree.
    pub fn machine_option(self) -> Option<&'static str> {
        (self == Self::Uefi).then_some("acpi=off")
    }
}

/// The board that QEMU's machine `model` stands for, if it can be started in this way.
///
/// # Errors
///
/// There is no firmware for it, or not one that can do this; the message says what would do.
pub fn board_of(model: &Model, via: Via) -> Result<Board> {
    let with: Vec<_> = MODELS.iter().filter(|model| model.u_boot.is_some()).collect();
    let names: Vec<_> = with.iter().map(|model| model.name).collect();
    let board = model.u_boot.with_context(|| {
        format!(
            "there is firmware for QEMU's machines {} only, not for {}: leave --via out",
            names.join(" and "),
            model.name
        )
    })?;
    ensure!(
        board != Board::Rpi4 || via != Via::UBootFit,
        "Debian's U-Boot for the Raspberry Pi takes no FIT (its CONFIG_FIT is off): give --via u-boot"
    );
    ensure!(
        board == Board::Virt || via != Via::Uefi,
        "there is an EDK2 for QEMU's machine virt only: give --via u-boot-efi"
    );
    ensure!(
        board == Board::Virt || via != Via::UBootGeneric,
        "a card for a board that is not known starts on QEMU's machine virt only: give --via u-boot"
    );
    Ok(board)
}

/// Where a card for a board that is not known puts things on `virt`: nowhere that U-Boot has it by itself.
const ELSEWHERE: Addresses = Addresses {
    image_addr: Some(0x4108_0000),
    bundle_addr: Some(0x4600_0000),
    tree_addr: Some(0x4300_0000),
    memory: Vec::new(),
};

/// The disk from which U-Boot starts `boot` on `machine`, which stands for `board`. QEMU has the
/// firmware and its tree elsewhere. `scratch` is a file to work with.
///
/// # Errors
///
/// A file cannot be read or does not fit into its format.
pub fn disk(
    machine: &Machine,
    board: Board,
    via: Via,
    boot: &Boot<'_>,
    scratch: &Path,
) -> Result<Vec<u8>> {
    let image = read(boot.image)?;
    let bundle = boot.bundle.map(read).transpose()?;
    if via == Via::UBootGeneric {
        let facts = Board::Generic.with(&ELSEWHERE)?;
        let tree = machine.plain_tree(boot.image, scratch)?;
        refuse(&facts, &[], &tree, &image, bundle.as_deref().unwrap_or_default())?;
        let contents = Contents {
            image: &image,
            bundle: bundle.as_deref(),
            tree: Some(NamedTree { name: "board.dtb", bytes: &tree }),
            arguments: boot.arguments,
        };
        return parts::make(Board::Generic, &facts, via.form(), &contents, &[]);
    }
    let facts = board.with(&Addresses::default())?;
    let contents = Contents {
        image: &image,
        bundle: bundle.as_deref(),
        tree: None,
        arguments: boot.arguments,
    };
    parts::make(board, &facts, via.form(), &contents, &[])
}

/// RAM for a machine where the VMs need `needs` and U-Boot starts it, which reads the bundle to one
/// place and then moves it to another.
pub fn ram(needs: u64, bundle: u64) -> u64 {
    /// U-Boot, its heap and its load addresses, the last of which is 64 MiB from the start.
    const U_BOOT: u64 = 128 << 20;
    (needs + bundle + U_BOOT).next_multiple_of(64 << 20)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_stand_for_boards_and_others_are_named() {
        let board = |machine| board_of(Model::find(machine).unwrap(), Via::UBoot);
        assert_eq!(board("virt,gic-version=2").unwrap(), Board::Virt);
        assert_eq!(board("virt-7.2").unwrap(), Board::Virt);
        assert_eq!(board("raspi4b").unwrap(), Board::Rpi4);
        let refused = board("imx8mp-evk").unwrap_err().to_string();
        for word in ["imx8mp-evk", "virt and raspi4b", "--via"] {
            assert!(refused.contains(word), "{refused}");
        }
        let no_edk2 = board_of(Model::find("raspi4b").unwrap(), Via::Uefi).unwrap_err();
        assert!(no_edk2.to_string().contains("u-boot-efi"), "{no_edk2}");
        let no_fit = board_of(Model::find("raspi4b").unwrap(), Via::UBootFit).unwrap_err();
        assert!(no_fit.to_string().contains("CONFIG_FIT"), "{no_fit}");
        assert!(board_of(Model::find("raspi4b").unwrap(), Via::UBootGeneric).is_err());
    }
}
