//! Where a node sits: cell widths, address translation and what is inherited from above.

use super::fault::{Fault, Read, content};
use super::interrupts::Parent;
use crate::addr::Pa;
use crate::memory::PaRange;
use crate::tree::{Cells, MAX_DEPTH};
use arrayvec::ArrayVec;

/// What a node's children inherit from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level<'a> {
    /// What the node is for its children.
    pub(super) role: Role,
    /// `#address-cells`, 2 if absent, `None` if it is no number.
    pub(super) address_cells: Option<u32>,
    /// `#size-cells`, 1 if absent, `None` if it is no number.
    pub(super) size_cells: Option<u32>,
    /// `ranges`: absent means that addresses below cannot be reached from above.
    pub(super) ranges: Option<&'a [u8]>,
    /// Whom interrupts speak to.
    pub(super) interrupt_parent: Option<Parent>,
}

/// What a node is for its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `/`
    Root,
    /// `/cpus`
    Cpus,
    /// `/reserved-memory`
    ReservedMemory,
    /// Everything else.
    Other,
}

/// The nodes above the current one, the root first.
#[derive(Debug, Default)]
pub(super) struct Ancestors<'a>(ArrayVec<Level<'a>, MAX_DEPTH>);

impl<'a> Ancestors<'a> {
    /// One level down. The walk's own depth limit keeps this from being full.
    pub(super) fn push(&mut self, level: Level<'a>) {
        let _full = self.0.try_push(level);
    }

    /// One level up.
    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    /// The node directly above; `None` for the root.
    pub(super) fn parent(&self) -> Option<&Level<'a>> {
        self.0.last()
    }

    /// How many nodes are above.
    pub(super) fn depth(&self) -> usize {
        self.0.len()
    }

    /// The `index`-th range of `reg` as the CPU sees it; `None` if there is none or if a bus above
    /// does not pass it on.
    pub(super) fn range(&self, reg: &[u8], index: usize) -> Read<Option<PaRange>> {
        let mut ranges = self.ranges(reg)?;
        for _ in 0..index {
            if ranges.next_pair().is_none() {
                return Ok(None);
            }
        }
        let Some((base, size)) = ranges.next_pair() else { return Ok(None) };
        let Some(base) = self.translate(base, size) else { return Ok(None) };
        PaRange::new(Pa(base), size).ok_or(content!("reg", "a range wraps")).map(Some)
    }

    /// The pairs of address and size in `reg`, as the parent's bus sees them.
    pub(super) fn ranges<'r>(&self, reg: &'r [u8]) -> Read<Ranges<'r>> {
        let above = self.parent();
        let (Some(address_cells), Some(size_cells)) =
            above.map_or((Some(2), Some(1)), |parent| (parent.address_cells, parent.size_cells))
        else {
            return Err(content!("reg", "#address-cells or #size-cells above it is not one cell"));
        };
        if !(1..=2).contains(&address_cells) || size_cells > 2 {
            return Err(content!("reg", "addresses are wider than 64 bits"));
        }
        // At most 4 cells, so nothing overflows here.
        let entry = usize::try_from(address_cells.saturating_add(size_cells).saturating_mul(4));
        if entry.is_ok_and(|entry| !reg.len().is_multiple_of(entry)) {
            return Err(content!("reg", "is not a whole number of ranges"));
        }
        Ok(Ranges { rest: Cells(reg), address_cells, size_cells })
    }

    /// Follows `ranges` up to the root (Devicetree Specification, 2.3.8).
    fn translate(&self, base: u64, size: u64) -> Option<u64> {
        // Without the root there is nothing that the addresses are of.
        let mut address = Some(base).filter(|_| !self.0.is_empty())?;
        for pair in self.0.windows(2).rev() {
            let [above, bus] = pair else { continue };
            address = step(bus, above, address, size)?;
        }
        Some(address)
    }
}

/// Walks the pairs of address and size in a `reg`.
pub(super) struct Ranges<'a> {
    rest: Cells<'a>,
    address_cells: u32,
    size_cells: u32,
}

impl Ranges<'_> {
    /// The next pair.
    pub(super) fn next_pair(&mut self) -> Option<(u64, u64)> {
        Some((self.rest.take(self.address_cells)?, self.rest.take(self.size_cells)?))
    }

    /// The next one as a range.
    pub(super) fn next_range(&mut self) -> Read<Option<PaRange>> {
        let Some((base, size)) = self.next_pair() else { return Ok(None) };
        PaRange::new(Pa(base), size).ok_or(content!("reg", "a range wraps")).map(Some)
    }
}

/// One bus up: finds the window of `bus` that holds all of the range.
fn step(bus: &Level<'_>, above: &Level<'_>, address: u64, size: u64) -> Option<u64> {
    let mut windows = Cells(bus.ranges?);
    if windows.is_empty() {
        return Some(address);
    }
    loop {
        let child = windows.take(bus.address_cells?)?;
        let parent = windows.take(above.address_cells?)?;
        let len = windows.take(bus.size_cells?)?;
        let Some(offset) = address.checked_sub(child) else { continue };
        if offset.checked_add(size).is_some_and(|end| end <= len) {
            return parent.checked_add(offset);
        }
    }
}
