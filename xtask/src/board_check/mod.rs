//! `cargo xtask board-check`: what a device tree says about Postern's chances on a board, before
//! anybody flashes anything.
//!
//! The tree is read by the same code as on the board, and memory is given away by the same rules.

mod cause;
mod census;
mod cpus;
mod guests;
mod hardware;
mod nodes;
mod places;
mod report;
mod subject;
mod text;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use hyp_abi::exit;
use hyp_core::console::Plain;
use hyp_core::memory::PaRange;

use crate::board::{Addresses, Board, Facts};
use crate::build;
use crate::payload::image_size;
use cause::Cause;
use places::Loads;
use report::{Report, Severity, Span};
use subject::Subject;

/// Bytes that are taken for a bundle of unknown size.
const SOME_BUNDLE: u64 = 32 << 20;
/// U-Boot's legacy header in front of a bundle on a card: its magic number and length.
const LEGACY: (&[u8], usize) = (&[0x27, 0x05, 0x19, 0x56], 64);

/// Options of `board-check`.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// The board's device tree, flattened (.dtb): the one that firmware or U-Boot passes on. Of several,
    /// and of a folder all of whose `.dtb` files are taken, each gets a line.
    #[arg(value_name = "TREE.dtb", required_unless_present = "census")]
    trees: Vec<PathBuf>,
    /// Take the load addresses of this board's U-Boot.
    #[arg(long, value_enum, value_name = "NAME")]
    board: Option<Board>,
    #[command(flatten)]
    addresses: Addresses,
    /// The image [default: `target/postern/postern.img`, built if need be].
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The bundle whose VMs are to run there [default: none, and 32 MiB are taken for it].
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Reckon with 1 GiB where no device is, if a tree lists no memory.
    #[arg(long)]
    assume_memory: bool,
    /// Print the report as JSON: an object, or a list of them for several trees.
    #[arg(long)]
    json: bool,
    /// Check all trees of Debian's kernel package instead, and compare the counts with docs/boards.md.
    #[arg(long, conflicts_with_all = ["trees", "board", "bundle", "image", "json"])]
    census: bool,
    /// Write the counts to docs/boards.md.
    #[arg(long)]
    save: bool,
}

/// The command `cargo xtask board-check`; the answer is the exit status of this program.
///
/// # Errors
///
/// A file cannot be read, or the bundle is damaged.
pub fn command(options: &Options) -> Result<u8> {
    if options.census {
        return census::command(options.save);
    }
    ensure!(!options.save, "--save writes the counts of --census");
    let bundle = options.bundle.as_deref().map(|path| read(path).map(|bytes| (path, bytes)));
    let bundle = bundle.transpose()?;
    let facts = options.board.map(|board| board.with(&options.addresses)).transpose()?;
    let loads = options.loads(facts.as_ref(), bundle.as_ref().map(|(_, bytes)| bytes.len()))?;
    let mut reports = Vec::new();
    for file in files(&options.trees)? {
        let vms = bundle.as_ref().map(|(path, bytes)| (*path, bare(bytes)));
        reports.push(options.check(&file, &loads, vms)?);
    }
    let is_one = matches!(options.trees.as_slice(), [path] if path.is_file());
    if let ([report], true) = (reports.as_slice(), is_one)
        && let Some(damage) = report.damage()
    {
        bail!("{}: {damage}", report.tree);
    }
    let shown = match (options.json, reports.as_slice()) {
        (true, [report]) if is_one => serde_json::to_string_pretty(report)? + "\n",
        (true, reports) => serde_json::to_string_pretty(reports)? + "\n",
        (false, [report]) if is_one => text::render(report),
        (false, reports) => text::lines(reports),
    };
    print!("{shown}");
    Ok(status(&reports))
}

/// 2 if a tree is damaged, else 1 if one does not boot.
fn status(reports: &[Report]) -> u8 {
    if reports.iter().any(|report| report.damage().is_some()) {
        exit::BAD_INPUT
    } else if reports.iter().all(|report| report.boots) {
        exit::GUEST_OFF
    } else {
        exit::GUEST_FAILED
    }
}

/// The files to check, those of a folder in the order of their paths.
fn files(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        if path.is_dir() {
            let before = files.len();
            list(path, &mut files)?;
            ensure!(files.len() > before, "{} has no .dtb file in it", path.display());
            files.get_mut(before..).unwrap_or_default().sort();
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let items = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for item in items {
        let path = item?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "dtb") {
            files.push(path);
        }
    }
    Ok(())
}

