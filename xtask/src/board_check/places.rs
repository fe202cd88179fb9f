//! What lies where once U-Boot has loaded everything: what collides, and what is left.

use hyp_abi::{exit, log};
use hyp_core::addr::{BLOCK_2M, PAGE_SIZE, Pa};
use hyp_core::memory::{FreeMemory, PaRange};
use hyp_core::tree::Machine;
use hyp_core::tree::machine::{EnableMethod, Gic};

use super::Subject;
use super::cause::Cause;
use super::nodes;
use super::report::{Place, Report, Span};
use crate::board::{Facts, U_BOOT_SIZE};

/// Bytes of EL2's heap (`hyp/src/boot.rs`).
const HEAP: u64 = 1 << 20;
/// EL2 reads no larger tree (`hyp/src/mm/el2_map.rs`).
const MAX_TREE: u64 = 2 << 20;
/// What U-Boot adds to a tree before it passes it on (`CONFIG_SYS_FDT_PAD`), rounded up.
const TREE_PAD: u64 = 64 << 10;

/// Sizes in bytes and addresses of what is loaded; without an address nothing is said of a piece.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loads<'a> {
    /// Where U-Boot reads the image to.
    pub(super) image_at: Option<u64>,
    /// Bytes of the image's file.
    pub(super) image_file: u64,
    /// Bytes of memory that it takes when it runs.
    pub(super) image_size: u64,
    /// Where the bundle is read to.
    pub(super) bundle_at: Option<u64>,
    /// Its bytes.
    pub(super) bundle_size: u64,
    /// Where the tree lies.
    pub(super) tree_at: Option<u64>,
    /// What is known of the board.
    pub(super) facts: Option<&'a Facts>,
}

impl Loads<'_> {
    /// Where the image runs: `booti` moves one that is not at a 2 MiB boundary up to the next.
    fn runs_at(&self) -> Option<u64> {
        self.image_at?.checked_next_multiple_of(BLOCK_2M)
    }

    /// Where EL2's log will be if it is kept in memory.
    pub(super) fn log(&self) -> Option<PaRange> {
        let end = self.runs_at()?.checked_add(self.image_size)?;
        let size = u64::try_from(log::SIZE).ok()?;
        PaRange::new(Pa(end.checked_sub(size)?), size)
    }
}

/// What one piece is to the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// U-Boot needs it until it starts the image.
    Passing,
    /// EL2 needs it.
    Kept,
    /// U-Boot itself.
    Loader,
}

struct Piece {
    what: &'static str,
    range: PaRange,
    role: Role,
}

impl Piece {
    /// What places it elsewhere.
    fn option(&self) -> Option<&'static str> {
        match self.what {
            "image" | "image as loaded" => Some("`--image-addr`"),
            "bundle" => Some("`--bundle-addr`"),
            "tree" => Some("`--tree-addr`"),
            _ => None,
        }
    }

    fn remedy(&self) -> String {
        self.option().map_or_else(
            || format!("none: where the {} lies is not Postern's choice", self.what),
            |option| format!("choose another {option}"),
        )
    }
}

/// Notes the places and what is wrong with them; the answer is the memory that EL2 will find free.
pub(super) fn look(subject: &Subject<'_>, loads: &Loads<'_>, report: &mut Report) -> FreeMemory {
    let machine = &subject.machine;
    check_tree(machine, loads, report);
    if let Err(error) = machine.memory() {
        let remedy =
            "firmware fills it in on most boards; `--memory ADDRESS:SIZE` says what it will";
        let text = match nodes::has_memory_node(&subject.tree) {
            true => "the tree's /memory has size 0".to_owned(),
            false => error.to_string(),
        };
        report.stop(Cause::NoMemory, text, remedy);
        return FreeMemory::new();
    }
    check_banks(subject, report);
    let pieces = pieces(machine, loads, report);
    for piece in &pieces {
        check_alone(machine, piece, report);
        let span = piece.range.into();
        report.places.push(Place { what: piece.what.to_owned(), span });
    }
    for (n, one) in pieces.iter().enumerate() {
        for other in pieces.iter().skip(n + 1).filter(|other| other.range.overlaps(one.range)) {
            collide(one, other, report);
        }
    }
    let free = free_memory(machine, &pieces, report);
    report.free = free.pieces().iter().map(|piece| (*piece).into()).collect();
    free
}

