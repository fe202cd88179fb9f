//! CRC-32 by the CPU's instructions (FEAT_CRC32), eight bytes at a time.

use core::arch::asm;

use hyp_core::bundle::crc32;

use super::sysreg;
use super::sysreg::fields::isar0_more;

/// As [`crc32::update`].
pub(crate) fn update(crc: u32, bytes: &[u8]) -> u32 {
    if isar0_more::CRC32.read(sysreg::id_aa64isar0_el1()) == 0 {
        return crc32::update_compact(crc, bytes);
    }
    let (words, rest) = bytes.as_chunks();
    let remainder = words.iter().fold(!crc, |remainder, word| step(remainder, *word));
    // Inverted at both ends, in which the two halves cancel out.
    crc32::update_compact(!remainder, rest)
}

fn step(remainder: u32, word: [u8; 8]) -> u32 {
    let next;
    // SAFETY: a calculation in registers, by an instruction that is there (checked above).
    unsafe {
        asm!(
            ".arch_extension crc",
            "crc32x {next:w}, {remainder:w}, {word:x}",
            ".arch_extension nocrc",
            next = out(reg) next,
            remainder = in(reg) remainder,
            word = in(reg) u64::from_le_bytes(word),
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    next
}
