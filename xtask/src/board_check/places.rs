//! What lies where once U-Boot has loaded everything: what collides, and what is left.

use hyp_abi::exit;
use hyp_core::addr::{BLOCK_2M, PAGE_SIZE, Pa};
use hyp_core::memory::{FreeMemory, PaRange};
use hyp_core::tree::Machine;
use hyp_core::tree::machine::EnableMethod;

use super::report::{Place, Report, Severity, Span};
use crate::board::{Facts, U_BOOT_SIZE};

/// Bytes of EL2's heap (`hyp/src/boot.rs`).
const HEAP: u64 = 1 << 20;
/// EL2 reads no larger tree (`hyp/src/mm/el2_map.rs`).
const MAX_TREE: u64 = 2 << 20;
/// What U-Boot adds to a tree before it passes it on (`CONFIG_SYS_FDT_PAD`), rounded up.
const TREE_PAD: u64 = 64 << 10;

/// Sizes in bytes and addresses of what is loaded; without an address nothing is said of a piece.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loads {
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
    pub(super) facts: Option<&'static Facts>,
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

/// Notes the places and what is wrong with them; the answer is the memory that EL2 will find free.
pub(super) fn look(machine: &Machine<'_>, loads: &Loads, report: &mut Report) -> FreeMemory {
    if let Err(error) = machine.memory() {
        report.find(Severity::Stop, "memory", error.to_string());
        return FreeMemory::new();
    }
    check_tree(machine, loads, report);
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

fn check_tree(machine: &Machine<'_>, loads: &Loads, report: &mut Report) {
    let size = u64::try_from(machine.tree_size).unwrap_or(u64::MAX);
    if size > MAX_TREE {
        let text = format!(
            "the tree has {size} bytes and Postern reads {MAX_TREE} at most, without a word where \
             there are more: take symbols out (dtc without -@) or cut the padding"
        );
        report.find(Severity::Stop, "tree", text);
    }
    if let Some(at) = loads.tree_at.filter(|at| !at.is_multiple_of(8)) {
        let text = format!("the tree's address {at:#x} is not a multiple of 8; choose another");
        report.find(Severity::Stop, "tree", text);
    }
}

/// Everything with a place, the image first.
fn pieces(machine: &Machine<'_>, loads: &Loads, report: &mut Report) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut add = |what, at: Option<u64>, size: u64, role| {
        let Some(at) = at else { return };
        match PaRange::new(Pa(at), size) {
            Some(range) => pieces.push(Piece { what, range, role }),
            None => {
                let text = format!("the {what} at {at:#x} ends above 64-bit addresses");
                report.find(Severity::Stop, "addresses", text);
            }
        }
    };
    // `booti` moves an image that is not at a 2 MiB boundary up to the next one.
    let runs_at = loads.image_at.and_then(|at| at.checked_next_multiple_of(BLOCK_2M));
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
        let text = format!(
            "the {what} at {shown} is not all in one memory bank of the tree; choose another \
             address"
        );
        report.find(Severity::Stop, "addresses", text);
    }
    for reserved in machine.reserved.iter().filter(|other| other.range.overlaps(*range)) {
        let there = Span::from(reserved.range).shown();
        let (severity, end) = match role {
            Role::Loader => (Severity::Risk, "U-Boot must know of it"),
            _ => (Severity::Stop, "choose another address"),
        };
        let text = format!("the {what} at {shown} touches reserved memory at {there}; {end}");
        report.find(severity, "addresses", text);
    }
}

fn collide(one: &Piece, other: &Piece, report: &mut Report) {
    let text = format!(
        "the {} at {} and the {} at {} overlap; move one (the boot script or U-Boot's variables \
         say where things go)",
        one.what,
        Span::from(one.range).shown(),
        other.what,
        Span::from(other.range).shown()
    );
    // `booti` moves with overlap in mind.
    let is_own_move = one.what == "image as loaded" && other.what == "image";
    if !is_own_move {
        report.find(Severity::Stop, "addresses", text);
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
        report.find(Severity::Stop, "memory", text);
    }
    free
}
