//! CRC-32 by the CPU's instructions (FEAT_CRC32), 32 bytes in a round.

use core::arch::asm;
use core::ops::Range;

use hyp_core::bundle::crc32;

use super::sysreg;
use super::sysreg::fields::isar0_more;

/// As [`crc32::update`].
pub(crate) fn update(crc: u32, bytes: &[u8]) -> u32 {
    if isar0_more::CRC32.read(sysreg::id_aa64isar0_el1()) == 0 {
        return crc32::update_compact(crc, bytes);
    }
    let (rounds, rest) = bytes.as_chunks();
    // Inverted at both ends, in which the two halves cancel out.
    crc32::update_compact(!sum(!crc, rounds), rest)
}

/// The remainder after `rounds`. In assembly, because the compiler would load byte by byte: it must
/// not suppose that unaligned loads are allowed, which at EL2 they are.
fn sum(remainder: u32, rounds: &[[u8; 32]]) -> u32 {
    let Range { start, end } = rounds.as_ptr_range();
    let mut sum = remainder;
    if start < end {
        // SAFETY: loads from the borrowed slice only, from its start to its end, and calculates by
        // an instruction that is there (the caller has looked).
        unsafe {
            asm!(
                ".arch_extension crc",
                "2:",
                "ldp {a}, {b}, [{at}], #16",
                "crc32x {sum:w}, {sum:w}, {a}",
                "crc32x {sum:w}, {sum:w}, {b}",
                "ldp {a}, {b}, [{at}], #16",
                "crc32x {sum:w}, {sum:w}, {a}",
                "crc32x {sum:w}, {sum:w}, {b}",
                "cmp {at}, {end}",
                "b.lo 2b",
                ".arch_extension nocrc",
                at = inout(reg) start => _,
                end = in(reg) end,
                sum = inout(reg) sum,
                a = out(reg) _,
                b = out(reg) _,
                options(pure, readonly, nostack),
            );
        }
    }
    sum
}
