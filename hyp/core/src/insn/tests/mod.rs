//! The decoder against an assembler: `assembled.txt` holds words that GNU as (2.40, for
//! `armv8.5-a`) made of the sources beside them, and `assembly.rs` carries the sources out.

mod assembly;
mod machine;

use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use assembly::{Meaning, execute};
use machine::Machine;

/// Carries out `instruction` as the shell does.
fn perform(machine: &mut Machine, instruction: &Instruction) -> Meaning {
    let at = instruction.address.resolve(machine);
    let big_endian = machine.big_endian;
    // Byte by byte of each piece; what no piece covers stays as it is.
    let bytes = |transfer: &Transfer| {
        let pieces = transfer.pieces();
        pieces.flat_map(|(at, width)| at..at + width.mask().count_ones() as usize / 8)
    };
    let read = |machine: &Machine, transfer: &Transfer| {
        let mut image = [0; MOST_BYTES];
        bytes(transfer).for_each(|n| image[n] = machine.byte(at.wrapping_add(n as u64)));
        image
    };
    let write = |machine: &mut Machine, transfer: &Transfer, image: Image| {
        for n in bytes(transfer) {
            machine.written.insert(at.wrapping_add(n as u64), image[n]);
        }
    };
    match &instruction.effect {
        Effect::Nothing => return Meaning::Prefetch,
        Effect::Exclusive => return Meaning::Exclusive,
        Effect::Load(transfer) => {
            let image = read(machine, transfer);
            transfer.load(&image, big_endian, machine);
        }
        Effect::Store(transfer) => {
            let image = transfer.store(big_endian, machine);
            write(machine, transfer, image);
        }
        Effect::Atomic(atomic) => {
            let old = read(machine, &atomic.old);
            if let Some(new) = atomic.replacement(&old, big_endian, machine) {
                write(machine, &atomic.old, new);
            }
            atomic.old.load(&old, big_endian, machine);
        }
    }
    instruction.address.write_back(machine);
    Meaning::Ordinary
}

fn assembled() -> impl Iterator<Item = (u32, &'static str)> {
    include_str!("assembled.txt").lines().map(|line| {
        let (word, source) = line.split_once(' ').unwrap();
        (u32::from_str_radix(word, 16).unwrap(), source)
    })
}

#[test]
fn what_an_assembler_knows() {
    let mut compared = 0;
    for (word, source) in assembled() {
        let instruction = decode(word).unwrap_or_else(|| panic!("{word:08x} {source}"));
        for (seed, big_endian) in [(1000, false), (2000, true), (3000, false)] {
            let before = Machine::new(seed, big_endian);
            let (mut want, mut got) = (before.clone(), before);
            let meaning = execute(&mut want, source);
            assert_eq!(perform(&mut got, &instruction), meaning, "{word:08x} {source}");
            assert_eq!(got, want, "{word:08x} {source}, big-endian: {big_endian}");
            compared += 1;
        }
    }
    assert!(compared > 2000, "{compared}");
}

/// The comparison of CAS and CASP holds: what they loaded is what they compare next.
#[test]
fn compare_and_swap_where_memory_is_as_expected() {
    let mut swapped = 0;
    for (word, source) in assembled().filter(|(_, source)| source.starts_with("cas")) {
        let instruction = decode(word).unwrap();
        for big_endian in [false, true] {
            let mut before = Machine::new(4000, big_endian);
            let place = instruction.address.resolve(&before);
            execute(&mut before, source);
            assert!(before.written.is_empty(), "{source}");
            if instruction.address.resolve(&before) != place {
                // The base register is one of those that were loaded.
                continue;
            }
            let (mut want, mut got) = (before.clone(), before);
            execute(&mut want, source);
            perform(&mut got, &instruction);
            assert_eq!(got, want, "{source}");
            swapped += usize::from(!got.written.is_empty());
        }
    }
    assert!(swapped > 20, "{swapped}");
}

