//! What of a VM's address space is drawn, and how.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hyp_abi::trace::Range;

use super::advice::device;
use super::model::{GRANULE, Granule, Period, Touched, Vm, page};
use super::text::at;

/// Cells of one stretch at most; where it has more granules, a cell stands for several.
const MOST: u64 = 512;
const BLOCK: u64 = 2 << 20;

/// How a granule is drawn, from the least to the most remarkable: of several granules in one cell the
/// last counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    Free,
    Unbacked,
    Backed,
    Loaded,
    Unguarded,
    Hardware,
    Used,
    Unused,
    Shared,
    Early,
    Violated,
}

impl Look {
    /// Colour, and what it means.
    pub const fn meaning(self) -> (&'static str, &'static str) {
        match self {
            Self::Free => ("#ffffff", "device, never guarded"),
            Self::Unbacked => ("#f1f3f5", "memory, never touched"),
            Self::Backed => ("#ced4da", "memory in use"),
            Self::Loaded => ("#a5b4c4", "memory with payload"),
            Self::Unguarded => ("#b7d7bd", "guarded for a time"),
            Self::Hardware => ("#3aa6a0", "guarded, real device"),
            Self::Used => ("#3d9a50", "guarded and touched"),
            Self::Unused => ("#f2c94c", "guarded, never touched"),
            Self::Shared => ("#8e5cc4", "shared"),
            Self::Early => ("#ef8a33", "touched before it was guarded"),
            Self::Violated => ("#d32f2f", "violation"),
        }
    }

    /// In the order of the legend.
    pub const ALL: [Self; 11] = [
        Self::Used,
        Self::Unused,
        Self::Hardware,
        Self::Unguarded,
        Self::Free,
        Self::Early,
        Self::Violated,
        Self::Shared,
        Self::Loaded,
        Self::Backed,
        Self::Unbacked,
    ];
}

/// One cell: how it looks and what is told about it.
#[derive(Debug, Clone)]
pub struct Cell {
    pub look: Look,
    pub story: String,
}

/// Cells in a row, each of `bytes` bytes, from `base` on.
#[derive(Debug)]
pub struct Stretch {
    pub base: u64,
    pub bytes: u64,
    pub title: String,
    pub cells: Vec<Cell>,
}

/// Everything there is to draw of `vm`, by address.
pub fn stretches(vm: &Vm, frequency: u64) -> Vec<Stretch> {
    let mut all = device_stretches(vm, frequency);
    for (range, base, bytes) in &vm.ranges {
        if *range == Range::Memory {
            all.push(memory_stretch(vm, *base, *bytes, frequency));
        }
    }
    all.sort_by_key(|stretch| stretch.base);
    all
}

/// Pages of devices, guarded granules, and whatever else was touched off memory.
fn device_stretches(vm: &Vm, frequency: u64) -> Vec<Stretch> {
    let mut pages: BTreeMap<u64, Cell> = BTreeMap::new();
    for (range, base, bytes) in &vm.ranges {
        if matches!(range, Range::Emulated | Range::Assigned) {
            for n in 0..bytes / GRANULE {
                let ipa = base.wrapping_add(n * GRANULE);
                pages.insert(
                    ipa,
                    Cell { look: Look::Free, story: format!("{ipa:#x}: never guarded") },
                );
            }
        }
    }
    for (ipa, granule) in &vm.granules {
        pages.insert(*ipa, guarded_cell(*ipa, granule, frequency));
    }
    for violation in &vm.violations {
        let ipa = page(violation.ipa);
        if vm.is_in(Range::Memory, ipa) {
            continue;
        }
        let story = format!(
            "{} x {}, first {}",
            violation.count,
            violation.reason.text(),
            at(&violation.first, frequency)
        );
        let cell = pages
            .entry(ipa)
            .or_insert_with(|| Cell { look: Look::Violated, story: format!("{ipa:#x}") });
        if cell.look != Look::Early {
            cell.look = Look::Violated;
        }
        let _ = write!(cell.story, "\n{story}");
    }
    let mut stretches: Vec<Stretch> = Vec::new();
    for (ipa, cell) in pages {
        let title = device(vm, ipa);
        match stretches.last_mut() {
            Some(last)
                if last.title == title && last.base + last.cells.len() as u64 * GRANULE == ipa =>
            {
                last.cells.push(cell);
            }
            _ => stretches.push(Stretch {
                base: ipa,
                bytes: GRANULE,
                title: title.to_owned(),
                cells: vec![cell],
            }),
        }
    }
    stretches.into_iter().map(shrink).collect()
}

