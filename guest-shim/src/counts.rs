//! How many users each granule has, in storage that the caller provides.
//!
//! Every granule has a count, but neighbours with the same count share one place: a device of
//! 256 MiB takes one, wherever it lies. Places are sorted, do not overlap, and no two of them
//! could be one.

/// One place of the storage behind [`IoremapGuard`](crate::IoremapGuard): granules in a row that
/// have equally many users.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of the first granule.
    first: u64,
    /// How many granules, at least 1 in a place that is in use.
    granules: u64,
    /// How many users each of them has: at least 1, [`FOR_GOOD`] if it is never taken back.
    users: u64,
}

/// The count of a granule that stays guarded for ever. A count that got here by counting would
/// stay here, which is the safe side.
const FOR_GOOD: u64 = u64::MAX;

impl Place {
    /// A place that is not in use, to fill storage with.
    pub const FREE: Self = Self { first: 0, granules: 0, users: 0 };

    fn end(self) -> u64 {
        self.first.saturating_add(self.granules)
    }
}

/// No place is left; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// What happens to the counts of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Keep,
    Remove,
}

impl Change {
    fn applied(self, users: u64) -> u64 {
        match self {
            _ if users == FOR_GOOD => FOR_GOOD,
            Self::Add => users.saturating_add(1),
            Self::Keep => FOR_GOOD,
            Self::Remove => users.saturating_sub(1),
        }
    }
}

/// The counts.
#[derive(Debug)]
pub(crate) struct Counts<S> {
    storage: S,
    /// Places in use, from the first on.
    len: usize,
}

impl<S: AsRef<[Place]> + AsMut<[Place]>> Counts<S> {
    /// No granule has users. What `storage` holds does not matter.
    pub(crate) fn new(storage: S) -> Self {
        Self { storage, len: 0 }
    }

    /// The same counts in other storage.
    ///
    /// # Errors
    ///
    /// The counts as they were, if there are too few places.
    pub(crate) fn moved<T: AsRef<[Place]> + AsMut<[Place]>>(
        self,
        mut storage: T,
    ) -> Result<Counts<T>, Self> {
        match storage.as_mut().get_mut(..self.len) {
            Some(places) => {
                places.copy_from_slice(self.places());
                Ok(Counts { storage, len: self.len })
            }
            None => Err(self),
        }
    }

    /// One more user for each granule from `first` to before `end`.
    pub(crate) fn add(&mut self, first: u64, end: u64) -> Result<(), Full> {
        self.change(first, end, Change::Add)
    }

    /// These granules stay for ever.
    pub(crate) fn keep(&mut self, first: u64, end: u64) -> Result<(), Full> {
        self.change(first, end, Change::Keep)
    }

    /// One user less for each granule from `first` to before `end`; those without stay without.
    pub(crate) fn remove(&mut self, first: u64, end: u64) -> Result<(), Full> {
        self.change(first, end, Change::Remove)
    }

    /// How many users the granules from `at` on have, and up to where, at most `end`, all have the
    /// same.
    pub(crate) fn run(&self, at: u64, end: u64) -> (u64, u64) {
        match self.places().get(self.index(at)) {
            Some(place) if place.first <= at => (place.users, place.end().min(end)),
            Some(place) => (0, place.first.min(end)),
            None => (0, end),
        }
    }

    fn places(&self) -> &[Place] {
        self.storage.as_ref().get(..self.len).unwrap_or_default()
    }

    /// Index of the first place that ends behind `granule`.
    fn index(&self, granule: u64) -> usize {
        self.places().partition_point(|place| place.end() <= granule)
    }

    fn change(&mut self, first: u64, end: u64, change: Change) -> Result<(), Full> {
        if self.needed(first, end, change) > self.storage.as_ref().len() {
            return Err(Full);
        }
        self.split(first);
        self.split(end);
        let mut index = self.index(first);
        let mut at = first;
        while at < end {
            let (_, run_end) = self.run(at, end);
            let is_gap = self.places().get(index).is_none_or(|place| place.first > at);
            if is_gap && change == Change::Remove {
                at = run_end;
                continue;
            }
            if is_gap {
                let granules = run_end.saturating_sub(at);
                self.insert(index, Place { first: at, granules, users: 0 });
            }
            if let Some(place) = self.storage.as_mut().get_mut(index) {
                place.users = change.applied(place.users);
            }
            at = run_end;
            index = index.saturating_add(1);
        }
        self.tidy();
        Ok(())
    }

    /// Places that a change takes before neighbours become one again.
    fn needed(&self, first: u64, end: u64, change: Change) -> usize {
        let cuts = |border: u64| {
            let place = self.places().get(self.index(border));
            usize::from(place.is_some_and(|place| place.first < border))
        };
        let mut needed = self.len.saturating_add(cuts(first)).saturating_add(cuts(end));
        let mut at = first;
        while change != Change::Remove && at < end {
            let (users, run_end) = self.run(at, end);
            needed = needed.saturating_add(usize::from(users == 0));
            at = run_end;
        }
        needed
    }