#[test]
fn pieces_follow_each_other() {
    for (source, word, pieces) in [
        ("ldp w1, w2, [x3]", 0x2940_0861, std::vec![(0, 4), (4, 4)]),
        ("ldr q0, [x2]", 0x3dc0_0040, std::vec![(0, 8), (8, 8)]),
        ("ldr b0, [x2]", 0x3d40_0040, std::vec![(0, 1)]),
        ("ld2 {v0.2d, v1.2d}, [x2]", 0x4c40_8c40, (0..4).map(|n| (8 * n, 8)).collect()),
        ("ld1r {v0.4h}, [x2]", 0x0d40_c440, std::vec![(0, 2)]),
        ("ld4 {v0.16b-v3.16b}, [x2]", 0x4c40_0040, (0..64).map(|n| (n, 1)).collect()),
    ] {
        let Effect::Load(transfer) = decode(word).unwrap().effect else { panic!("{source}") };
        let got: Vec<_> = transfer.pieces().map(|(at, width)| (at, width.bytes())).collect();
        assert_eq!(got, pieces, "{source}");
        assert_eq!(transfer.bytes() as u64, pieces.iter().map(|(_, bytes)| bytes).sum::<u64>());
    }
}

#[test]
fn others_are_not_decoded() {
    for (word, source) in [
        (0xf820_0441, "ldraa x1, [x2]"),
        (0x9100_0400, "add x0, x0, #1"),
        (0xd65f_03c0, "ret"),
        (0xd503_201f, "nop"),
        (0xd50b_7e20, "dc civac, x0"),
        (0x6900_0861, "stgp x1, x2, [x3]"),
        (0xd920_0841, "stg x1, [x2]"),
        (0xf83f_d041, "ld64b x0, [x2]"),
        (0x1900_0440, "cpyfp"),
        (0xa400_a040, "ld1b {z0.b}, p0/z, [x2, x0]"),
        // Unpredictable; assemblers refuse them, so these are words of known instructions with one
        // register number changed by hand.
        (0xa940_0461, "ldp x1, x1, [x3]"),
        (0x2d40_0040, "ldp s0, s0, [x2]"),
        (0xb800_4442, "str w2, [x2], #4"),
        (0xa8df_8c61, "ldp x1, x3, [x3], #504"),
        // Undefined: odd registers of a pair, reserved sizes and arrangements.
        (0x4821_7c82, "casp x1, x2, x2, x3, [x4]"),
        (0x0c40_8c40, "ld2 {v0.1d, v1.1d}, [x2]"),
        (0x0d00_c440, "st1r {v0.4h}, [x2]"),
        (0xbc80_0040, "a vector of 32 bits with opc = 2"),
        (0xf8c0_0040, "a doubleword with opc = 3"),
        (0xf880_0840, "an unprivileged prefetch"),
        (0xfc40_0840, "an unprivileged load of a vector"),
    ] {
        assert_eq!(decode(word), None, "{source}");
    }
}

proptest! {
    #[test]
    fn no_word_panics(word: u32, seed in 0..u64::MAX / 2, big_endian: bool) {
        // Words at random are rarely loads and stores, so half of them are made to be.
        for word in [word, (word & !(5 << 25)) | 4 << 25] {
            if let Some(instruction) = decode(word) {
                perform(&mut Machine::new(seed, big_endian), &instruction);
            }
        }
    }
}

/// Arm ARM, C4.1.94, "Load/store register (unprivileged)": LDTR, STTR, LDTRB, STTRH, LDTRSW; beside them
/// LDUR, STUR, LDR with write-back and with a register.
#[test]
fn what_has_the_rights_of_el0_is_known() {
    for (word, is_unprivileged) in [
        (0xf840_0841, true),
        (0xf800_0841, true),
        (0x3840_0841, true),
        (0x7800_0841, true),
        (0xb880_0841, true),
        (0xf840_0041, false),
        (0xf800_0041, false),
        (0xf840_8c41, false),
        (0xf863_6841, false),
        (0xf940_0841, false),
        (0xa940_0c41, false),
    ] {
        let instruction = decode(word).unwrap();
        assert_eq!(instruction.is_unprivileged, is_unprivileged, "{word:08x}");
    }
}
