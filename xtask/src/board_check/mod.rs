//! `cargo xtask board-check`: what a device tree says about Postern's chances on a board, before
//! anybody flashes anything.
//!
//! The tree is read by the same code as on the board, and memory is given away by the same rules.

mod guests;
mod hardware;
mod places;
mod report;
mod text;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use hyp_abi::exit;
use hyp_core::addr::Pa;
use hyp_core::console::Plain;
use hyp_core::memory::PaRange;
use hyp_core::tree::{Machine, Tree, string};

use crate::board::Board;
use crate::build;
use crate::payload::image_size;
use crate::units::{parse_address, parse_size};
use places::Loads;
use report::{Report, Severity};

/// Bytes that are taken for a bundle of unknown size.
const SOME_BUNDLE: u64 = 32 << 20;
/// U-Boot's legacy header in front of a bundle on a card: its magic number and length.
const LEGACY: (&[u8], usize) = (&[0x27, 0x05, 0x19, 0x56], 64);

/// Options of `board-check`.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// The board's device tree, flattened (.dtb): the one that firmware or U-Boot passes on.
    #[arg(value_name = "TREE.dtb")]
    tree: PathBuf,
    /// Take the load addresses of this board's U-Boot.
    #[arg(long, value_enum, value_name = "NAME")]
    board: Option<Board>,
    /// Where U-Boot reads the image to (`kernel_addr_r`).
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    image_addr: Option<u64>,
    /// Where U-Boot reads the bundle to (`ramdisk_addr_r`).
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    bundle_addr: Option<u64>,
    /// Where the tree lies (`fdt_addr_r`, or `fdt_addr` if firmware has put it there).
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    tree_addr: Option<u64>,
    /// The image [default: `target/postern/postern.img`, built if need be].
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The bundle whose VMs are to run there [default: none, and 32 MiB are taken for it].
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// A bank of memory, for a tree whose memory the firmware fills in; may be repeated.
    #[arg(long = "memory", value_name = "ADDRESS:SIZE", value_parser = parse_bank)]
    memory: Vec<PaRange>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// The command `cargo xtask board-check`; the answer is the exit status of this program.
///
/// # Errors
///
/// A file cannot be read, or is damaged.
pub fn command(options: &Options) -> Result<u8> {
    let report = options.check()?;
    let shown = if options.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        text::render(&report)
    };
    print!("{shown}");
    Ok(if report.boots { exit::GUEST_OFF } else { exit::GUEST_FAILED })
}

/// What is wrong with booting from `tree` on `board`, in lines; nothing if all is well.
///
/// # Errors
///
/// The tree is damaged.
pub fn complaints(board: Board, tree: &[u8], image: &[u8], bundle: &[u8]) -> Result<Vec<String>> {
    let mut machine = Machine::from_tree(tree)?;
    let mut report = Report::default();
    let facts = board.facts();
    let loads = Loads {
        image_at: Some(facts.image),
        image_file: u64::try_from(image.len())?,
        image_size: image_size(image)?,
        bundle_at: Some(facts.bundle),
        bundle_size: u64::try_from(bundle.len() + LEGACY.1)?,
        tree_at: facts.tree,
        facts: Some(facts),
    };
    look(&mut machine, &loads, &[], Some(bundle), &mut report)?;
    let report = report.conclude();
    let grave = report.findings.iter().filter(|finding| finding.severity != Severity::Note);
    Ok(grave.map(|finding| format!("{}: {}", finding.topic, finding.text)).collect())
}

impl Options {
    /// Reads everything and looks at it.
    fn check(&self) -> Result<Report> {
        let tree = read(&self.tree)?;
        let bundle = self.bundle.as_deref().map(|path| read(path).map(|bytes| (path, bytes)));
        let bundle = bundle.transpose()?;
        let mut report = Report {
            tree: self.tree.display().to_string(),
            board: self.board.map(Board::name),
            source: self.board.map_or("", |board| board.facts().source),
            ..Report::default()
        };
        let damaged = |error| anyhow!("{}: {error}", self.tree.display());
        let mut machine = Machine::from_tree(&tree).map_err(damaged)?;
        report.model = Tree::new(&tree)
            .ok()
            .and_then(|tree| string(tree.root().value(b"model")?))
            .map(|model| Plain(model).to_string());
        let loads = self.loads(bundle.as_ref().map(|(_, bytes)| bytes.len()))?;
        let vms = bundle.as_ref().map(|(_, bytes)| bare(bytes));
        look(&mut machine, &loads, &self.memory, vms, &mut report).with_context(|| {
            bundle.as_ref().map_or(String::new(), |(path, _)| path.display().to_string())
        })?;
        Ok(report.conclude())
    }

