//! Stage 2 as the hardware walks it (Arm ARM DDI 0487: `AArch64.S2Walk`,
//! `AArch64.S2SLTTEntryAddress`, `DecodeDescriptorType`), and what each entry says in the model's
//! words.
//!
//! Written from the manual and from what `docs/architecture.md` and the descriptor's documentation
//! promise about the bits that the hardware ignores; it shares no code with what it judges.

use alloc::vec::Vec;

use crate::place::{Extent, Place};
use crate::runs::{Run, Span, push};

/// What is to be looked at.
pub trait Machine {
    /// Entry `index` of the table at physical address `table`; `None` where there is none of this
    /// VM's.
    fn entry(&self, table: u64, index: usize) -> Option<u64>;
    /// The VM is enrolled in the guard.
    fn is_enrolled(&self) -> bool;
    /// What an access to the page at `ipa` would be told: guarded or not.
    fn is_guarded(&self, ipa: u64) -> bool;
    /// `bytes` bytes of memory at `pa`, whole pages that leave no 2 MiB block, hold zeroes.
    fn is_zero(&self, pa: u64, bytes: u64) -> bool;
}

/// What an entry says about a page. One that says nothing is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// Memory, where it is to lie and with its attributes; the VM's alone.
    Owned,
    /// The same, and others may use it.
    Shared,
    /// No memory, and guarded.
    Marked,
    /// An assigned device's registers, mapped and not guarded.
    Device,
    /// An assigned device's registers, mapped and guarded.
    GuardedDevice,
    /// An entry that there is no reason for.
    Odd {
        /// Its level.
        level: u32,
        /// What it holds.
        raw: u64,
    },
}

/// Bits 47:12 of a descriptor.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
/// Bits 1:0 of a table and of a page.
const TABLE: u64 = 3;
/// All but the address of a page of memory: Normal write-back, read and write, inner shareable,
/// accessed, executable.
const MEMORY_PAGE: u64 = 0x7ff;
/// The same for a block.
const MEMORY_BLOCK: u64 = 0x7fd;
/// A page of a device, MemAttr\[1:0\] left out: read and write, inner shareable, accessed.
const DEVICE_PAGE: u64 = 0x7c3;
/// MemAttr\[1:0\]: which type of device.
const DEVICE_TYPE: u64 = 3 << 2;
const EXECUTE_NEVER: u64 = 1 << 54;
/// The page's state lies in 58:55.
const SHARED: u64 = 1 << 55;
const DEVICE: u64 = 3 << 55 | EXECUTE_NEVER;
const GUARDED_DEVICE: u64 = 4 << 55 | EXECUTE_NEVER;
/// An invalid entry that is a mark.
const MARK: u64 = 1 << 2;

/// What a walk has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What the entries say, in order.
    pub(crate) runs: Vec<Run<Page>>,
    /// Entries read.
    pub(crate) entries: u64,
    /// Tables below the root.
    pub(crate) tables: Vec<u64>,
}

/// Adds to `found` what all entries for addresses in `span` say.
pub(crate) fn walk(place: &Place, machine: &impl Machine, span: Span, found: &mut Found) {
    // SL0: how far below level 2 the walk begins.
    let start = 2u32.saturating_sub((place.vtcr >> 6 & 3) as u32);
    let bits = 64 - (place.vtcr & 0x3f);
    let root = place.vttbr & 0x0000_ffff_ffff_fffe;
    let span = (span.0, span.1.min(1 << bits));
    let mut walker = Walker { place, machine, span, found };
    // Tables of the root lie side by side.
    let size = size_of_entry(start);
    for index in span.0 / size..span.1.div_ceil(size) {
        walker.entry(root + index / 512 * 4096, index % 512, start, index * size);
    }
}

/// Bytes that an entry at `level` covers.
const fn size_of_entry(level: u32) -> u64 {
    1 << (12 + 9 * (3 - level))
}

struct Walker<'a, M> {
    place: &'a Place,
    machine: &'a M,
    span: Span,
    found: &'a mut Found,
}

impl<M: Machine> Walker<'_, M> {
    /// The entry `index` of `table`, which covers addresses from `ipa`.
    fn entry(&mut self, table: u64, index: u64, level: u32, ipa: u64) {
        self.found.entries += 1;
        let span = (ipa, ipa + size_of_entry(level));
        let seen = (span.0.max(self.span.0), span.1.min(self.span.1));
        let entry = usize::try_from(index).ok().and_then(|index| self.machine.entry(table, index));
        let Some(raw) = entry else {
            return push(&mut self.found.runs, (seen, Page::Odd { level, raw: table }));
        };
        if raw == 0 {
            return;
        }
        let is_new = |tables: &[u64], below| !tables.contains(&below);
        if level < 3 && raw & !ADDRESS == TABLE && is_new(&self.found.tables, raw & ADDRESS) {
            let below = raw & ADDRESS;
            self.found.tables.push(below);
            let size = size_of_entry(level + 1);
            for index in (seen.0 - ipa) / size..(seen.1 - ipa).div_ceil(size) {
                self.entry(below, index, level + 1, ipa + index * size);
            }
            return;
        }
        let page = meaning(self.place, level, span, raw).unwrap_or(Page::Odd { level, raw });
        push(&mut self.found.runs, (seen, page));
    }
}

/// What `raw` says at `level` about `span`; `None` where there is no reason for it.
fn meaning(place: &Place, level: u32, span: Span, raw: u64) -> Option<Page> {
    let lies_in = |extents: &[Extent]| {
        let pa = raw & ADDRESS;
        extents.iter().any(|extent| extent.translate(span) == Some(pa))
    };
    let memory = if level == 3 { MEMORY_PAGE } else { MEMORY_BLOCK };
    let rest = raw & !ADDRESS;
    if raw == MARK {
        let is_memory = place.is_memory(span.0);
        return (level == 3 && !is_memory).then_some(Page::Marked);
    }
    if rest == memory || rest == memory | SHARED {
        let page = if rest & SHARED == 0 { Page::Owned } else { Page::Shared };
        return (level > 0 && lies_in(&place.memory)).then_some(page);
    }
    let page = match rest & !DEVICE_TYPE ^ DEVICE_PAGE {
        DEVICE => Page::Device,
        GUARDED_DEVICE => Page::GuardedDevice,
        _ => return None,
    };
    (level == 3 && lies_in(&place.devices)).then_some(page)
}
