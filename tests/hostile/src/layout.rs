//! Who may do what where.
//!
//! Answers can be foretold only where no other CPU has a hand in them. So each CPU has pages of
//! its own: memory to share and give back, memory that nothing names, and addresses to guard.

use hyp_abi::vplatform::{GICR_BASE, GICR_STRIDE, RAM_BASE};

/// Bytes of a granule.
pub(crate) const PAGE: u64 = 4096;
/// CPUs at most.
pub(crate) const MOST_CPUS: usize = 4;

const MIB: u64 = 1 << 20;

/// The heap. Loaders leave all from here on alone if there are 64 MiB.
pub(crate) const HEAP: u64 = RAM_BASE + 24 * MIB;
/// Its size.
pub(crate) const HEAP_SIZE: u64 = 4 * MIB;
/// Instructions to be fired; see `code.rs`.
pub(crate) const CODE: u64 = HEAP + HEAP_SIZE;
/// The areas of the CPUs.
const CPUS: u64 = CODE + 4 * MIB;
const STRIDE: u64 = 6 * MIB;
const END: u64 = CPUS + MOST_CPUS as u64 * STRIDE;

/// RAM for tests.
pub(crate) const fn test_ram() -> core::ops::Range<u64> {
    CODE..END
}

/// Whether `bytes` bytes from `address` are RAM for tests.
pub(crate) fn is_test_ram(address: u64, bytes: u64) -> bool {
    (CODE..END).contains(&address) && END - address >= bytes
}

/// What one CPU has for itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    index: u64,
    /// Bits of the address space.
    ipa_bits: u32,
}

impl Own {
    /// Pages that are shared and given back.
    pub(crate) const PAGES: u64 = 24;
    /// Pages with a pattern that nothing names.
    pub(crate) const CANARIES: u64 = 64;
    /// Granules to guard that are one after the other.
    const RANGE: u64 = 160;
    /// Granules to guard.
    pub(crate) const GRANULES: u64 = Self::RANGE + 4;

    /// Those of CPU `index`.
    pub(crate) const fn new(index: usize, ipa_bits: u32) -> Self {
        Self { index: index as u64, ipa_bits }
    }

    const fn base(&self) -> u64 {
        CPUS + self.index * STRIDE
    }

    /// Page `n` of memory to share; they lie around the end of a block of 2 MiB.
    pub(crate) const fn page(&self, n: u64) -> u64 {
        self.base() + 2 * MIB + n % Self::PAGES * PAGE - Self::PAGES / 2 * PAGE
    }

    /// Page `n` with a pattern; between pages to share and elsewhere.
    pub(crate) const fn canary(&self, n: u64) -> u64 {
        self.base() + 3 * MIB + n % Self::CANARIES * PAGE
    }

    /// Memory that this CPU's own instructions may write to.
    pub(crate) const fn scratch(&self) -> u64 {
        self.base() + 4 * MIB
    }

    /// Bytes of it.
    pub(crate) const SCRATCH_SIZE: u64 = MIB;

    /// Memory for tables full of nonsense.
    pub(crate) const fn bad_table(&self) -> u64 {
        self.base() + 5 * MIB
    }

    /// Where this CPU guards pages with nothing behind them: the last ones before something else,
    /// for the first CPU memory, for the second the end of the address space.
    pub(crate) const fn end_of_nowhere(&self) -> u64 {
        match self.index {
            0 => RAM_BASE,
            1 => 1 << self.ipa_bits,
            _ => 0x1000_0000 + self.index * (16 * MIB),
        }
    }

    /// Granule `n` before that end, or one far away from all others.
    pub(crate) const fn nowhere(&self, n: u64) -> u64 {
        let n = n % Self::GRANULES;
        if n < Self::RANGE {
            self.end_of_nowhere() - (n + 1) * PAGE
        } else {
            // Above all RAM that a test has, a gibibyte for each.
            (3 << 30) + ((self.index * 4 + n - Self::RANGE) << 30 >> 4) + n * PAGE
        }
    }

    /// The page of this CPU's redistributor, 0 to 31, that `n` stands for.
    pub(crate) const fn redistributor(&self, n: u64) -> u64 {
        GICR_BASE + self.index * GICR_STRIDE + n % (GICR_STRIDE / PAGE) * PAGE
    }

    /// Whether `address` is guarded or not by this CPU alone.
    pub(crate) fn has(&self, address: u64) -> bool {
        let page = address / PAGE * PAGE;
        let end = self.end_of_nowhere();
        (end - Self::RANGE * PAGE..end).contains(&page)
            || (Self::RANGE..Self::GRANULES).any(|n| self.nowhere(n) == page)
    }
}

/// What the page of a canary holds at word `word`.
pub(crate) const fn pattern(page: u64, word: u64) -> u64 {
    crate::random::mix(page.wrapping_add(word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
