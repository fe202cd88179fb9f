//! Lives of the VM: from its start or a reset to the next reset.
//!
//! A reset leaves nothing behind that a guest could count them by. So whoever is at the console is asked
//! which life this is; from that number, the seed and the command line all else follows.

use guest_runtime::uart::{self, line};

use crate::arch::cpu as machine;
use crate::layout::MOST_CPUS;
use crate::options::Options;
use crate::random::{Random, mix};
use crate::report;

/// Seconds that somebody has for an answer.
const LIMIT: u64 = 60;

/// This life.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    /// How many there have been before.
    pub(crate) number: u64,
    /// The CPU that ends it, and before which operation; `None` in the last one.
    pub(crate) end: Option<(usize, u64)>,
}

impl Life {
    /// Finds out, and cuts the operations to those of one life.
    pub(crate) fn begin(options: &mut Options) -> Self {
        options.ops = options.ops.div_ceil(options.resets + 1);
        let number = if options.resets == 0 { 0 } else { ask(options.resets) };
        let mut random = Random::new(mix(options.seed) ^ number, MOST_CPUS);
        let half = options.ops_of_one() / 2;
        let end = (number < options.resets)
            .then(|| (random.index(options.cpus()), half + random.below(half.max(1))));
        Self { number, end }
    }

    /// What the streams of this life are made from; of the first one, the seed itself.
    pub(crate) const fn seed(&self, options: &Options) -> u64 {
        if self.number == 0 { options.seed } else { mix(options.seed ^ self.number << 32) }
    }
}

/// Which life it is, 0 to `last`.
fn ask(last: u64) -> u64 {
    line!("hostile: which life is it, 0 to {last}?");
    let begun = machine::counter();
    let mut number = None;
    while machine::counter().wrapping_sub(begun) < LIMIT * machine::frequency() {
        match uart::get() {
            Some(digit @ b'0'..=b'9') => {
                let digit = u64::from(digit - b'0');
                number = Some(number.unwrap_or(0_u64).saturating_mul(10).saturating_add(digit));
            }
            Some(b'\r' | b'\n') if number.is_some_and(|number| number <= last) => {
                return number.unwrap_or(0);
            }
            Some(_) => number = None,
            None => {}
        }
    }
    report::fail(0, 0, format_args!("nobody said which life it is"))
}
