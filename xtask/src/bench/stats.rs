//! Samples and what is quoted of them.

/// What one sample of a row took, and how many samples took as much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// Operations that each sample did.
    operations: u32,
    /// Ticks, ascending, and how many samples took as many; not empty.
    counted: Vec<(u64, u32)>,
}

/// What is quoted: instructions of one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quoted {
    /// The least.
    pub min: f64,
    /// Half of the samples took no more.
    pub median: f64,
    /// 99 of 100 samples took no more.
    pub p99: f64,
}

impl Quoted {
    /// One value that was not sampled.
    pub fn exactly(value: f64) -> Self {
        Self { min: value, median: value, p99: value }
    }
}

impl Samples {
    /// `counted` is ticks and how many samples took as many, in any order; nothing without samples
    /// or operations.
    pub fn new(operations: u32, mut counted: Vec<(u64, u32)>) -> Option<Self> {
        counted.retain(|(_, count)| *count > 0);
        counted.sort_unstable();
        (operations > 0 && !counted.is_empty()).then_some(Self { operations, counted })
    }

    /// Number of samples.
    pub fn count(&self) -> u64 {
        self.counted.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// Ticks of the sample that `percent` of all samples do not exceed, by nearest rank.
    fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (ticks, count) in &self.counted {
            seen += u64::from(*count);
            if seen >= rank {
                return *ticks;
            }
        }
        self.counted.last().map_or(0, |(ticks, _)| *ticks)
    }

    /// Minimum, median and 99th percentile of one operation.
    pub fn quoted(&self) -> Quoted {
        let each = |ticks: u64| ticks as f64 / f64::from(self.operations);
        Quoted {
            min: each(self.percentile(0)),
            median: each(self.percentile(50)),
            p99: each(self.percentile(99)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_that_were_taken() {
        let hundred = Samples::new(1, (1..=100).map(|n| (n, 1)).collect()).unwrap();
        assert_eq!(hundred.count(), 100);
        assert_eq!(hundred.quoted(), Quoted { min: 1.0, median: 50.0, p99: 99.0 });
        let one = Samples::new(1, vec![(7, 1)]).unwrap();
        assert_eq!(one.quoted(), Quoted::exactly(7.0));
        // One slow sample of 512 is above the 99th percentile, six are not.
        let rare = |slow| Samples::new(1, vec![(900, slow), (10, 512 - slow)]).unwrap().quoted();
        assert_eq!(rare(5), Quoted { min: 10.0, median: 10.0, p99: 10.0 });
        assert_eq!(rare(6), Quoted { min: 10.0, median: 10.0, p99: 900.0 });
    }

    #[test]
    fn a_sample_of_eight_operations_is_shared_out() {
        let samples = Samples::new(8, vec![(100, 1), (96, 511)]).unwrap();
        assert_eq!(samples.quoted(), Quoted { min: 12.0, median: 12.0, p99: 12.0 });
        assert_eq!(Samples::new(8, vec![(100, 1)]).unwrap().quoted(), Quoted::exactly(12.5));
    }

    #[test]
    fn nothing_has_no_statistics() {
        assert_eq!(Samples::new(1, Vec::new()), None);
        assert_eq!(Samples::new(1, vec![(4, 0)]), None);
        assert_eq!(Samples::new(0, vec![(4, 1)]), None);
    }
}
