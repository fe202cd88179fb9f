//! Bit tricks of the register files: no loop over 32 interrupts where a few operations do.

/// A mask with bit `n` set; `n` is taken modulo 32.
pub(super) const fn bit(n: u32) -> u32 {
    1u32.wrapping_shl(n)
}

/// The mask of member `n` in a set of up to 32, empty for larger numbers.
pub(super) fn member(n: usize) -> u32 {
    u32::try_from(n).ok().and_then(|n| 1u32.checked_shl(n)).unwrap_or(0)
}

/// The positions of the set bits, lowest first.
#[derive(Clone, Copy)]
pub(super) struct Bits(pub(super) u32);

impl Iterator for Bits {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.0 == 0 {
            return None;
        }
        let n = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        Some(n)
    }
}

/// Bits 31:0.
pub(super) const fn low(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}

/// Bits 63:32.
pub(super) const fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

/// Bits 7:0.
pub(super) const fn byte(value: u64) -> u8 {
    (value & 0xff) as u8
}

/// An interrupt number as an array index.
pub(super) const fn index(n: u32) -> usize {
    n as usize
}

/// Bit n for byte n of `bits`, if it is not zero.
pub(super) const fn changed_bytes(bits: u32) -> u32 {
    let v = bits | (bits >> 4);
    let v = v | (v >> 2);
    let v = (v | (v >> 1)) & 0x0101_0101;
    // Each byte's bit comes to a place of its own, those that count to 27:24.
    v.wrapping_mul(1 << 24 | 1 << 17 | 1 << 10 | 1 << 3) >> 24 & 0xf
}

/// The fields of an ICFGR register that hold bit `n` of `edges` in bit `2n + 1`; the even bits
/// are RES0 (IHI0069, GICD_ICFGR).
pub(super) const fn icfgr_from_edges(edges: u32) -> u32 {
    let mut v = edges & 0xffff;
    v = (v | (v << 8)) & 0x00ff_00ff;
    v = (v | (v << 4)) & 0x0f0f_0f0f;
    v = (v | (v << 2)) & 0x3333_3333;
    v = (v | (v << 1)) & 0x5555_5555;
    v << 1
}

/// The inverse of [`icfgr_from_edges`]: 16 edge bits.
pub(super) const fn edges_from_icfgr(icfgr: u32) -> u32 {
    let mut v = (icfgr >> 1) & 0x5555_5555;
    v = (v | (v >> 1)) & 0x3333_3333;
    v = (v | (v >> 2)) & 0x0f0f_0f0f;
    v = (v | (v >> 4)) & 0x00ff_00ff;
    (v | (v >> 8)) & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn icfgr_puts_each_edge_into_the_high_bit_of_its_field(edges in 0u32..0x1_0000) {
            let icfgr = icfgr_from_edges(edges);
            for n in 0..16 {
                prop_assert_eq!((icfgr >> (2 * n)) & 3, ((edges >> n) & 1) << 1);
            }
            prop_assert_eq!(edges_from_icfgr(icfgr), edges);
            prop_assert_eq!(edges_from_icfgr(icfgr | 0x5555_5555), edges);
        }
    }

    proptest! {
        #[test]
        fn a_byte_has_changed_if_any_of_its_bits_has(bytes: [bool; 4], bits: u32) {
            let bits = bytes.iter().enumerate().fold(0, |sum, (n, &is_set)| {
                // Not zero where it is to be set.
                let byte = (bits >> (8 * n)) & 0xff;
                sum | if is_set { byte.max(1) << (8 * n) } else { 0 }
            });
            let changed = changed_bytes(bits);
            prop_assert_eq!([0, 1, 2, 3].map(|n| changed & 1 << n != 0), bytes);
            prop_assert!(changed < 16);
        }
    }

    #[test]
    fn set_bits_come_in_order() {
        assert_eq!(Bits(0x8000_0005).collect::<Vec<_>>(), [0, 2, 31]);
    }
}