fn guarded_cell(ipa: u64, granule: &Granule, frequency: u64) -> Cell {
    let mut story = format!("{ipa:#x}");
    if let Some(first) = granule.guarded.first() {
        let _ = write!(story, "\nguarded {}", at(&first.from, frequency));
    }
    let is_open = is_open(&granule.guarded);
    if let Some(end) = granule.guarded.last().and_then(|last| last.to.as_ref()) {
        let _ = write!(story, "\ntaken back {}", at(end, frequency));
    }
    let look = match &granule.touched {
        Touched::Unseen => Look::Hardware,
        Touched::Never => {
            story.push_str("\nnever touched while guarded");
            Look::Unused
        }
        Touched::First(first) => {
            let _ = write!(story, "\ntouched first {}", at(first, frequency));
            Look::Used
        }
    };
    let mut look = if is_open { look } else { Look::Unguarded };
    if let Some((first, _)) = &granule.touched_before {
        let _ = write!(story, "\ntouched before {}", at(first, frequency));
        look = Look::Early;
    }
    Cell { look, story }
}

fn memory_stretch(vm: &Vm, base: u64, bytes: u64, frequency: u64) -> Stretch {
    let cells = (0..bytes.div_ceil(BLOCK)).map(|n| memory_cell(vm, base + n * BLOCK, frequency));
    shrink(Stretch { base, bytes: BLOCK, title: "memory".to_owned(), cells: cells.collect() })
}

fn memory_cell(vm: &Vm, block: u64, frequency: u64) -> Cell {
    let mut story = format!("{block:#x}");
    let is_loaded = vm.ranges.iter().any(|(range, base, bytes)| {
        *range == Range::Loaded && *base < block + BLOCK && base + bytes > block
    });
    let mut look = if is_loaded { Look::Loaded } else { Look::Unbacked };
    if is_loaded {
        story.push_str("\nholds a part of the payload");
    }
    if let Some(origin) = vm.backed.get(&block) {
        look = look.max(Look::Backed);
        let _ = write!(story, "\ntouched first {}", at(origin, frequency));
    }
    let shared = vm.shared.range(block..block + BLOCK);
    let mut pages = 0;
    for (ipa, page) in shared {
        pages += 1;
        look = Look::Shared;
        if pages <= 8 {
            let state = if is_open(&page.shared) { "shared" } else { "shared for a time" };
            let _ = write!(story, "\n{ipa:#x} {state}");
        }
    }
    if pages > 8 {
        let _ = write!(story, "\nand {} more shared pages", pages - 8);
    }
    for violation in &vm.violations {
        if violation.ipa.wrapping_sub(block) < BLOCK {
            look = Look::Violated;
            let _ = write!(story, "\n{} x {}", violation.count, violation.reason.text());
        }
    }
    Cell { look, story }
}

/// Fewer cells, each for several, where there are too many.
fn shrink(stretch: Stretch) -> Stretch {
    let factor = (stretch.cells.len() as u64).div_ceil(MOST).next_power_of_two();
    if factor == 1 {
        return stretch;
    }
    let join = |cells: &[Cell]| {
        cells
            .iter()
            .max_by_key(|cell| cell.look)
            .cloned()
            .unwrap_or(Cell { look: Look::Free, story: String::new() })
    };
    let chunk = usize::try_from(factor).unwrap_or(usize::MAX);
    let cells = stretch.cells.chunks(chunk).map(join).collect();
    Stretch { bytes: stretch.bytes * factor, cells, ..stretch }
}

fn is_open(periods: &[Period]) -> bool {
    periods.last().is_some_and(|last| last.to.is_none())
}