fn check_tree(machine: &Machine<'_>, loads: &Loads<'_>, report: &mut Report) {
    let size = u64::try_from(machine.tree_size).unwrap_or(u64::MAX);
    if size > MAX_TREE {
        let text = format!(
            "the tree has {size} bytes and Postern reads {MAX_TREE} at most, without a word where \
             there are more"
        );
        let remedy =
            "take symbols out (dtc without -@) or cut the padding, then `image --tree FILE`";
        report.stop(Cause::TreeSize, text, remedy);
    }
    if let Some(at) = loads.tree_at.filter(|at| !at.is_multiple_of(8)) {
        let text = format!("the tree's address {at:#x} is not a multiple of 8");
        report.stop(Cause::TreeAddress, text, "choose another `--tree-addr`");
    }
}

/// Everything with a place, the image first.
fn pieces(machine: &Machine<'_>, loads: &Loads<'_>, report: &mut Report) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut add = |what, at: Option<u64>, size: u64, role| {
        let Some(at) = at else { return };
        match PaRange::new(Pa(at), size) {
            Some(range) => pieces.push(Piece { what, range, role }),
            None => {
                let text = format!("the {what} at {at:#x} ends above 64-bit addresses");
                let remedy = format!("choose another `--{what}-addr`");
                report.stop(Cause::Address, text, remedy);
            }
        }
    };
    let runs_at = loads.runs_at();
    if runs_at != loads.image_at {
        add("image as loaded", loads.image_at, loads.image_file, Role::Passing);
    }
    add("image", runs_at, loads.image_size, Role::Kept);
    add("bundle", loads.bundle_at, loads.bundle_size, Role::Kept);
    let tree_size = u64::try_from(machine.tree_size).unwrap_or(u64::MAX).saturating_add(TREE_PAD);
    add("tree", loads.tree_at, tree_size, Role::Kept);
    if let Some(facts) = loads.facts {
        let bank = machine.memory.iter().find(|bank| bank.contains(Pa(facts.image)));
        let top = bank.map(|bank| bank.end().get().min(facts.u_boot_below));
        let base = top.and_then(|top| top.checked_sub(U_BOOT_SIZE));
        add("U-Boot after its move", base, U_BOOT_SIZE, Role::Loader);
    }
    for cpu in &machine.cpus {
        if let EnableMethod::SpinTable(address) = cpu.enable_method {
            let page = address.page().get();
            let known = pieces.iter().any(|piece| piece.range.contains(Pa(page)));
            if !known {
                let range = PaRange::between(Pa(page), Pa(page.saturating_add(PAGE_SIZE)));
                pieces.push(Piece { what: "spin table of CPUs", range, role: Role::Kept });
            }
        }
    }
    pieces
}

/// A piece must be in memory that is nobody's.
fn check_alone(machine: &Machine<'_>, piece: &Piece, report: &mut Report) {
    let Piece { what, range, role } = piece;
    let shown = Span::from(*range).shown();
    // CPUs may wait in memory that the tree does not list.
    if *what == "spin table of CPUs" {
        return;
    }
    if !machine.memory.iter().any(|bank| bank.covers(*range)) {
        let text = format!("the {what} at {shown} is not all in one memory bank of the tree");
        report.stop(Cause::Address, text, piece.remedy());
    }
    for reserved in machine.reserved.iter().filter(|other| other.range.overlaps(*range)) {
        let there = Span::from(reserved.range).shown();
        let text = format!("the {what} at {shown} touches reserved memory at {there}");
        match role {
            Role::Loader => report.risk("addresses", format!("{text}; U-Boot must know of it")),
            _ => report.stop(Cause::Address, text, piece.remedy()),
        }
    }
}

