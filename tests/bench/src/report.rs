//! What goes out: a line for each row, with the samples sorted and counted.

use guest_runtime::tree;
use guest_runtime::uart::line;

/// Samples of a row, at most.
pub(crate) const MOST_SAMPLES: usize = 512;

/// Words on the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// vCPUs.
    pub(crate) cpus: u64,
    /// Samples of each row.
    pub(crate) samples: usize,
    /// This row alone.
    pub(crate) only: Option<&'static str>,
}

impl Options {
    /// Reads the tree.
    pub(crate) fn from_tree(dtb: &'static [u8]) -> Self {
        let mut cpus = 0;
        tree::cpus(dtb, |_| cpus += 1);
        let words = tree::bootargs(dtb).split_ascii_whitespace();
        let word = |name: &str| words.clone().find_map(|word| word.strip_prefix(name));
        let samples = word("samples=").and_then(|number| number.parse().ok());
        Self {
            cpus,
            samples: samples.unwrap_or(MOST_SAMPLES).clamp(1, MOST_SAMPLES),
            only: word("only="),
        }
    }
}

/// Begins; `boot` is what the counter said at the first instruction.
pub(crate) fn begin(boot: u64) {
    line!("bench begins");
    line!("row boot ops=1 {boot}x1");
}

/// All rows are out.
pub(crate) fn end() {
    line!("bench ends");
}

/// Puts out one row; sorts the samples.
pub(crate) fn row(name: &str, operations: u64, samples: &mut [u64]) {
    use core::fmt::Write as _;
    samples.sort_unstable();
    let mut console = guest_runtime::uart::Console;
    // The sink never fails.
    let _ = write!(console, "row {name} ops={operations}");
    for same in samples.chunk_by(|a, b| a == b) {
        if let Some(value) = same.first() {
            let _ = write!(console, " {value}x{}", same.len());
        }
    }
    let _ = writeln!(console);
}

/// A row that this hypervisor has no answer for.
pub(crate) fn no_row(name: &str, answer: u64) {
    line!("none {name} {answer:#x}");
}