    /// Sizes and addresses; what is said on the command line counts more than the board's table.
    fn loads(&self, bundle: Option<usize>) -> Result<Loads> {
        let facts = self.board.map(Board::facts);
        let image_at = self.image_addr.or(facts.map(|facts| facts.image));
        let bundle_size = bundle.map_or(Ok(SOME_BUNDLE), u64::try_from)?;
        let mut loads = Loads {
            image_at,
            bundle_at: self.bundle_addr.or(facts.map(|facts| facts.bundle)),
            bundle_size,
            tree_at: self.tree_addr.or(facts.and_then(|facts| facts.tree)),
            facts,
            ..Loads::default()
        };
        if image_at.is_some() || self.image.is_some() {
            let path = match &self.image {
                Some(path) => path.clone(),
                None => build::hypervisor()?.image,
            };
            let image = read(&path)?;
            loads.image_file = u64::try_from(image.len())?;
            loads.image_size = image_size(&image).with_context(|| format!("{}", path.display()))?;
        }
        Ok(loads)
    }
}

/// Looks at everything in the order in which EL2 would find it out.
fn look(
    machine: &mut Machine<'_>,
    loads: &Loads,
    memory: &[PaRange],
    bundle: Option<&[u8]>,
    report: &mut Report,
) -> Result<()> {
    complete_memory(machine, loads, memory, report)?;
    hardware::look(machine, report);
    let free = places::look(machine, loads, report);
    if loads.image_at.is_none() {
        let text = "neither --board nor --image-addr is given, so nothing is said about where \
                    things are loaded";
        report.find(Severity::Note, "addresses", text);
    }
    if loads.tree_at.is_none() && loads.facts.is_some() {
        let text = "where the tree lies is the firmware's choice: `printenv fdt_addr` at U-Boot's \
                    prompt says it, and --tree-addr has it checked";
        report.find(Severity::Note, "addresses", text);
    }
    match bundle {
        Some(bundle) => guests::look(machine, bundle, free, report),
        None => Ok(()),
    }
}

/// Puts in the memory that the board's firmware would.
fn complete_memory(
    machine: &mut Machine<'_>,
    loads: &Loads,
    memory: &[PaRange],
    report: &mut Report,
) -> Result<()> {
    let is_empty = machine.memory.is_empty();
    ensure!(
        is_empty || memory.is_empty(),
        "the tree lists memory of its own: --memory is for trees without"
    );
    for (n, bank) in memory.iter().enumerate() {
        ensure!(
            !memory.iter().take(n).any(|other| other.overlaps(*bank)),
            "two banks given with --memory overlap"
        );
        machine.memory.try_push(*bank).map_err(|_| anyhow!("too many --memory"))?;
    }
    let least = loads.facts.and_then(|facts| facts.least_ram);
    if let (true, true, Some(bytes)) = (is_empty, memory.is_empty(), least) {
        machine.memory.push(PaRange::between(Pa(0), Pa(bytes)));
        let text = "the tree lists no memory: the board's firmware fills it in. Reckoned with the \
                    smallest model; --memory ADDRESS:SIZE says otherwise";
        report.find(Severity::Note, "memory", text);
    }
    Ok(())
}

/// A bundle without the header that it has on a card.
fn bare(bytes: &[u8]) -> &[u8] {
    let (magic, len) = LEGACY;
    bytes.get(len..).filter(|_| bytes.starts_with(magic)).unwrap_or(bytes)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A bank such as `0x80000000:512M`.
fn parse_bank(text: &str) -> Result<PaRange> {
    let Some((base, size)) = text.split_once(':') else {
        bail!("`{text}` is no bank of memory; write for example 0x80000000:512M");
    };
    PaRange::new(Pa(parse_address(base)?), parse_size(size)?)
        .filter(|range| !range.is_empty())
        .with_context(|| format!("`{text}` is empty or ends above 64-bit addresses"))
}
