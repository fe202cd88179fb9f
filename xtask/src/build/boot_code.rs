//! The check behind `.boot` in `linker/hyp.ld`: what only boot needs is taken out of EL2's map before
//! the first guest runs, so nothing outside may lead into it.
//!
//! A branch names its target, and an address can only be made from the page that ADRP names, from an
//! ADR or from a word in memory, so that each of these decides by itself. The page in which `.boot`
//! begins has code that stays, too; whatever stays names places there in other ways, and ADRP must not.

use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, elf};

use super::link::UNWINDING;

/// Where `boot.s` goes on at EL2's addresses, on the boot CPU, before anything is taken away; and what runs
/// with the MMU off, when it does not matter what is mapped.
const ENTRIES: [&str; 4] = ["boot_high", "boot_entry", "secondary_entry", "leave_mmu"];
/// Of EL2's map, and of ADRP.
const PAGE: u64 = 4096;
/// References that are shown.
const SHOWN: usize = 20;

/// Fails if anything outside `.boot` but its entries leads there.
///
/// # Errors
///
/// There is such a reference, or `elf_file` is not the hypervisor.
pub fn check(elf_file: &[u8]) -> Result<()> {
    let references = references(elf_file)?;
    ensure!(
        references.is_empty(),
        "boot's code is gone when guests run, and this leads into it:\n{}\nxtask/src/build/link, \
         which says what stays, must know of this",
        references.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n")
    );
    Ok(())
}

/// Lines of the form `who -> whom` for the references into `.boot` from outside.
fn references(elf_file: &[u8]) -> Result<Vec<String>> {
    let file = object::File::parse(elf_file).context("not an ELF file")?;
    let mut functions = Vec::new();
    let mut bounds = [None; 2];
    for symbol in file.symbols() {
        let name = symbol.name()?;
        match name {
            "boot_code" => bounds[0] = Some(symbol.address()),
            "text_end" => bounds[1] = Some(symbol.address()),
            // `$x` and `$d` only tell code from data.
            _ if symbol.is_definition() && !name.starts_with('$') => {
                functions.push((symbol.address(), name));
            }
            _ => {}
        }
    }
    let [Some(start), Some(end)] = bounds else {
        anyhow::bail!("the symbols boot_code and text_end are missing: linker/hyp.ld has them");
    };
    ensure!(start < end, "boot's code ends before it begins");
    functions.sort_unstable();
    let name_of = |address: u64| {
        let index = functions.partition_point(|(at, _)| *at <= address);
        index.checked_sub(1).map_or("?", |index| functions[index].1)
    };
    let boot = start..end;
    let mut found = Vec::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        let base = section.address();
        let is_loaded = sh_flags.contains(elf::SHF_ALLOC) && section.name()? != UNWINDING;
        if !is_loaded || boot.contains(&base) {
            continue;
        }
        let data = section.data()?;
        let mut note = |at: u64, target: u64| {
            let (who, whom) = (name_of(at), name_of(target));
            if boot.contains(&target) && !ENTRIES.contains(&who) {
                let [who, whom] =
                    [who, whom].map(|name| addr2line::demangle_auto(name.into(), None));
                found.push(format!("  {who} ({at:#x}) -> {whom} ({target:#x})"));
            }
        };
        if sh_flags.contains(elf::SHF_EXECINSTR) {
            for (at, word) in (base..).step_by(4).zip(data.as_chunks().0) {
                let word = u32::from_le_bytes(*word);
                let Some(to) = target(at, word) else { continue };
                let names_shared_page = is_adrp(word) && to == start - start % PAGE;
                note(at, if names_shared_page { start } else { to });
            }
        }
        for (at, word) in (base..).step_by(8).zip(data.as_chunks().0) {
            note(at, u64::from_le_bytes(*word));
        }
    }
    Ok(found)
}

/// What the instruction `word` at `at` names: where it branches, or the page or address it makes (Arm
/// ARM, C4.1: branches, PC-relative addressing, loads of literals).
fn target(at: u64, word: u32) -> Option<u64> {
    // A field of `bits` bits from bit `low` on, in units of 2^scale bytes.
    let offset = |low: u32, bits: u32, scale: u32| {
        let value = i64::from(word >> low) << (64 - bits) >> (64 - bits) << scale;
        at.wrapping_add_signed(value)
    };
    let immediate = i64::from(word >> 5 & 0x7_ffff) << 45 >> 43 | i64::from(word >> 29 & 3);
    if word & 0x7c00_0000 == 0x1400_0000 {
        Some(offset(0, 26, 2)) // B, BL
    } else if word & 0xff00_0000 == 0x5400_0000
        || word & 0x7e00_0000 == 0x3400_0000
        || word & 0x3b00_0000 == 0x1800_0000
    {
        Some(offset(5, 19, 2)) // B.cond, CBZ, CBNZ, LDR (literal)
    } else if word & 0x7e00_0000 == 0x3600_0000 {
        Some(offset(5, 14, 2)) // TBZ, TBNZ
    } else if word & 0x9f00_0000 == 0x1000_0000 {
        Some(at.wrapping_add_signed(immediate)) // ADR
    } else if is_adrp(word) {
        Some((at & !0xfff).wrapping_add_signed(immediate << 12)) // ADRP
    } else {
        None
    }
}

const fn is_adrp(word: u32) -> bool {
    word & 0x9f00_0000 == 0x9000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodings as the assembler gives them for these targets.
    #[test]
    fn every_way_to_name_an_address_is_seen() {
        for (word, to) in [
            (0x1400_0002, Some(0x1_2008)), // b +8
            (0x97ff_ffff, Some(0x1_1ffc)), // bl -4
            (0x5400_0041, Some(0x1_2008)), // b.ne +8
            (0xb4ff_ffe3, Some(0x1_1ffc)), // cbz x3, -4
            (0x3500_0043, Some(0x1_2008)), // cbnz w3, +8
            (0x3617_ffe0, Some(0x1_1ffc)), // tbz w0, #2, -4
            (0xb7f8_0041, Some(0x1_2008)), // tbnz x1, #63, +8
            (0x5800_0040, Some(0x1_2008)), // ldr x0, +8
            (0x3000_0020, Some(0x1_2005)), // adr x0, +5
            (0x10ff_ffe1, Some(0x1_1ffc)), // adr x1, -4
            (0x9000_0008, Some(0x1_2000)), // adrp x8, this page
            (0xf0ff_ffe8, Some(0x1_1000)), // adrp x8, the page before
            (0xd000_0008, Some(0x1_4000)), // adrp x8, two pages on
            (0x9100_0400, None),           // add x0, x0, #1
            (0xf940_0001, None),           // ldr x1, [x0]
            (0xd65f_03c0, None),           // ret
            (0xd63f_0060, None),           // blr x3
        ] {
            let at = 0x1_2000;
            assert_eq!(target(at, word), to, "{word:#x}");
        }
    }
}
