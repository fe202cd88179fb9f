//! Loads and stores that the hardware does not describe in the syndrome (`ISV` = 0).
//!
//! Decoded for normal VMs only, and only in the forms that compilers put into drivers: pairs of
//! general registers, and single general registers with writeback. Vector registers, exclusives
//! and atomics have no place on a device; what the architecture leaves unpredictable is refused.
//! Positions are those of the Arm ARM (DDI 0487), C4.1, "Loads and Stores".

use crate::esr::{Access, Direction, Width};

/// The register number that stands for the stack pointer in a base and for zero in a transfer.
pub const REGISTER_31: u8 = 31;

/// A decoded load or store of one or two general registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// The access at [`Decoded::address`].
    pub first: Access,
    /// The access right behind the first, for a pair.
    pub second: Option<Access>,
    /// The base register; [`REGISTER_31`] is the stack pointer.
    pub base: u8,
    offset: i64,
    writeback: Option<i64>,
}

impl Decoded {
    /// The virtual address of the first access where the base register holds `base`.
    ///
    /// If it is not the faulting address, the fault belongs to the second access or the guest
    /// changed its code meanwhile: do not emulate.
    #[must_use]
    pub const fn address(&self, base: u64) -> u64 {
        base.wrapping_add_signed(self.offset)
    }

    /// What the base register holds afterwards, where the instruction writes it.
    #[must_use]
    pub fn written_back(&self, base: u64) -> Option<u64> {
        self.writeback.map(|by| base.wrapping_add_signed(by))
    }
}

/// How an instruction treats its base register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    /// Access at base plus offset; the base stays.
    Offset,
    /// Access at the base, then add.
    Post,
    /// Add, then access.
    Pre,
}

/// Decodes the A64 instruction `word`.
#[must_use]
pub fn decode(word: u32) -> Option<Decoded> {
    // Bit 26 is V: vector registers.
    match field(word, 24, 0x3f) & 0b11_1110 {
        0b10_1000 => decode_pair(word),
        0b11_1000 => decode_single(word),
        _ => None,
    }
}

/// LDP, STP, LDPSW, LDNP, STNP: bits 29:27 are 101.
fn decode_pair(word: u32) -> Option<Decoded> {
    let is_load = field(word, 22, 1) == 1;
    let (width, sign_extend, is_64bit) = match (field(word, 30, 3), is_load) {
        (0b00, _) => (Width::Word, false, false),
        (0b01, true) => (Width::Word, true, true),
        (0b10, _) => (Width::Double, false, true),
        // STGP and unallocated.
        _ => return None,
    };
    let index = match field(word, 23, 3) {
        0b00 if !sign_extend => Index::Offset,
        0b01 => Index::Post,
        0b10 => Index::Offset,
        0b11 => Index::Pre,
        _ => return None,
    };
    let access =
        |register| Access { direction: direction(is_load), width, register, sign_extend, is_64bit };
    let (first, second) = (register(word, 0), register(word, 10));
    if is_load && first == second {
        return None;
    }
    let scale = i64::try_from(width.bytes()).ok()?;
    let offset = signed(field(word, 15, 0x7f), 7).checked_mul(scale)?;
    assemble(word, index, offset, access(first), Some(access(second)))
}

/// LDR, STR and their narrow forms with writeback: bits 29:27 are 111, 25:24 are 00, 21 is 0.
fn decode_single(word: u32) -> Option<Decoded> {
    let index = match (field(word, 24, 3), field(word, 21, 1), field(word, 10, 3)) {
        (0, 0, 0b01) => Index::Post,
        (0, 0, 0b11) => Index::Pre,
        _ => return None,
    };
    let width = Width::from_log2(u64::from(field(word, 30, 3)));
    let (is_load, sign_extend, is_64bit) = match (field(word, 22, 3), width) {
        (0b00, Width::Double) => (false, false, true),
        (0b00, _) => (false, false, false),
        (0b01, Width::Double) => (true, false, true),
        (0b01, _) => (true, false, false),
        (0b10, Width::Byte | Width::Half | Width::Word) => (true, true, true),
        (0b11, Width::Byte | Width::Half) => (true, true, false),
        _ => return None,
    };
    let access = Access {
        direction: direction(is_load),
        width,
        register: register(word, 0),
        sign_extend,
        is_64bit,
    };
    assemble(word, index, signed(field(word, 12, 0x1ff), 9), access, None)
}

/// Puts base register, offset and writeback to the accesses.
fn assemble(
    word: u32,
    index: Index,
    offset: i64,
    first: Access,
    second: Option<Access>,
) -> Option<Decoded> {
    let base = register(word, 5);
    let moves_base = first.register == base || second.is_some_and(|second| second.register == base);
    if index != Index::Offset && base != REGISTER_31 && moves_base {
        return None;
    }
    let (offset, writeback) = match index {
        Index::Offset => (offset, None),
        Index::Post => (0, Some(offset)),
        Index::Pre => (offset, Some(offset)),
    };
    Some(Decoded { first, second, base, offset, writeback })
}

const fn direction(is_load: bool) -> Direction {
    if is_load { Direction::Read } else { Direction::Write }
}

/// The bits of `word` from `shift` on that `mask` leaves.
fn field(word: u32, shift: u32, mask: u32) -> u32 {
    word.checked_shr(shift).unwrap_or(0) & mask
}

/// The five-bit register number at `shift`.
fn register(word: u32, shift: u32) -> u8 {
    let [number, ..] = field(word, shift, 0x1f).to_le_bytes();
    number
}

/// `value`, `bits` bits wide, with its sign.
fn signed(value: u32, bits: u32) -> i64 {
    let unused = 64u32.saturating_sub(bits);
    let top = u64::from(value).checked_shl(unused).unwrap_or(0);
    top.cast_signed().checked_shr(unused).unwrap_or(0)
}

#[cfg(test)]
#[path = "insn_tests.rs"]
mod tests;