/// What is wrong with booting from `tree` where `facts` say, the gravest first; nothing if all is well.
///
/// # Errors
///
/// The tree is damaged, or there is no sense in `memory`.
pub fn complaints(
    facts: &Facts,
    memory: &[PaRange],
    tree: &[u8],
    image: &[u8],
    bundle: &[u8],
) -> Result<Vec<Complaint>> {
    let loads = Loads {
        image_at: Some(facts.image),
        image_file: u64::try_from(image.len())?,
        image_size: image_size(image)?,
        bundle_at: Some(facts.bundle),
        bundle_size: u64::try_from(bundle.len() + LEGACY.1)?,
        tree_at: facts.tree,
        facts: Some(facts),
    };
    let mut subject = Subject::read(tree)?;
    let mut report = Report::default();
    subject.complete_memory(&loads, memory, false, &mut report)?;
    look(&subject, &loads, Some(bundle), &mut report)?;
    let grave = |finding: &report::Finding| finding.severity != Severity::Note;
    let complaint = |finding: report::Finding| Complaint {
        stops: finding.severity == Severity::Stop,
        text: match finding.remedy {
            Some(remedy) => format!("{}: {}; remedy: {remedy}", finding.topic, finding.text),
            None => format!("{}: {}", finding.topic, finding.text),
        },
    };
    Ok(report.conclude().findings.into_iter().filter(grave).map(complaint).collect())
}

/// Something that is wrong.
#[derive(Debug)]
pub struct Complaint {
    /// It stops the boot.
    pub stops: bool,
    /// What it is, and what mends it.
    pub text: String,
}

impl Options {
    /// Reads a tree and looks at it.
    ///
    /// # Errors
    ///
    /// It cannot be read, or what is given beside it makes no sense.
    fn check(
        &self,
        file: &Path,
        loads: &Loads<'_>,
        bundle: Option<(&Path, &[u8])>,
    ) -> Result<Report> {
        let tree = read(file)?;
        let mut report = Report {
            tree: file.display().to_string(),
            board: self.board.map(Board::name),
            source: loads.facts.map_or("", |facts| facts.source),
            ..Report::default()
        };
        let mut subject = match Subject::read(&tree) {
            Ok(subject) => subject,
            Err(error) => {
                let remedy = "none: read the tree from the board once more";
                report.stop(Cause::Damaged, error.to_string(), remedy);
                return Ok(report.conclude());
            }
        };
        let model = subject.machine.model;
        report.model = (!model.is_empty()).then(|| Plain(model.as_bytes()).to_string());
        let memory = &self.addresses.memory;
        subject.complete_memory(loads, memory, self.assume_memory, &mut report)?;
        let vms = bundle.map(|(_, vms)| vms);
        look(&subject, loads, vms, &mut report).with_context(|| {
            bundle.map_or(String::new(), |(path, _)| path.display().to_string())
        })?;
        Ok(report.conclude())
    }

    /// Sizes and addresses; what is said on the command line counts more than the board's table.
    fn loads<'a>(&self, facts: Option<&'a Facts>, bundle: Option<usize>) -> Result<Loads<'a>> {
        let given = &self.addresses;
        let image_at = given.image_addr.or(facts.map(|facts| facts.image));
        let bundle_size = bundle.map_or(Ok(SOME_BUNDLE), u64::try_from)?;
        let mut loads = Loads {
            image_at,
            bundle_at: given.bundle_addr.or(facts.map(|facts| facts.bundle)),
            bundle_size,
            tree_at: given.tree_addr.or(facts.and_then(|facts| facts.tree)),
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
    subject: &Subject<'_>,
    loads: &Loads<'_>,
    bundle: Option<&[u8]>,
    report: &mut Report,
) -> Result<()> {
    hardware::look(subject, report);
    let free = places::look(subject, loads, report);
    report.firmware_adds = nodes::missing(&subject.tree, subject.lists_memory);
    if let (None, Some(log)) = (&report.machine.console, loads.log()) {
        report.note("console", format!("the log will be at {}", Span::from(log).shown()));
    }
    if loads.image_at.is_none() {
        let text = "neither --board nor --image-addr is given, so nothing is said about where \
                    things are loaded";
        report.note("addresses", text);
    }
    if loads.tree_at.is_none() && loads.facts.is_some() {
        let text = "where the tree lies is the firmware's choice: `printenv fdt_addr` at U-Boot's \
                    prompt says it, and --tree-addr has it checked";
        report.note("addresses", text);
    }
    match bundle {
        Some(bundle) => guests::look(subject, bundle, free, report),
        None => Ok(()),
    }
}

/// A bundle without the header that it has on a card.
fn bare(bytes: &[u8]) -> &[u8] {
    let (magic, len) = LEGACY;
    bytes.get(len..).filter(|_| bytes.starts_with(magic)).unwrap_or(bytes)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
