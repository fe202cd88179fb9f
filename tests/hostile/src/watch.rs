//! Whether the other CPUs get anywhere.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::arch::cpu as machine;
use crate::layout::MOST_CPUS;
use crate::report;

/// Seconds without an operation after which a CPU is starved.
const LIMIT: u64 = 30;

/// What a CPU is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Status {
    /// It is off.
    Off = 0,
    /// It fires.
    Fires = 1,
    /// It is through.
    Through = 2,
}

static PROGRESS: [AtomicU64; MOST_CPUS] = [const { AtomicU64::new(0) }; MOST_CPUS];
static STATUS: [AtomicU64; MOST_CPUS] = [const { AtomicU64::new(0) }; MOST_CPUS];

/// CPU `index` has come to operation `op`.
pub(crate) fn note(index: usize, op: u64) {
    PROGRESS[index].store(op, Ordering::Relaxed);
}

/// CPU `index` does something else now.
pub(crate) fn set_status(index: usize, status: Status) {
    STATUS[index].store(status as u64, Ordering::Release);
}

/// Whether CPU `index` is in `status`.
pub(crate) fn is_status(index: usize, status: Status) -> bool {
    STATUS[index].load(Ordering::Acquire) == status as u64
}

/// What one CPU remembers of the others: how far they were, and when they had got there.
#[derive(Debug, Default)]
pub(crate) struct Watch([(u64, u64); MOST_CPUS]);

impl Watch {
    /// Looks at all others; fails if one of them does not get anywhere.
    pub(crate) fn look(&mut self, index: usize, op: u64) {
        let now = machine::counter();
        for (other, (progress, since)) in self.0.iter_mut().enumerate() {
            let seen = PROGRESS[other].load(Ordering::Relaxed);
            if other == index || seen != *progress || !is_status(other, Status::Fires) {
                (*progress, *since) = (seen, now);
            } else if now.wrapping_sub(*since) > LIMIT * machine::frequency() {
                report::fail(
                    index,
                    op,
                    format_args!("CPU {other} is at operation {seen} since {LIMIT} s"),
                );
            }
        }
    }
}
