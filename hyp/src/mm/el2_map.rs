//! EL2's stage-1 map. Grows at boot and hardly changes afterwards.
//!
//! `boot.s` made the first tables; later ones come from an arena in the image, so that every
//! table's address follows from its physical one and no allocator is needed before there is a map.
//! Entries only go from invalid to valid, which needs no invalidation; the exceptions are guard
//! pages, removed while one CPU runs, and the windows (`window.rs`).

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use hyp_core::addr::{BLOCK_2M, PAGE_SIZE, Pa};
use hyp_core::ports::Table;

use super::layout;
use crate::arch::cpu::Lock;
use crate::arch::{barrier, percpu, symbols, tlb, word};
use crate::drivers::mmio::Mmio;

/// Tables beyond those of `boot.s`.
const ARENA_TABLES: usize = 32;
/// Largest tree that is mapped (Linux, Documentation/arch/arm64/booting.rst: 2 MiB).
const MAX_TREE: usize = 2 << 20;
const PAGE: usize = word(PAGE_SIZE);
const BLOCK: usize = word(BLOCK_2M);

static ARENA: [Table; ARENA_TABLES] = [const { Table::new() }; ARENA_TABLES];
static MAP: Lock<Map> = Lock::new(Map {
    tables_used: 0,
    devices: layout::DEVICES,
    owned: layout::OWNED,
    read_only: layout::READ_ONLY,
});
/// Where the image was loaded.
static IMAGE_PA: AtomicU64 = AtomicU64::new(0);

/// Descriptor bits of stage 1 at EL2 (Arm ARM, D8.3 "Translation table descriptor formats").
mod bits {
    pub(super) const VALID: u64 = 1;
    /// A table above level 3, a page at level 3.
    pub(super) const TABLE_OR_PAGE: u64 = 0b11;
    pub(super) const BLOCK: u64 = 0b01;
    /// AttrIndx 1 in `boot.s`'s MAIR: Device-nGnRE.
    pub(super) const DEVICE: u64 = 1 << 2;
    /// AP\[1\], RES1 at EL2.
    pub(super) const AP1: u64 = 1 << 6;
    pub(super) const READ_ONLY: u64 = 1 << 7;
    pub(super) const INNER_SHAREABLE: u64 = 0b11 << 8;
    pub(super) const ACCESSED: u64 = 1 << 10;
    pub(super) const EXECUTE_NEVER: u64 = 1 << 54;
    pub(super) const ADDRESS: u64 = 0xffff_ffff_f000;
}

/// What a mapping is for. Nothing mapped here is ever executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ReadOnly,
    ReadWrite,
    Device,
}

impl Kind {
    const fn attributes(self) -> u64 {
        let kind = match self {
            Self::ReadOnly => bits::READ_ONLY,
            Self::ReadWrite => 0,
            Self::Device => bits::DEVICE,
        };
        kind | bits::AP1 | bits::INNER_SHAREABLE | bits::ACCESSED | bits::EXECUTE_NEVER
    }
}

/// The descriptor of a 2 MiB block for a window.
pub(super) const fn window_block(pa: Pa) -> u64 {
    pa.get() | Kind::ReadWrite.attributes() | bits::BLOCK
}

/// The descriptor of a page for a window.
pub(super) const fn window_page(pa: Pa) -> u64 {
    pa.get() | Kind::ReadWrite.attributes() | bits::TABLE_OR_PAGE
}

/// The descriptor that leads to `table`, a variable.
pub(super) fn window_pages(table: &'static Table) -> u64 {
    image_pa(core::ptr::from_ref(table) as usize).get() | bits::TABLE_OR_PAGE
}

/// Records where the image lies. Before anything else here.
pub(crate) fn init(image: Pa) {
    IMAGE_PA.store(image.get(), Ordering::Relaxed);
}

/// Takes the guard pages of all stacks out of the map; while there is one CPU.
pub(crate) fn guard_stacks() {
    for slot in 0..percpu::MAX_CPUS {
        for page in percpu::GUARD_PAGES {
            let va = symbols::stacks_start() + slot * percpu::SLOT_SIZE + page;
            if let Some(entry) = table_of(va, 3).and_then(|table| table.entry(index(va, 3))) {
                entry.store(0, Ordering::Relaxed);
                tlb::invalidate_el2(va);
            }
        }
    }
}

/// Takes `pages`, the code that only boot executes, out of the map, for ever. Every CPU is elsewhere.
pub(crate) fn forget_boot(pages: Range<usize>) {
    // The image lies under one table of level 3.
    if let Some(table) = table_of(pages.start, 3) {
        for va in pages.step_by(PAGE) {
            if let Some(entry) = table.entry(index(va, 3)) {
                entry.store(0, Ordering::Relaxed);
            }
        }
    }
    tlb::invalidate_all_el2();
}

