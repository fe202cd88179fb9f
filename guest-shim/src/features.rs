//! What a host offers, and by which numbers.

use hyp_abi::smccc::FunctionId;

/// Which numbering of the guard's calls a host speaks. A matter of configuration, never probed:
/// numbers 2 to 5 mean different things in the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Android's kernels and mainline Linux: sharing at 2 to 4, guard at 5 to 8.
    #[default]
    Pkvm,
    /// The list postings of 2021: guard at 2 to 5, no sharing.
    List2021,
}

/// The bitmap of functions 0 to 127 that FEATURES answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features([u32; 4]);

impl Features {
    /// The bitmap in four words, function 0 in bit 0 of the first.
    #[must_use]
    pub const fn new(words: [u32; 4]) -> Self {
        Self(words)
    }

    /// Whether function `number` is served; numbers above 127 never are.
    #[must_use]
    pub fn has(&self, number: u16) -> bool {
        self.0
            .get(usize::from(number / 32))
            .is_some_and(|word| word & (1_u32 << (number % 32)) != 0)
    }

    /// Whether all of `functions` are served.
    #[must_use]
    pub fn has_all(&self, functions: &[FunctionId]) -> bool {
        functions.iter().all(|function| self.has(function.function()))
    }
}
