//! Sequences of instructions that Cortex-A53 executes wrongly, and that the finished code must not have.
//!
//! * Erratum 835769, up to r0p4: a 64-bit multiply-accumulate directly behind a load, store or prefetch may
//!   give a wrong result. Refused whether or not the one depends on the other.
//! * Erratum 843419, up to r0p4: an ADRP in the last two words of a page, then a load or store, then, directly or
//!   behind one instruction more, a load or store with an unsigned offset from ADRP's register: it may
//!   go to a wrong address.
//!
//! The compiler and the linker are told to avoid both (`cross.rs`, the build scripts of `hyp` and `hyp-efi`).
//! Source: Arm, Cortex-A53 MPCore Software Developers Errata Notice (ARM-EPM-048406); encodings: Arm ARM, C4.1.

use std::fmt::Write as _;
use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};

/// What was found in an ELF file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Instructions looked at.
    pub instructions: usize,
    /// Where, and what of.
    pub breaches: Vec<String>,
}

/// Looks through the code of `elf_file`.
///
/// # Errors
///
/// It is not an ELF file, or does not say where its code is.
pub fn find(elf_file: &[u8]) -> Result<Found> {
    let file = object::File::parse(elf_file).context("not an ELF file")?;
    // Mapping symbols of the ELF for AArch64 say from where on there is code, and from where on data.
    let mut marks: Vec<(u64, bool)> = file
        .symbols()
        .filter_map(|symbol| {
            let name = symbol.name().ok()?;
            let kind = name.split('.').next()?;
            let is_code = kind == "$x";
            (is_code || kind == "$d").then_some((symbol.address(), is_code))
        })
        .collect();
    marks.sort_unstable();
    let mut found = Found::default();
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        let (start, bytes) = (section.address(), section.data()?);
        let end = start + bytes.len() as u64;
        for Range { start: at, end } in code(start..end, &marks) {
            let range = usize::try_from(at - start)?..usize::try_from(end - start)?;
            let code = bytes.get(range).context("code ends behind its section")?;
            let words: Vec<u32> =
                code.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
            found.instructions += words.len();
            for (at, erratum) in errata(at, &words) {
                let function = file.symbols().find(|symbol| {
                    (symbol.address()..symbol.address() + symbol.size()).contains(&at)
                });
                let name = function.and_then(|symbol| symbol.name().ok()).unwrap_or("?");
                let name = addr2line::demangle_auto(name.into(), None);
                found.breaches.push(format!("{at:#x} in {name}: Cortex-A53 erratum {erratum}"));
            }
        }
    }
    ensure!(found.instructions > 0, "no mapping symbol ($x) says where the code is");
    Ok(found)
}

/// What of `section` is code by these marks of where code and data begin, in order: as long as it is executed
/// one instruction behind the other.
fn code(section: Range<u64>, marks: &[(u64, bool)]) -> Vec<Range<u64>> {
    let inside: Vec<_> = marks.iter().filter(|(at, _)| section.contains(at)).collect();
    let ends = inside.iter().skip(1).map(|(at, _)| *at).chain([section.end]);
    let mut runs: Vec<Range<u64>> = Vec::new();
    for ((at, _), end) in inside.iter().zip(ends).filter(|((_, is_code), _)| *is_code) {
        match runs.last_mut() {
            Some(run) if run.end == *at => run.end = end,
            _ => runs.push(*at..end),
        }
    }
    runs
}

/// Refuses an ELF file with such a sequence.
///
/// # Errors
///
/// It has one, or as [`find`].
pub fn check(elf_file: &[u8]) -> Result<()> {
    let found = find(elf_file)?;
    let mut text = String::new();
    for breach in &found.breaches {
        write!(text, "\n  {breach}")?;
    }
    ensure!(
        found.breaches.is_empty(),
        "the code has sequences that some CPUs execute wrongly:{text}\n\
         In a function of the standard library, which comes compiled: POSTERN_BUILD_STD=1 has it compiled \
         with what avoids them. In assembly: put a NOP between."
    );
    Ok(())
}