/// Physical address of something in the image.
pub(crate) fn image_pa(va: usize) -> Pa {
    Pa((va - layout::IMAGE) as u64 + IMAGE_PA.load(Ordering::Relaxed))
}

/// Physical range of the image, stacks included.
pub(crate) fn image_range() -> Range<Pa> {
    image_pa(symbols::image_start())..image_pa(symbols::image_end())
}

/// Why a range cannot be mapped.
///
/// As wide as an address, so that a result with one or the other is two registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum MapError {
    /// EL2's map has no room left for it.
    NoRoom,
    /// The address wraps or the range is empty.
    BadRange,
}

impl core::fmt::Display for MapError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoRoom => "EL2's address space has no room left for it",
            Self::BadRange => "the range is empty or wraps",
        })
    }
}

#[derive(Debug)]
struct Map {
    tables_used: usize,
    devices: usize,
    owned: usize,
    read_only: usize,
}

/// Index of `va` in a table of `level`.
#[inline]
const fn index(va: usize, level: u32) -> usize {
    (va >> (39 - 9 * level)) & 0x1ff
}

/// The table behind a descriptor.
fn table_at(descriptor: u64) -> &'static Table {
    let offset = (descriptor & bits::ADDRESS) - IMAGE_PA.load(Ordering::Relaxed);
    // SAFETY: table descriptors are only written by `boot.s` and by `Map::descend`, both from
    // page-aligned tables in the image, which stay for ever and are only accessed as atomics.
    unsafe { &*((layout::IMAGE + word(offset)) as *const Table) }
}

/// The table that holds `va`'s entry of `level`, if it exists.
fn table_of(va: usize, level: u32) -> Option<&'static Table> {
    let mut table = table_at(image_pa(symbols::root_table()).get());
    for above in 0..level {
        let entry = table.entry(index(va, above))?.load(Ordering::Relaxed);
        if entry & bits::TABLE_OR_PAGE != bits::TABLE_OR_PAGE {
            return None;
        }
        table = table_at(entry);
    }
    Some(table)
}

impl Map {
    /// As [`table_of`], making what is missing.
    fn descend(&mut self, va: usize, level: u32) -> Result<&'static Table, MapError> {
        let mut table = table_at(image_pa(symbols::root_table()).get());
        for above in 0..level {
            let entry = table.entry(index(va, above)).ok_or(MapError::BadRange)?;
            if entry.load(Ordering::Relaxed) & bits::VALID == 0 {
                let fresh = ARENA.get(self.tables_used).ok_or(MapError::NoRoom)?;
                self.tables_used += 1;
                let pa = image_pa(core::ptr::from_ref(fresh) as usize);
                entry.store(pa.get() | bits::TABLE_OR_PAGE, Ordering::Release);
            }
            table = table_at(entry.load(Ordering::Relaxed));
        }
        Ok(table)
    }

    /// Maps whole pages that are not mapped yet, in blocks where both sides allow it.
    fn map(&mut self, va: usize, pa: u64, bytes: usize, kind: Kind) -> Result<(), MapError> {
        injected!(maps(pa, bytes as u64));
        let mut done = 0;
        while done < bytes {
            let at = va + done;
            let from = pa + done as u64;
            let whole_block =
                at.is_multiple_of(BLOCK) && from.is_multiple_of(BLOCK_2M) && bytes - done >= BLOCK;
            let (level, size, shape) =
                if whole_block { (2, BLOCK, bits::BLOCK) } else { (3, PAGE, bits::TABLE_OR_PAGE) };
            // Blocks one by one, pages up to the end of their table.
            let part = if whole_block { BLOCK } else { (BLOCK - at % BLOCK).min(bytes - done) };
            let table = self.descend(at, level)?;
            let mut descriptor = from | kind.attributes() | shape;
            let entries = table.entries(index(at, level)).ok_or(MapError::BadRange)?;
            for entry in entries.iter().take(part / size) {
                entry.store(descriptor, Ordering::Release);
                descriptor = descriptor.wrapping_add(size as u64);
            }
            done += part;
        }
        barrier::dsb_ishst();
        barrier::isb();
        Ok(())
    }
}

/// Pages that cover `bytes` from `pa`: base, size and the offset of the first byte.
fn pages(pa: Pa, bytes: u64) -> Result<(u64, usize, usize), MapError> {
    let end = pa.get().checked_add(bytes).filter(|end| *end < 1 << 48 && bytes > 0);
    let end = end.and_then(|end| end.checked_next_multiple_of(PAGE_SIZE));
    let end = end.ok_or(MapError::BadRange)?;
    let base = pa.page().get();
    Ok((base, word(end - base), word(pa.page_offset())))
}

