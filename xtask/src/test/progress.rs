//! Where a run of `test` is, and what has come of it so far.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::scenario::Tally;

/// A run.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
    parts: usize,
    done: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    tally: Tally,
    time: Duration,
}

impl Progress {
    /// A run of `parts` parts begins.
    pub fn new(parts: usize) -> Self {
        Self { begun: Instant::now(), parts, done: Vec::new() }
    }

    /// Performs the next part.
    pub fn perform(&mut self, name: &'static str, part: impl FnOnce() -> Tally) {
        let number = self.done.len() + 1;
        let minutes = self.begun.elapsed().as_secs() / 60;
        eprintln!("[xtask] {number} of {}, after {minutes} min: {name}", self.parts);
        let begun = Instant::now();
        let tally = part();
        self.done.push(Part { name, tally, time: begun.elapsed() });
    }

    /// Says what each part took and came to; the sum.
    pub fn end(self) -> Tally {
        for part in &self.done {
            eprintln!("[xtask] {}", part.line());
        }
        eprintln!("[xtask] all of it took {:.0} s", self.begun.elapsed().as_secs_f64());
        self.done.iter().map(|part| part.tally).sum()
    }
}

impl Part {
    fn line(&self) -> String {
        let Tally { passed, failed, skipped } = self.tally;
        let mut line = format!("{:6.0} s  {}: {passed} passed", self.time.as_secs_f64(), self.name);
        for (number, what) in [(failed, "FAILED"), (skipped, "SKIPPED")] {
            if number > 0 {
                // Cannot fail: it is memory.
                let _ = write!(line, ", {number} {what}");
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let mut progress = Progress::new(2);
        progress.perform("one", || Tally { passed: 3, failed: 1, skipped: 0 });
        progress.perform("two", || Tally { passed: 4, failed: 0, skipped: 2 });
        let lines: Vec<_> = progress.done.iter().map(Part::line).collect();
        assert_eq!(
            lines,
            ["     0 s  one: 3 passed, 1 FAILED", "     0 s  two: 4 passed, 2 SKIPPED"]
        );
        assert_eq!(progress.end(), Tally { passed: 7, failed: 1, skipped: 2 });
    }
}
