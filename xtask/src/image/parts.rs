//! Puts an image together from its parts.

use anyhow::{Result, bail};

use super::contents::Contents;
use super::disk::{self, File};
use super::{efi, fit, legacy, text};
use crate::board::{Board, Facts};

/// What is made for the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A disk or card whose `extlinux.conf` names image, bundle and tree; U-Boot starts them by
    /// `booti`. A `boot.scr` does the same where U-Boot cannot take the former.
    Disk,
    /// The same without `extlinux.conf`: U-Boot follows `boot.scr`, which says every address.
    ScriptDisk,
    /// A disk or card with a FIT, whose `boot.scr` starts it by `bootm` after U-Boot has checked
    /// its SHA-256 hashes.
    FitDisk,
    /// A disk or card from which EFI firmware starts the image by itself: EDK2, or the EFI loader of
    /// U-Boot.
    EfiDisk,
    /// The FIT alone, for boards that load it in their own way.
    Fit,
}

impl Form {
    /// Refuses words for Postern that would not arrive in this way.
    ///
    /// # Errors
    ///
    /// Says what is wrong with them.
    pub(super) fn check_words(self, words: &str) -> Result<()> {
        match self {
            Self::Disk | Self::ScriptDisk | Self::FitDisk => text::check_words(words),
            Self::Fit if !words.is_empty() => bail!(
                "--boot-args: a FIT carries no words for Postern; say them in U-Boot: `setenv bootargs`, \
                 then `bootm`"
            ),
            Self::EfiDisk | Self::Fit => Ok(()),
        }
    }
}

/// The image of a disk, or a FIT, for `board`, of which `facts` are known. `more` are files of the board's firmware.
///
/// # Errors
///
/// The parts do not fit into their format.
pub(super) fn make(
    board: Board,
    facts: &Facts,
    form: Form,
    contents: &Contents<'_>,
    more: &[File<'_>],
) -> Result<Vec<u8>> {
    form.check_words(contents.arguments)?;
    match form {
        Form::Fit => in_fit(contents, facts),
        Form::EfiDisk => on_card(board, facts, contents, more, &efi::files(contents)),
        Form::FitDisk => {
            let contents_of_fit = without_firmware_tree(contents, facts);
            let fit = in_fit(contents, facts)?;
            let script = legacy::script(&text::fit_script(&contents_of_fit, facts))?;
            on_card(board, facts, contents, more, &[(text::FIT, &fit), (text::SCRIPT, &script)])
        }
        Form::Disk | Form::ScriptDisk => {
            let bundle = contents.bundle.map(legacy::ramdisk).transpose()?;
            let script = legacy::script(&text::script(contents, facts))?;
            let menu = text::menu(contents, facts);
            let mut files = vec![(text::SCRIPT, &*script), (text::IMAGE, contents.image)];
            if form == Form::Disk {
                files.push((text::MENU, menu.as_bytes()));
            }
            files.extend(bundle.as_deref().map(|bundle| (text::BUNDLE, bundle)));
            on_card(board, facts, contents, more, &files)
        }
    }
}

fn in_fit(contents: &Contents<'_>, facts: &Facts) -> Result<Vec<u8>> {
    fit::write(&without_firmware_tree(contents, facts), facts.load)
}

/// A tree that the firmware has to complete is of no use to U-Boot.
fn without_firmware_tree<'a>(contents: &Contents<'a>, facts: &Facts) -> Contents<'a> {
    Contents { tree: contents.tree.filter(|_| !facts.firmware_has_tree), ..*contents }
}

/// A card with `files`, by path, and what each card of the board has.
fn on_card(
    board: Board,
    facts: &Facts,
    contents: &Contents<'_>,
    more: &[File<'_>],
    files: &[(&str, &[u8])],
) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for (path, bytes) in files {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        all.push(File { folder, name, bytes });
    }
    if let Some(tree) = contents.tree {
        all.push(File { folder: "", name: tree.name, bytes: tree.bytes });
    }
    let config = text::config(contents);
    if board == Board::Rpi4 {
        all.push(File { folder: "", name: "config.txt", bytes: config.as_bytes() });
    }
    all.extend(more.iter().copied());
    disk::fat(&all, facts.table, facts.partition)
}
