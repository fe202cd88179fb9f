//! `cargo xtask image`: what a board's U-Boot boots, with the hypervisor, its VMs and how to start
//! them.

mod contents;
mod disk;
mod efi;
mod fit;
mod legacy;
mod parts;
mod text;
pub mod via;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use hyp_core::memory::PaRange;
use hyp_core::tree::Tree;

use crate::board::{Addresses, Board, Facts};
use crate::run::{Selected, Selection, Supplies};
use crate::units::shown_size;
use crate::{board_check, build, output_file, setup, workspace};
use contents::{Contents, NamedTree};
use disk::File;
use parts::Form;
use via::{ram, read};

/// The word that stands for the tree which U-Boot has anyway.
const U_BOOT_TREE: &str = "u-boot";

/// Options of `image`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The board that is to boot it; `generic` is any other, of which `--tree FILE` and all addresses are
    /// given.
    #[arg(long, value_enum, value_name = "NAME")]
    board: Board,
    #[command(flatten)]
    addresses: Addresses,
    /// What to make [default: disk; for generic script-disk, as `extlinux.conf` names no addresses].
    #[arg(long, value_enum)]
    form: Option<Form>,
    /// Where it goes.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The board's device tree, or `u-boot` for the one that its U-Boot has anyway [default: for
    /// zcu102, imx8mp and rpi4 the tree of Debian's kernel package, else `u-boot`].
    #[arg(long, value_name = "FILE")]
    tree: Option<PathBuf>,
    /// U-Boot itself, for rpi4, whose firmware reads it from the card [default: Debian's].
    #[arg(long, value_name = "FILE")]
    u_boot: Option<PathBuf>,
    /// Words for Postern itself, such as `postern.log=debug`.
    #[arg(long, default_value = "", value_name = "WORDS", hide_default_value = true)]
    boot_args: String,
    #[command(flatten)]
    selection: Selection,
}

/// The command `cargo xtask image`.
///
/// # Errors
///
/// A file is missing or unfit, or the image cannot be built or written.
pub fn command(options: &Options) -> Result<()> {
    let board = options.board;
    options.check()?;
    let facts = &board.with(&options.addresses)?;
    // What cannot be had is found before anything is built.
    let tree = options.tree()?;
    let u_boot = options.u_boot()?;
    let (bundle, needs) = match options.selection.bundle(&Supplies::new(None))? {
        Selected::Given(path) => (read(&path)?, String::new()),
        Selected::Made(bundle) => {
            let ram = shown_size(ram(bundle.machine_ram, u64::try_from(bundle.bytes.len())?));
            (bundle.bytes, format!("; needs {} CPU(s) and {ram} of RAM", bundle.cpus))
        }
    };
    let image = read(&build::hypervisor()?.image)?;
    if let Some((name, tree)) = &tree {
        let memory = &options.addresses.memory;
        if board == Board::Generic {
            refuse(facts, memory, tree, &image, &bundle).with_context(|| name.clone())?;
        }
        for complaint in board_check::complaints(facts, memory, tree, &image, &bundle)? {
            eprintln!("[xtask] {name}: {}", complaint.text);
        }
    }
    let contents = Contents {
        image: &image,
        bundle: Some(&bundle),
        tree: tree.as_ref().map(|(name, bytes)| NamedTree { name, bytes }),
        arguments: &options.boot_args,
    };
    let more: Vec<_> =
        u_boot.iter().map(|bytes| File { folder: "", name: "u-boot.bin", bytes }).collect();
    let made = parts::make(board, facts, options.form(), &contents, &more)?;
    fs::write(&options.output, &made)
        .with_context(|| format!("cannot write {}", options.output.display()))?;
    let size = shown_size(u64::try_from(made.len())?);
    println!("{}: {size}{needs}", workspace::shown(&options.output));
    explain(options, facts, tree.as_ref().map(|(name, _)| name.as_str()));
    Ok(())
}

impl Options {
    fn form(&self) -> Form {
        let usual = if self.board == Board::Generic { Form::ScriptDisk } else { Form::Disk };
        self.form.unwrap_or(usual)
    }

    /// Refuses words that would not arrive, or that belong to another board.
    fn check(&self) -> Result<()> {
        ensure!(
            self.u_boot.is_none() || self.board == Board::Rpi4,
            "--u-boot is for rpi4 alone: the other boards have U-Boot in flash or in their boot \
             file"
        );
        ensure!(
            self.board != Board::Rpi4 || self.form() != Form::FitDisk || self.u_boot.is_some(),
            "Debian's U-Boot for the Raspberry Pi takes no FIT (its CONFIG_FIT is off): give another \
             with --u-boot, or leave --form out"
        );
        ensure!(
            self.board != Board::Generic
                || self.tree.as_ref().is_some_and(|tree| tree.as_os_str() != U_BOOT_TREE),
            "--board generic takes the board's own tree, which is checked and goes on the card: --tree FILE"
        );
        self.form().check_words(&self.boot_args)?;
        output_file::check("--output", &self.output, &["img", "bin", "raw", "itb", "fit"])?;
        let folder = self.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        ensure!(
            folder.is_none_or(Path::is_dir) && !self.output.is_dir(),
            "cannot write {}: there is no such folder, or it is one itself",
            self.output.display()
        );
        Ok(())
    }

