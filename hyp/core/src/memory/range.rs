//! Ranges of addresses that do not wrap.

use core::fmt;

use crate::addr::{Ipa, PAGE_SIZE, Pa};

macro_rules! range {
    ($(#[$doc:meta])* $name:ident of $address:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            base: $address,
            size: u64,
        }

        impl $name {
            /// The `size` bytes from `base`; `None` where their end is above 2^64 - 1.
            #[must_use]
            pub const fn new(base: $address, size: u64) -> Option<Self> {
                match base.checked_add(size) {
                    Some(_) => Some(Self { base, size }),
                    None => None,
                }
            }

            /// From `base` up to `end`, empty where `end` is below.
            #[must_use]
            pub const fn between(base: $address, end: $address) -> Self {
                Self { base, size: end.0.saturating_sub(base.0) }
            }

            /// The page that contains `address`, unless it is the very last one.
            #[must_use]
            pub const fn page_of(address: $address) -> Option<Self> {
                Self::new(address.page(), PAGE_SIZE)
            }

            /// The first address.
            #[must_use]
            pub const fn base(self) -> $address {
                self.base
            }

            /// Bytes in it.
            #[must_use]
            pub const fn size(self) -> u64 {
                self.size
            }

            /// The first address after it.
            #[must_use]
            pub const fn end(self) -> $address {
                // `new` has made this sum.
                $address(self.base.0.wrapping_add(self.size))
            }

            /// Whether it holds no byte.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.size == 0
            }

            /// Whether `address` lies in it.
            #[inline]
            #[must_use]
            pub const fn contains(self, address: $address) -> bool {
                // Below the base this wraps to something no smaller than the size.
                address.0.wrapping_sub(self.base.0) < self.size
            }

            /// Whether all of `other` lies in it.
            #[must_use]
            pub const fn covers(self, other: Self) -> bool {
                other.base.0 >= self.base.0 && other.end().0 <= self.end().0
            }

            /// Whether the two have a byte in common.
            #[must_use]
            pub const fn overlaps(self, other: Self) -> bool {
                !self.is_empty()
                    && !other.is_empty()
                    && self.base.0 < other.end().0
                    && other.base.0 < self.end().0
            }

            /// Whether base and size are multiples of `align`, a power of two.
            #[must_use]
            pub const fn is_aligned(self, align: u64) -> bool {
                self.base.is_aligned(align) && $address(self.size).is_aligned(align)
            }

            /// The smallest range of whole pages that covers it; `None` where that wraps.
            #[must_use]
            pub const fn to_pages(self) -> Option<Self> {
                let base = self.base.page();
                match self.end().0.checked_next_multiple_of(PAGE_SIZE) {
                    Some(end) => Some(Self { base, size: end.wrapping_sub(base.0) }),
                    None => None,
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x}..{:#x})"), self.base.0, self.end().0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}..{:#x}", self.base.0, self.end().0)
            }
        }
    };
}

range!(
    /// A range of physical addresses.
    PaRange of Pa
);
range!(
    /// A range of a guest's physical addresses.
    IpaRange of Ipa
);

/// Sorts a handful of ranges. The library's sorting takes three KiB of an image that has none to
/// give away.
pub fn sort_few<T: Ord>(ranges: &mut [T]) {
    for end in 1..ranges.len() {
        let (mut at, mut before) = (end, end.wrapping_sub(1));
        while let (Some(later), Some(earlier)) = (ranges.get(at), ranges.get(before))
            && later < earlier
        {
            ranges.swap(at, before);
            (at, before) = (before, before.wrapping_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(base: u64, size: u64) -> PaRange {
        PaRange::new(Pa(base), size).unwrap()
    }

    #[test]
    fn borders_belong_to_one_side() {
        let middle = range(0x2000, 0x2000);
        assert!(!middle.contains(Pa(0x1fff)) && middle.contains(Pa(0x2000)));
        assert!(middle.contains(Pa(0x3fff)) && !middle.contains(Pa(0x4000)));
        assert!(!middle.overlaps(range(0x1000, 0x1000)) && !middle.overlaps(range(0x4000, 1)));
        assert!(middle.overlaps(range(0x3fff, 1)) && middle.overlaps(range(0, 0x10_0000)));
        assert!(!middle.overlaps(range(0x3000, 0)) && !range(0x3000, 0).overlaps(middle));
        assert!(middle.covers(range(0x3000, 0x1000)) && !middle.covers(range(0x3000, 0x1001)));
    }

    #[test]
    fn a_few_are_sorted_in_every_order() {
        // Base 6 counts through all ways to choose six out of 0 to 5, repeated ones included.
        for number in 0..6_u32.pow(6) {
            let mut few = [1, 6, 36, 216, 1296, 7776].map(|place| number / place % 6);
            let mut by_library = few;
            by_library.sort_unstable();
            sort_few(&mut few);
            assert_eq!(few, by_library);
        }
        sort_few::<u32>(&mut []);
    }

    #[test]
    fn a_range_cannot_wrap() {
        assert_eq!(PaRange::new(Pa(u64::MAX), 1), None);
        assert_eq!(PaRange::page_of(Pa(u64::MAX)), None);
        assert_eq!(range(0xfff, 2).to_pages(), Some(range(0, 0x2000)));
        assert_eq!(range(u64::MAX - 1, 1).to_pages(), None);
    }
}