/// Memory where registers are: the tree or whoever gives the bank by hand is wrong.
fn check_banks(subject: &Subject<'_>, report: &mut Report) {
    let registers = registers(subject);
    for bank in &subject.machine.memory {
        // What is reserved nobody gets.
        let is_reserved =
            |range: PaRange| subject.machine.reserved.iter().any(|other| other.range.covers(range));
        let mut hit =
            registers.iter().filter(|(_, range)| bank.overlaps(*range) && !is_reserved(*range));
        let Some((what, range)) = hit.next() else { continue };
        let more = match hit.count() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let text = format!(
            "the memory at {} overlaps {what} at {}{more}: Postern would give these registers to a VM",
            Span::from(*bank).shown(),
            Span::from(*range).shown()
        );
        let remedy = "give the bank that is there: `--memory ADDRESS:SIZE`, or correct /memory in the tree: \
                      `image --tree FILE`";
        report.stop(Cause::MemoryOverDevice, text, remedy);
    }
}

/// Everything with registers that memory cannot be, what EL2 needs first.
pub(super) fn registers(subject: &Subject<'_>) -> Vec<(String, PaRange)> {
    let machine = &subject.machine;
    let mut all = Vec::new();
    match &machine.gic {
        Some(Gic::V2(gic)) => {
            let frames =
                [Some(gic.distributor), Some(gic.cpu_interface), gic.hypervisor, gic.virtual_cpu];
            all.extend(frames.into_iter().flatten().map(|frame| ("the GIC".to_owned(), frame)));
        }
        Some(Gic::V3(gic)) => {
            let frames = std::iter::once(&gic.distributor).chain(&gic.redistributors);
            all.extend(frames.map(|frame| ("the GIC".to_owned(), *frame)));
        }
        None => {}
    }
    all.extend(machine.console.map(|console| ("the console".to_owned(), console.registers)));
    for device in &subject.devices {
        let known: Vec<_> = all.iter().map(|(_, range)| *range).collect();
        let others = device.registers.iter().filter(|range| !known.contains(range));
        all.extend(others.map(|range| (format!("the device {}", device.node.path), *range)));
    }
    all
}

fn collide(one: &Piece, other: &Piece, report: &mut Report) {
    let text = format!(
        "the {} at {} and the {} at {} overlap",
        one.what,
        Span::from(one.range).shown(),
        other.what,
        Span::from(other.range).shown()
    );
    // `booti` moves with overlap in mind.
    let is_own_move = one.what == "image as loaded" && other.what == "image";
    if !is_own_move {
        let options: Vec<_> = [one, other].into_iter().filter_map(Piece::option).collect();
        let remedy = match options.is_empty() {
            true => "none: neither is where Postern says".to_owned(),
            false => format!("choose another {}", options.join(" or ")),
        };
        report.stop(Cause::Overlap, text, remedy);
    }
}

/// As `hyp/src/boot.rs` reckons it.
fn free_memory(machine: &Machine<'_>, pieces: &[Piece], report: &mut Report) -> FreeMemory {
    let mut free = FreeMemory::new();
    let reserved = machine.reserved.iter().map(|reserved| reserved.range);
    let kept = pieces.iter().filter(|piece| piece.role == Role::Kept).map(|piece| piece.range);
    let result = machine
        .memory
        .iter()
        .try_for_each(|bank| free.add(*bank))
        .and_then(|()| reserved.chain(kept).try_for_each(|range| free.reserve(range)))
        .and_then(|()| free.allocate(HEAP, HEAP).map(drop));
    if let Err(error) = result {
        let text =
            format!("{error}; Postern would end with {} {}", exit::EXIT_PREFIX, exit::BAD_INPUT);
        let remedy =
            "none: fewer or larger banks, or fewer reserved ranges, have to be in the tree";
        report.stop(Cause::MemoryUnfit, text, remedy);
    }
    free
}
