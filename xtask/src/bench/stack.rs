//! How much stack each function of an AArch64 program takes, read from its instructions.
//!
//! A frame is made by `sub sp, sp, #n` and by stores that push (`stp x29, x30, [sp, #-n]!`); a
//! function that makes its frame in pieces is charged with all of them.

use anyhow::{Context, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

/// One function's frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Bytes.
    pub bytes: u64,
    /// The function.
    pub function: String,
}

/// The frames of the functions in `elf_file`, the largest first.
///
/// # Errors
///
/// It is not an ELF file, or a function lies outside its section.
pub fn frames(elf_file: &[u8]) -> Result<Vec<Frame>> {
    let file = object::File::parse(elf_file).context("not an ELF file")?;
    let mut frames = Vec::new();
    for symbol in file.symbols() {
        if symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
            continue;
        }
        let Some(section) = symbol.section_index() else { continue };
        let code = file
            .section_by_index(section)?
            .data_range(symbol.address(), symbol.size())?
            .with_context(|| format!("the function at {:#x} lies nowhere", symbol.address()))?;
        let bytes = frame(code);
        if bytes > 0 {
            let name = addr2line::demangle_auto(symbol.name()?.into(), None);
            frames.push(Frame { bytes, function: name.into_owned() });
        }
    }
    frames.sort_by(|a, b| (b.bytes, &a.function).cmp(&(a.bytes, &b.function)));
    Ok(frames)
}

/// Bytes by which `code` lowers the stack pointer.
fn frame(code: &[u8]) -> u64 {
    code.chunks_exact(4)
        .map(|word| lowers(u32::from_le_bytes([word[0], word[1], word[2], word[3]])))
        .sum()
}

/// Bytes by which one instruction lowers the stack pointer (Arm ARM, C6.2: SUB (immediate), STP
/// and STR (immediate), pre-index).
fn lowers(word: u32) -> u64 {
    let below_zero = |bits: u32, width: u32, scale: u64| {
        let sign = 1 << (width - 1);
        if bits & sign == 0 { 0 } else { u64::from((1 << width) - bits) * scale }
    };
    if word & 0xff80_03ff == 0xd100_03ff {
        let immediate = u64::from(word >> 10 & 0xfff);
        if word & 1 << 22 == 0 { immediate } else { immediate << 12 }
    } else if word & 0xffc0_03e0 == 0xa980_03e0 {
        below_zero(word >> 15 & 0x7f, 7, 8)
    } else if word & 0xffe0_0fe0 == 0xf800_0fe0 {
        below_zero(word >> 12 & 0x1ff, 9, 1)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_a_frame_is_told_from_what_does_not() {
        for (word, bytes) in [
            (0xd101_03ff, 64),   // sub sp, sp, #64
            (0xd140_07ff, 4096), // sub sp, sp, #1, lsl #12
            (0xa9bf_7bfd, 16),   // stp x29, x30, [sp, #-16]!
            (0xa9b8_53f3, 128),  // stp x19, x20, [sp, #-128]!
            (0xf81e_0ffe, 32),   // str x30, [sp, #-32]!
            (0x9101_03ff, 0),    // add sp, sp, #64
            (0xa901_7bfd, 0),    // stp x29, x30, [sp, #16]
            (0xa8c1_7bfd, 0),    // ldp x29, x30, [sp], #16
            (0xa9bf_0041, 0),    // stp x1, x0, [x2, #-16]!
            (0xa981_03e0, 0),    // stp x0, x0, [sp, #16]!
            (0xd101_03e9, 0),    // sub x9, sp, #64
        ] {
            assert_eq!(lowers(word), bytes, "{word:#x}");
        }
    }

    #[test]
    fn a_frame_in_pieces_is_added_up() {
        let code: Vec<u8> = [0xd140_07ff_u32, 0xd503_201f, 0xd101_03ff, 0xa9bf_7bfd]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        assert_eq!(frame(&code), 4096 + 64 + 16);
        assert_eq!(frame(&[]), 0);
    }
}
