//! Which parts of the pool are in use: one bit for each unit.

/// Bytes of a unit. A word of bits is a page of the pool.
pub(super) const UNIT: usize = 64;

/// Units of one page.
pub(super) const UNITS_PER_PAGE: usize = 64;

/// The bits; set ones are in use.
#[derive(Debug)]
pub(super) struct Units(&'static mut [u64]);

impl Units {
    /// All units of as many pages as there are words, none in use.
    pub(super) fn new(words: &'static mut [u64]) -> Self {
        words.fill(0);
        Self(words)
    }

    /// Takes `count` units in a row, the first a multiple of `align`; the first. `None` if there
    /// are not that many, or if `count` is 0.
    pub(super) fn take(&mut self, count: usize, align: usize) -> Option<usize> {
        let total = self.0.len().checked_mul(UNITS_PER_PAGE)?;
        let mut first: usize = 0;
        loop {
            let end = first.checked_add(count).filter(|end| *end <= total && count > 0)?;
            match (first..end).rev().find(|unit| self.is_used(*unit)) {
                Some(used) => first = used.checked_add(1)?.checked_next_multiple_of(align)?,
                None => {
                    (first..end).for_each(|unit| self.flip(unit));
                    return Some(first);
                }
            }
        }
    }

    /// Gives `count` units from `first` on back; whether all of them were in use. If not, nothing
    /// changes.
    pub(super) fn give_back(&mut self, first: usize, count: usize) -> bool {
        let Some(end) = first.checked_add(count) else { return false };
        let are_used = count > 0 && (first..end).all(|unit| self.is_used(unit));
        if are_used {
            (first..end).for_each(|unit| self.flip(unit));
        }
        are_used
    }

    /// Whether nothing is in use.
    pub(super) fn are_free(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The words, for their owner.
    pub(super) fn into_words(self) -> &'static mut [u64] {
        self.0
    }

    fn is_used(&self, unit: usize) -> bool {
        let word = self.0.get(unit / UNITS_PER_PAGE).copied().unwrap_or(0);
        word & (1_u64 << (unit % UNITS_PER_PAGE)) != 0
    }

    fn flip(&mut self, unit: usize) {
        if let Some(word) = self.0.get_mut(unit / UNITS_PER_PAGE) {
            *word ^= 1_u64 << (unit % UNITS_PER_PAGE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn units(pages: usize) -> Units {
        Units::new(Box::leak(std::vec![u64::MAX; pages].into_boxed_slice()))
    }

    #[test]
    fn all_of_it_can_be_taken_once() {
        let mut units = units(2);
        assert_eq!(units.take(0, 1), None);
        assert_eq!(units.take(129, 1), None);
        assert_eq!(units.take(1, 1), Some(0));
        assert_eq!(units.take(64, 64), Some(64));
        assert_eq!(units.take(63, 1), Some(1));
        assert_eq!(units.take(1, 1), None);
        assert!(!units.give_back(127, 2), "the second is not ours");
        assert!(!units.give_back(0, 0) && !units.give_back(usize::MAX, 2));
        assert!(units.give_back(0, 128) && units.are_free());
        assert!(!units.give_back(0, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// No unit is handed out twice, and first fit finds room where there is any.
        #[test]
        fn units_have_one_user(steps in proptest::collection::vec((1..80_usize, any::<u8>()), 1..60)) {
            let mut units = units(4);
            let mut taken: Vec<(usize, usize)> = Vec::new();
            let mut used = BTreeSet::new();
            for (count, choice) in steps {
                if choice % 3 == 0 && !taken.is_empty() {
                    let (first, count) = taken.swap_remove(usize::from(choice) % taken.len());
                    prop_assert!(units.give_back(first, count));
                    (first..first + count).for_each(|unit| { used.remove(&unit); });
                    continue;
                }
                let align = if choice % 2 == 0 { 1 } else { 64 };
                let fits = (0..=256 - count)
                    .step_by(align)
                    .find(|first| (*first..*first + count).all(|unit| !used.contains(&unit)));
                prop_assert_eq!(units.take(count, align), fits);
                if let Some(first) = fits {
                    used.extend(first..first + count);
                    taken.push((first, count));
                }
            }
            prop_assert_eq!(units.are_free(), used.is_empty());
        }
    }
}