    /// Name and contents of the tree for the card, if one goes there.
    fn tree(&self) -> Result<Option<(String, Vec<u8>)>> {
        let tree_file = self.board.facts().and_then(|facts| facts.tree_file);
        let (path, name) = match (&self.tree, tree_file) {
            (Some(word), _) if word.as_os_str() == U_BOOT_TREE => return Ok(None),
            (Some(path), known) => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("board.dtb");
                // It is a word in a script for U-Boot and in `config.txt`.
                ensure!(
                    known.is_some()
                        || name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.,+".contains(c)),
                    "--tree: a file called `{name}` cannot be named on the card: take letters, digits, \
                     `-`, `_`, `.`, `,` and `+`"
                );
                (path.clone(), known.map_or(name, |known| known.name))
            }
            (None, Some(known)) => (board_trees()?.join(known.name), known.name),
            (None, None) => return Ok(None),
        };
        let bytes = read(&path)?;
        if let Err(error) = Tree::new(&bytes) {
            bail!("{} is no device tree: {error}", path.display());
        }
        Ok(Some((name.to_owned(), bytes)))
    }

    fn u_boot(&self) -> Result<Option<Vec<u8>>> {
        match &self.u_boot {
            Some(path) => read(path).map(Some),
            None if self.board == Board::Rpi4 && self.form() != Form::Fit => {
                read(&setup::ensure_u_boot_rpi()?).map(Some)
            }
            None => Ok(None),
        }
    }
}

/// Refuses a board that would not boot.
///
/// # Errors
///
/// What stops it, with the remedies.
fn refuse(
    facts: &Facts,
    memory: &[PaRange],
    tree: &[u8],
    image: &[u8],
    bundle: &[u8],
) -> Result<()> {
    let complaints = board_check::complaints(facts, memory, tree, image, bundle)?;
    let stops: Vec<_> =
        complaints.into_iter().filter(|one| one.stops).map(|one| one.text).collect();
    ensure!(stops.is_empty(), "the board would not boot:\n{}", stops.join("\n"));
    Ok(())
}

fn board_trees() -> Result<PathBuf> {
    setup::ensure_board_trees().context(
        "no device tree for the board: `cargo xtask setup --boards` fetches Debian's where there \
         is a network, --tree FILE takes yours, and --tree u-boot leaves it to U-Boot",
    )
}

/// Says what a person has to do before the board starts it.
fn explain(options: &Options, facts: &Facts, tree: Option<&str>) {
    println!("for: {}", facts.title);
    match (tree, facts.firmware_has_tree) {
        (Some(tree), true) => println!("tree: {tree}, completed by the board's firmware"),
        (Some(tree), false) => println!("tree: {tree}"),
        (None, true) => println!("tree: the firmware's"),
        (None, false) => println!("tree: U-Boot's own"),
    }
    if options.form() == Form::Fit {
        println!(
            "start it from U-Boot: load it to {:#x}, then `bootm {:#x}#{}`",
            facts.bundle,
            facts.bundle,
            fit::CONFIGURATION
        );
        return;
    }
    for step in facts.to_add {
        println!("still to do: {step}");
    }
    if options.board != Board::Virt {
        println!(
            "write it to a card: dd if={} of=/dev/CARD bs=4M conv=fsync status=progress (CARD is \
             the whole card and loses all it holds: look twice, with lsblk)",
            shown(&options.output)
        );
    }
    println!("docs/boards.md takes it from here");
}

fn shown(path: &Path) -> String {
    workspace::shown(path).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &[u8] = include_bytes!("../../../hyp/core/src/tree/testdata/virt-gicv3.dtb");

    /// An arm64 `Image` header (Linux, Documentation/arch/arm64/booting.rst) for 1 MiB of memory.
    fn image() -> Vec<u8> {
        let mut image = vec![0; 4096];
        image[16..24].copy_from_slice(&(1_u64 << 20).to_le_bytes());
        image[24..32].copy_from_slice(&0xa_u64.to_le_bytes());
        image[56..60].copy_from_slice(b"ARM\x64");
        image
    }

    #[test]
    fn a_card_that_would_not_boot_is_refused_with_the_remedy() {
        let facts = |image: u64, bundle: u64, tree: u64| {
            let (image_addr, bundle_addr, tree_addr) = (Some(image), Some(bundle), Some(tree));
            let given = Addresses { image_addr, bundle_addr, tree_addr, ..Addresses::default() };
            Board::Generic.with(&given).unwrap()
        };
        // The demonstration's bundle has been opened long before.
        let kernel = tempfile::NamedTempFile::new().unwrap();
        fs::write(kernel.path(), [0; 64]).unwrap();
        let words = format!("kernel = '{}'", kernel.path().display()).parse().unwrap();
        let vm = crate::vm_desc::preset::describe(words).unwrap();
        let bundle = crate::bundle::build(&[vm]).unwrap().bytes;
        let refused = |facts: &Facts| {
            refuse(facts, &[], TREE, &image(), &bundle).err().map(|error| error.to_string())
        };
        assert_eq!(refused(&facts(0x4020_0000, 0x4400_0000, 0x4300_0000)), None);
        for (facts, words) in [
            (facts(0x4020_0000, 0x4028_0000, 0x4300_0000), ["overlap", "`--bundle-addr`"]),
            (facts(0x4020_0000, 0x4400_0000, 0x4300_0004), ["multiple of 8", "`--tree-addr`"]),
            (facts(0x0020_0000, 0x4400_0000, 0x4300_0000), ["memory bank", "`--image-addr`"]),
        ] {
            let said = refused(&facts).unwrap();
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }
}