/// Maps `bytes` from `pa` somewhere in the region that mappings of this kind have, congruent to `pa`
/// modulo 2 MiB, with an unmapped page before the next mapping. Returns the address of `pa`.
#[inline(never)]
fn place(pa: Pa, bytes: u64, kind: Kind) -> Result<usize, MapError> {
    let (base, size, offset) = pages(pa, bytes)?;
    let mut map = MAP.lock();
    let (cursor, limit) = match kind {
        Kind::Device => (&mut map.devices, layout::WINDOWS),
        Kind::ReadWrite => (&mut map.owned, layout::READ_ONLY),
        Kind::ReadOnly => (&mut map.read_only, layout::END),
    };
    let mut va = *cursor - *cursor % BLOCK + word(base) % BLOCK;
    if va < *cursor {
        va += BLOCK;
    }
    if va > limit || size > limit - va {
        return Err(MapError::NoRoom);
    }
    *cursor = va + size + PAGE;
    map.map(va, base, size, kind)?;
    Ok(va + offset)
}

/// Maps a device's registers.
pub(crate) fn device(pa: Pa, bytes: u64) -> Result<Mmio, MapError> {
    let va = place(pa, bytes, Kind::Device)?;
    // SAFETY: just mapped as Device for these bytes, for ever.
    Ok(unsafe { Mmio::new(va, word(bytes)) })
}

/// Maps memory that EL2 reads in place and never writes: the bundle.
///
/// The caller keeps the range out of every allocation, so that nobody else writes it either.
pub(crate) fn read_only(pa: Pa, bytes: u64) -> Result<&'static [u8], MapError> {
    let va = place(pa, bytes, Kind::ReadOnly)?;
    // SAFETY: just mapped as Normal memory for these bytes, for ever; any byte is a valid u8.
    Ok(unsafe { core::slice::from_raw_parts(va as *const u8, word(bytes)) })
}

/// Maps memory that EL2 writes and somebody outside reads.
///
/// The caller has taken the range out of what can be allocated and gives it up.
pub(crate) fn words(pa: Pa, bytes: u64) -> Result<&'static [AtomicU64], MapError> {
    let va = owned(pa.page(), bytes)?;
    // SAFETY: just mapped as Normal memory for these bytes, for ever, at the start of a page; all of
    // it is only accessed as atomics, for which any bytes are valid.
    Ok(unsafe { core::slice::from_raw_parts(va as *const AtomicU64, word(bytes / 8)) })
}

/// Maps memory that EL2 keeps for itself; returns its address.
///
/// The caller has taken the range out of what can be allocated and hands it to one owner.
pub(super) fn owned(pa: Pa, bytes: u64) -> Result<usize, MapError> {
    place(pa, bytes, Kind::ReadWrite)
}

/// Maps the firmware's tree, read-only: a page to learn its size, then the rest. `None` where
/// there cannot be one at `pa`, or it is larger than 2 MiB. To be called once.
pub(crate) fn firmware_tree(pa: Pa) -> Option<&'static [u8]> {
    if pa.get() == 0 || !pa.is_aligned(8) || pa.get() >= 1 << 47 {
        return None;
    }
    let offset = word(pa.page_offset());
    let mut map = MAP.lock();
    map.map(layout::TREE, pa.page().get(), PAGE, Kind::ReadOnly).ok()?;
    let va = layout::TREE + offset;
    // The header's first words, magic and size, lie in the first page: 8-byte aligned.
    // SAFETY: mapped above; any byte is a valid u8.
    let start = unsafe { core::slice::from_raw_parts(va as *const u8, 8) };
    let size = hyp_core::tree::blob_size(start).ok().filter(|size| *size <= MAX_TREE)?;
    let rest = (offset + size).checked_next_multiple_of(PAGE)? - PAGE;
    map.map(layout::TREE + PAGE, pa.page().get() + PAGE_SIZE, rest, Kind::ReadOnly).ok()?;
    // SAFETY: mapped above, for ever; nobody writes the tree.
    Some(unsafe { core::slice::from_raw_parts(va as *const u8, size) })
}

/// The level-2 table of the windows, one entry for each CPU; made at boot.
pub(super) fn window_table() -> Result<&'static Table, MapError> {
    let table = MAP.lock().descend(layout::WINDOWS, 2)?;
    barrier::dsb_ishst();
    barrier::isb();
    Ok(table)
}
