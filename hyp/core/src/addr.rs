//! Addresses with their kind in the type.
//!
//! An [`Ipa`] that came from a guest is an allegation: holding one proves nothing about alignment,
//! range or what lies there.

use core::fmt;

/// Bytes in a page of the 4 KiB translation granule, the only one Postern uses.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;
/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a level-2 block.
pub const BLOCK_2M: u64 = 1 << 21;
/// Bytes in a level-1 block.
pub const BLOCK_1G: u64 = 1 << 30;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The address as a number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The start of the page that contains this address.
            #[must_use]
            pub const fn page(self) -> Self {
                Self(self.0 & !(PAGE_SIZE - 1))
            }

            /// The byte's offset within its page.
            #[must_use]
            pub const fn page_offset(self) -> u64 {
                self.0 & (PAGE_SIZE - 1)
            }

            /// Whether the address is a multiple of `align`, a power of two.
            #[must_use]
            pub const fn is_aligned(self, align: u64) -> bool {
                self.0 & align.wrapping_sub(1) == 0
            }

            /// The address `bytes` further on, or `None` where that wraps.
            #[must_use]
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// Bytes from `base` up to here, or `None` where `base` is above.
            #[must_use]
            pub const fn checked_sub(self, base: Self) -> Option<u64> {
                self.0.checked_sub(base.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address!(
    /// A physical address: what EL2's own tables and the bus speak.
    Pa
);
address!(
    /// An intermediate physical address: what a guest believes to be physical.
    Ipa
);
address!(
    /// A virtual address, of a guest or of EL2.
    Va
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_wraps_is_none() {
        assert_eq!(Ipa(u64::MAX).checked_add(1), None);
        assert_eq!(Ipa(0x1fff).page(), Ipa(0x1000));
        assert_eq!(Pa(0x1fff).page_offset(), 0xfff);
        assert!(!Pa(0x1800).is_aligned(PAGE_SIZE));
    }
}
