//! Fields of an instruction word.

/// The bits of `word` from `shift`, below 32, on that `mask` leaves.
pub(super) const fn field(word: u32, shift: u32, mask: u32) -> u32 {
    word.wrapping_shr(shift) & mask
}

/// Bit `n`, below 32, of `word`.
pub(super) const fn bit(word: u32, n: u32) -> bool {
    field(word, n, 1) != 0
}

/// The five-bit register number at `shift`.
pub(super) const fn register(word: u32, shift: u32) -> u8 {
    narrow(word, shift, 0x1f)
}

/// The bits of `word` from `shift`, below 32, on that `mask` leaves.
pub(super) const fn narrow(word: u32, shift: u32, mask: u8) -> u8 {
    word.wrapping_shr(shift).to_le_bytes()[0] & mask
}

/// `value`, 1 to 32 `bits` wide, with its sign.
pub(super) const fn signed(value: u32, bits: u32) -> i32 {
    let unused = 32u32.wrapping_sub(bits);
    value.wrapping_shl(unused).cast_signed().wrapping_shr(unused)
}