    /// Makes a place end at `border`, if one goes across.
    fn split(&mut self, border: u64) {
        let index = self.index(border);
        let Some(place) = self.storage.as_mut().get_mut(index).filter(|_| index < self.len) else {
            return;
        };
        if place.first < border {
            let upper =
                Place { first: border, granules: place.end().saturating_sub(border), ..*place };
            place.granules = border.saturating_sub(place.first);
            self.insert(index.saturating_add(1), upper);
        }
    }

    /// Puts `place` at `index`. There is room: [`needed`](Self::needed) was asked.
    fn insert(&mut self, index: usize, place: Place) {
        let new_len = self.len.saturating_add(1);
        if let Some(tail) = self.storage.as_mut().get_mut(index..new_len) {
            tail.rotate_right(1);
            if let Some(slot) = tail.first_mut() {
                *slot = place;
                self.len = new_len;
            }
        }
    }

    /// Drops places without users and makes neighbours with equally many one.
    fn tidy(&mut self) {
        let Some(places) = self.storage.as_mut().get_mut(..self.len) else { return };
        let mut kept: usize = 0;
        for index in 0..places.len() {
            let place = places[index];
            if place.users == 0 {
                continue;
            }
            let before = kept.checked_sub(1).and_then(|before| places.get_mut(before));
            match before.filter(|b| b.end() == place.first && b.users == place.users) {
                Some(before) => before.granules = before.granules.saturating_add(place.granules),
                None => {
                    places[kept] = place;
                    kept = kept.saturating_add(1);
                }
            }
        }
        self.len = kept;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_neighbours_take_one_place() {
        let mut counts = Counts::new([Place::FREE; 3]);
        counts.add(0, 1 << 20).unwrap();
        counts.add(1 << 20, 1 << 21).unwrap();
        assert_eq!(counts.places().len(), 1);
        counts.add(5, 6).unwrap();
        assert_eq!(counts.places().len(), 3);
        assert_eq!(counts.add(9, 10), Err(Full));
        assert_eq!(counts.remove(9, 10), Err(Full));
        assert_eq!(counts.places().len(), 3, "a refusal changes nothing");
        counts.remove(5, 6).unwrap();
        assert_eq!((counts.places().len(), counts.run(5, 9)), (1, (1, 9)));
    }

    #[test]
    fn the_last_granules_of_the_address_space_count_too() {
        let last = u64::MAX / 4096;
        let mut counts = Counts::new([Place::FREE; 2]);
        counts.add(last, last + 1).unwrap();
        assert_eq!(counts.run(last, last + 1), (1, last + 1));
        counts.remove(last, last + 1).unwrap();
        assert_eq!(counts.run(0, last + 1), (0, last + 1));
    }

    #[test]
    fn moving_keeps_every_count() {
        let mut counts = Counts::new([Place::FREE; 2]);
        counts.keep(1, 2).unwrap();
        counts.add(4, 6).unwrap();
        let counts = counts.moved([Place::FREE; 1]).err().unwrap();
        let counts = counts.moved([Place::FREE; 9]).ok().unwrap();
        assert_eq!((counts.run(1, 9), counts.run(4, 9)), ((FOR_GOOD, 2), (1, 6)));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(u64, u64),
        Keep(u64, u64),
        Remove(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let range = || (0..30_u64, 1..8_u64).prop_map(|(first, count)| (first, first + count));
        prop_oneof![
            6 => range().prop_map(|(first, end)| Step::Add(first, end)),
            1 => range().prop_map(|(first, end)| Step::Keep(first, end)),
            6 => range().prop_map(|(first, end)| Step::Remove(first, end)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// A count per granule, kept one by one, says the same.
        #[test]
        fn runs_are_counts(
            steps in proptest::collection::vec(step(), 1..60),
            places in 0..12_usize,
        ) {
            let mut counts = Counts::new(std::vec![Place::FREE; places]);
            let mut model: BTreeMap<u64, Option<u64>> = BTreeMap::new();
            for step in steps {
                let (result, first, end) = match step {
                    Step::Add(first, end) => (counts.add(first, end), first, end),
                    Step::Keep(first, end) => (counts.keep(first, end), first, end),
                    Step::Remove(first, end) => (counts.remove(first, end), first, end),
                };
                if result.is_ok() {
                    for granule in first..end {
                        let users = model.entry(granule).or_insert(Some(0));
                        match step {
                            Step::Add(..) => *users = users.map(|n| n + 1),
                            Step::Keep(..) => *users = None,
                            Step::Remove(..) => *users = users.map(|n| n.saturating_sub(1)),
                        }
                    }
                }
                for granule in 0..40 {
                    let want = model.get(&granule).copied().unwrap_or(Some(0));
                    prop_assert_eq!(counts.run(granule, granule + 1).0, want.unwrap_or(FOR_GOOD));
                }
                let runs: Vec<Place> = counts.places().to_vec();
                for pair in runs.windows(2) {
                    prop_assert!(pair[0].end() <= pair[1].first);
                    prop_assert!(pair[0].end() < pair[1].first || pair[0].users != pair[1].users);
                }
            }
        }
    }
}
