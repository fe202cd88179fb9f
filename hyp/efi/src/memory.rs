//! The memory that the firmware leaves behind.

use hyp_core::addr::{PAGE_SHIFT, Pa};
use hyp_core::memory::PaRange;
use hyp_core::tree::machine::MAX_BANKS;
use uefi_raw::table::boot::{MemoryAttribute, MemoryDescriptor, MemoryType};

/// What a memory descriptor covers, if that is free for use once boot services have ended (UEFI
/// Specification 2.10, table 7-6 "Memory Type Usage after ExitBootServices()"). ACPI tables are
/// left alone, and so is memory that cannot be cached or has a special purpose.
fn usable(descriptor: &MemoryDescriptor) -> Option<PaRange> {
    let free = matches!(
        descriptor.ty,
        MemoryType::LOADER_CODE
            | MemoryType::LOADER_DATA
            | MemoryType::BOOT_SERVICES_CODE
            | MemoryType::BOOT_SERVICES_DATA
            | MemoryType::CONVENTIONAL
    );
    let ordinary = descriptor.att.contains(MemoryAttribute::WRITE_BACK)
        && !descriptor.att.contains(MemoryAttribute::SPECIAL_PURPOSE);
    let size = descriptor.page_count.checked_mul(1 << PAGE_SHIFT)?;
    PaRange::new(Pa(descriptor.phys_start), size).filter(|_| free && ordinary)
}

/// Room for pieces that only join later, because a map need not be sorted.
const PIECES: usize = 64;

/// Banks of memory; some may be empty.
pub type Banks = [PaRange; PIECES];

/// No memory.
pub const EMPTY: PaRange = PaRange::between(Pa(0), Pa(0));

/// The banks of memory for the hypervisor, in any order, found in `room`: what is free, joined where it
/// touches. Of more banks than a tree may have for Postern the smallest are given up.
pub fn banks<'r, 'a>(
    room: &'r mut Banks,
    map: impl Iterator<Item = &'a MemoryDescriptor>,
) -> &'r [PaRange] {
    *room = [EMPTY; _];
    for mut joined in map.filter_map(usable) {
        for piece in &mut *room {
            if piece.base() <= joined.end() && joined.base() <= piece.end() {
                let base = piece.base().min(joined.base());
                joined = PaRange::between(base, piece.end().max(joined.end()));
                *piece = EMPTY;
            }
        }
        keep(room, joined);
    }
    let (banks, others) = room.split_at_mut(MAX_BANKS);
    for other in others {
        keep(banks, *other);
    }
    banks
}

/// Puts `piece` to the others instead of the smallest, if that is smaller.
fn keep(pieces: &mut [PaRange], piece: PaRange) {
    if let Some(smallest) = pieces.iter_mut().min_by_key(|piece| piece.size())
        && smallest.size() < piece.size()
    {
        *smallest = piece;
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn descriptor(ty: MemoryType, start: u64, size: u64) -> MemoryDescriptor {
        MemoryDescriptor {
            ty,
            phys_start: start,
            page_count: size >> 12,
            att: MemoryAttribute::WRITE_BACK | MemoryAttribute::WRITE_COMBINE,
            ..MemoryDescriptor::default()
        }
    }

    fn found(map: &[MemoryDescriptor]) -> Vec<(u64, u64)> {
        let mut room = [EMPTY; _];
        let found = banks(&mut room, map.iter()).iter().filter(|bank| !bank.is_empty());
        let mut found: Vec<_> = found.map(|bank| (bank.base().0, bank.end().0)).collect();
        found.sort();
        found
    }

    #[test]
    fn what_firmware_keeps_lies_between_the_banks() {
        let map = [
            descriptor(MemoryType::BOOT_SERVICES_DATA, 0x5000_0000, MIB),
            descriptor(MemoryType::MMIO, 0x900_0000, MIB),
            descriptor(MemoryType::CONVENTIONAL, 0x4000_0000, 0x1000_0000),
            descriptor(MemoryType::RUNTIME_SERVICES_DATA, 0x5010_0000, MIB),
            descriptor(MemoryType::LOADER_CODE, 0x5020_0000, MIB),
            descriptor(MemoryType::ACPI_RECLAIM, 0x5030_0000, MIB),
            descriptor(MemoryType::LOADER_DATA, 0x5040_0000, MIB),
            descriptor(MemoryType::RESERVED, 0x5050_0000, MIB),
            descriptor(MemoryType::ACPI_NON_VOLATILE, 0x5060_0000, MIB),
            descriptor(MemoryType::RUNTIME_SERVICES_CODE, 0x5070_0000, MIB),
            descriptor(MemoryType::BOOT_SERVICES_CODE, 0x5080_0000, MIB),
            descriptor(MemoryType::PERSISTENT_MEMORY, 0x6000_0000, MIB),
            descriptor(MemoryType::UNUSABLE, 0x6010_0000, MIB),
        ];
        let expected = [
            (0x4000_0000, 0x5010_0000),
            (0x5020_0000, 0x5030_0000),
            (0x5040_0000, 0x5050_0000),
            (0x5080_0000, 0x5090_0000),
        ];
        assert_eq!(found(&map), expected);
    }

    #[test]
    fn memory_that_is_not_ordinary_is_left_alone() {
        let mut uncached = descriptor(MemoryType::CONVENTIONAL, 0, MIB);
        uncached.att = MemoryAttribute::UNCACHEABLE;
        let mut special = descriptor(MemoryType::CONVENTIONAL, MIB, MIB);
        special.att |= MemoryAttribute::SPECIAL_PURPOSE;
        let mut wrapping = descriptor(MemoryType::CONVENTIONAL, 2 * MIB, MIB);
        wrapping.page_count = u64::MAX;
        assert_eq!(found(&[uncached, special, wrapping]), []);
    }

    #[test]
    fn of_too_many_banks_the_smallest_are_given_up() {
        let map: Vec<_> = (0..200_u64)
            .map(|n| {
                // Two of many are large; one of them comes late.
                let size = if n == 3 || n == 190 { 8 * MIB } else { MIB };
                descriptor(MemoryType::CONVENTIONAL, n * 16 * MIB, size)
            })
            .collect();
        let found = found(&map);
        assert_eq!(found.len(), MAX_BANKS);
        for large in [3, 190] {
            assert!(found.contains(&(large * 16 * MIB, large * 16 * MIB + 8 * MIB)));
        }
    }
}