/// The last instruction of each sequence in `words`, the first of which is at `start`, and its erratum.
fn errata(start: u64, words: &[u32]) -> Vec<(u64, &'static str)> {
    let mut found = Vec::new();
    for (at, rest) in (start..).step_by(4).zip((0..words.len()).map(|index| &words[index..])) {
        if let [first, second, ..] = rest
            && is_memory_access(*first)
            && is_multiply_accumulate(*second)
        {
            found.push((at + 4, "835769"));
        }
        if let [adrp, second, more @ ..] = rest
            && is_adrp(*adrp)
            && at & 0xfff >= 0xff8
            && is_memory_access(*second)
            && !is_load_of_pair(*second)
            && !writes(*second, adrp & 0x1f)
        {
            let base = adrp & 0x1f;
            match more {
                [third, ..] if has_offset_from(*third, base) => found.push((at + 8, "843419")),
                [third, fourth, ..] if !is_branch(*third) && has_offset_from(*fourth, base) => {
                    found.push((at + 12, "843419"));
                }
                _ => {}
            }
        }
    }
    found
}

/// Loads, stores and prefetches (op0 is x1x0), but not DC and the like.
pub const fn is_memory_access(word: u32) -> bool {
    word >> 25 & 0b0101 == 0b0100
}

/// MADD, MSUB, SMADDL, SMSUBL, UMADDL, UMSUBL of 64 bits that add to more than XZR, which would be a plain
/// multiplication.
const fn is_multiply_accumulate(word: u32) -> bool {
    // sf 1, op54 00, 11011 in 28:24; op31 000, 001 or 101; Ra in 14:10.
    word >> 24 == 0x9b && matches!(word >> 21 & 0b111, 0b000 | 0b001 | 0b101) && ra(word) != 31
}

const fn ra(word: u32) -> u32 {
    word >> 10 & 0x1f
}

const fn is_adrp(word: u32) -> bool {
    word & 0x9f00_0000 == 0x9000_0000
}

/// LDP, LDNP and LDPSW: 29:27 is 101, bit 25 is 0, L in bit 22.
const fn is_load_of_pair(word: u32) -> bool {
    word & 0x3a40_0000 == 0x2840_0000
}

/// Loads and stores of one register with an unsigned offset (29:27 is 111, 25:24 is 01) from `base`.
const fn has_offset_from(word: u32, base: u32) -> bool {
    word & 0x3b00_0000 == 0x3900_0000 && word >> 5 & 0x1f == base
}

/// B, BL, B.cond, CBZ, TBZ and the like, BR, BLR, RET and ERET.
const fn is_branch(word: u32) -> bool {
    word & 0x7c00_0000 == 0x1400_0000
        || word >> 24 == 0x54
        || word & 0x7c00_0000 == 0x3400_0000
        || word >> 25 == 0b110_1011
}

/// Whether a load or store is known to write general register `register`: loads it, or puts the new
/// address there.
const fn writes(word: u32, register: u32) -> bool {
    let is_general = word >> 26 & 1 == 0;
    let is_target = word & 0x1f == register;
    let is_base = word >> 5 & 0x1f == register;
    match word >> 27 & 0b111 {
        // One register: opc in 23:22 is 0 for a store, and 2 with size 3 for a prefetch; with bit 24 and 21
        // clear and bit 10 set, the address is written back.
        0b111 => {
            let (size, opc) = (word >> 30, word >> 22 & 0b11);
            let is_load = is_general && opc != 0 && !(size == 3 && opc == 2);
            let writes_back = word >> 24 & 1 == 0 && word >> 21 & 1 == 0 && word >> 10 & 1 == 1;
            (is_load && is_target) || (writes_back && is_base)
        }
        // A pair: indexed where 24:23 is x1.
        0b101 => word >> 23 & 1 == 1 && is_base,
        // Literal: bit 24 is 0.
        0b011 => is_general && word >> 24 & 1 == 0 && is_target,
        _ => false,
    }
}

#[cfg(test)]
#[path = "sequences_tests.rs"]
mod tests;
