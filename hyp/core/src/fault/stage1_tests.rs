use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec::Vec;

/// TnSZ, TG0 code, TG1 code, and for each level from the first: its number, and the bits of the
/// address that index it (Arm ARM, D8.2, the tables of each granule's lookups).
type Shape = (u64, u64, u64, &'static [(i8, core::ops::RangeInclusive<u32>)]);

const SHAPES: &[Shape] = &[
    (16, 0, 2, &[(0, 39..=47), (1, 30..=38), (2, 21..=29), (3, 12..=20)]),
    (20, 0, 2, &[(0, 39..=43), (1, 30..=38), (2, 21..=29), (3, 12..=20)]),
    (25, 0, 2, &[(1, 30..=38), (2, 21..=29), (3, 12..=20)]),
    (32, 0, 2, &[(1, 30..=31), (2, 21..=29), (3, 12..=20)]),
    (34, 0, 2, &[(2, 21..=29), (3, 12..=20)]),
    (16, 2, 1, &[(0, 47..=47), (1, 36..=46), (2, 25..=35), (3, 14..=24)]),
    (17, 2, 1, &[(1, 36..=46), (2, 25..=35), (3, 14..=24)]),
    (28, 2, 1, &[(2, 25..=35), (3, 14..=24)]),
    (16, 1, 3, &[(1, 42..=47), (2, 29..=41), (3, 16..=28)]),
    (22, 1, 3, &[(2, 29..=41), (3, 16..=28)]),
    // FEAT_LPA2: five levels.
    (12, 0, 2, &[(-1, 48..=51), (0, 39..=47), (1, 30..=38), (2, 21..=29), (3, 12..=20)]),
];

/// Tables that translate `va`, each in a 64 KiB frame of its own from 0x4000_0000 on.
struct Tables {
    regs: Stage1,
    memory: BTreeMap<u64, [u8; 8]>,
    /// Level and place of each descriptor.
    places: Vec<(i8, u64)>,
}

fn tables((size, tg0, tg1, levels): &Shape, va: u64, big_endian: bool) -> Tables {
    let is_upper = va & 1 << 55 != 0;
    let (mut memory, mut places) = (BTreeMap::new(), Vec::new());
    for (n, (level, bits)) in levels.iter().enumerate() {
        let index = va >> bits.start() & ((1 << (bits.end() - bits.start() + 1)) - 1);
        let frame = 0x4000_0000 + ((n as u64) << 16);
        places.push((*level, frame + index * 8));
        let is_last = *level == 3;
        // Attributes, also in bits that a walker has to mask.
        let next = if is_last { 0x8000_0000 } else { frame + 0x1_0000 };
        let descriptor = next | 0b11 | 0x0060_0000_0000_0400;
        let bytes = if big_endian { descriptor.to_be_bytes() } else { descriptor.to_le_bytes() };
        memory.insert(frame + index * 8, bytes);
    }
    let ds = if levels[0].0 < 0 { DS } else { 0 };
    // The other half is off.
    let tcr = if is_upper { size << 16 | tg1 << 30 | 1 << 7 } else { size | tg0 << 14 | 1 << 23 };
    let ttbr = 0x4000_0000 | 0x1234 << 48 | 1;
    let (ttbr0, ttbr1) = if is_upper { (0, ttbr) } else { (ttbr, 0) };
    Tables { regs: Stage1 { tcr: tcr | ds, ttbr0, ttbr1, big_endian }, memory, places }
}

proptest! {
    /// Whichever table is missing, its level is found; and nothing where none is.
    #[test]
    fn the_level_of_the_missing_table(
        shape in 0..SHAPES.len(), va: u64, is_upper: bool, tag: u8, big_endian: bool,
    ) {
        let shape = &SHAPES[shape];
        let bits = 64 - shape.0;
        let low = va & ((1 << bits) - 1);
        let va = if is_upper { low | u64::MAX << bits } else { low };
        // TBI: the top byte is anything.
        let va = va & !(0xff << 56) | u64::from(tag) << 56;
        let Tables { regs, memory, places } = tables(shape, va, big_endian);
        for (n, &(level, place)) in places.iter().enumerate() {
            // What lies above can be read, the missing table cannot.
            let read = |ipa: Ipa| {
                let above = places[..n].iter().any(|(_, above)| *above == ipa.get());
                memory.get(&ipa.get()).copied().filter(|_| above)
            };
            prop_assert_eq!(regs.level_of(Va(va), Ipa(place).page(), read), Some(level));
        }
        let read = |ipa: Ipa| memory.get(&ipa.get()).copied();
        prop_assert_eq!(regs.level_of(Va(va), Ipa(0x0bf0_0000), read), None);
    }

    /// Any registers and any memory: the walk ends.
    #[test]
    fn ends_whatever_the_registers_say(
        tcr: u64, ttbr0: u64, ttbr1: u64, va: u64, missing: u64, descriptor: u64, big_endian: bool,
    ) {
        let regs = Stage1 { tcr, ttbr0, ttbr1, big_endian };
        let mut reads = 0;
        let level = regs.level_of(Va(va), Ipa(missing), |_| {
            reads += 1;
            Some((descriptor | 3).to_le_bytes())
        });
        prop_assert!(reads <= 5);
        prop_assert!(level.is_none_or(|level| (-1..=3).contains(&level)));
    }
}

#[test]
fn tables_that_changed_meanwhile() {
    let va = 0x1234_5678_9abc;
    let Tables { regs, mut memory, places } = tables(&SHAPES[0], va, false);
    // A block now, where a table was.
    memory.insert(places[1].1, 0x4000_0001u64.to_le_bytes());
    let read = |ipa: Ipa| memory.get(&ipa.get()).copied();
    assert_eq!(regs.level_of(Va(va), Ipa(places[2].1).page(), read), None);
    // Walks of the lower half are off.
    let regs = Stage1 { tcr: regs.tcr | 1 << 7, ..regs };
    assert_eq!(regs.level_of(Va(va), Ipa(places[0].1).page(), read), None);
}
