//! Stage-1 tables in which every IPA has its place.
//!
//! Identity map of 1 TiB: RAM as Normal write-back, everything else as Device-nGnRE. Two windows
//! show the first GiB and RAM once more: one for EL0 and one in which non-RAM is Normal non-cacheable
//! and executable, for fetches and unaligned accesses that stage 1 would refuse on Device memory.

use core::sync::atomic::{AtomicU64, Ordering};

/// VA at which IPA 0 appears for EL0.
pub const USER_WINDOW: u64 = 32 << 39;
/// VA at which IPA 0 appears as Normal memory.
pub const NORMAL_WINDOW: u64 = 33 << 39;

const MIB_2: u64 = 2 << 20;
/// Bytes that an entry of level 1 covers.
pub const GIB: u64 = 1 << 30;

// Descriptor bits (Arm ARM, D8.3). AttrIndx as MAIR_EL1 is to be filled: 0 Device-nGnRE, 1 Normal
// write-back, 2 Normal non-cacheable.
const BLOCK: u64 = 0b01;
/// Of an entry that leads to another table.
pub const TABLE: u64 = 0b11;
const ACCESSED: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// Of a block or page that EL0 may use.
pub const USER: u64 = 1 << 6;
/// Of a block or page that cannot be written to.
pub const READ_ONLY: u64 = 1 << 7;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const DEVICE: u64 = BLOCK | ACCESSED | PXN | UXN;
/// Of a page of a device.
pub const DEVICE_PAGE: u64 = DEVICE | TABLE;
/// Of a block of Normal write-back memory.
pub const NORMAL: u64 = BLOCK | ACCESSED | INNER_SHAREABLE | (1 << 2) | UXN;
const UNCACHED: u64 = BLOCK | ACCESSED | INNER_SHAREABLE | (2 << 2) | UXN;

/// The table of level 0.
pub const L0: usize = 0;
const LOW: usize = 1;
const HIGH: usize = 2;
const FIRST_RAM: usize = 3;
const USER_L1: usize = 4;
/// The table of level 1 of [`NORMAL_WINDOW`], of which the second GiB is free.
pub const NORMAL_L1: usize = 5;
/// The first table that the guest may use as it likes.
pub const FREE: usize = 6;

/// `N` tables. In memory whose stale cache lines are dropped: they are written with the MMU off.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Tables<const N: usize>([[AtomicU64; 512]; N]);

impl<const N: usize> Tables<N> {
    /// Empty ones.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { [const { AtomicU64::new(0) }; 512] }; N])
    }

    /// Where `table` lies.
    #[must_use]
    pub fn address(&self, table: usize) -> u64 {
        (&raw const self.0[table]) as u64
    }

    /// Sets entry `index` of `table`.
    pub fn set(&self, table: usize, index: usize, descriptor: u64) {
        self.0[table][index].store(descriptor, Ordering::Relaxed);
    }

    /// Fills those below [`FREE`]; base and size of RAM are as the tree says.
    pub fn fill(&self, (base, size): (u64, u64)) {
        let end = base.saturating_add(size);
        for (index, table) in [(0, LOW), (1, HIGH), (32, USER_L1), (33, NORMAL_L1)] {
            self.set(L0, index, self.address(table) | TABLE);
        }
        let mut at = 0;
        for i in 0..512 {
            let is_ram = at >= base && at + GIB <= end;
            self.set(LOW, i, at | if is_ram { NORMAL } else { DEVICE });
            self.set(HIGH, i, (at + 512 * GIB) | DEVICE);
            at += GIB;
        }
        // The first gigabyte of RAM may be partly there.
        let mut at = base & !(GIB - 1);
        self.set(LOW, gib(at), self.address(FIRST_RAM) | TABLE);
        for i in 0..512 {
            let is_ram = at >= base && at + MIB_2 <= end;
            self.set(FIRST_RAM, i, at | if is_ram { NORMAL } else { DEVICE });
            at += MIB_2;
        }
        self.set(USER_L1, 0, (UNCACHED & !UXN) | USER | PXN);
        let mut at = base & !(GIB - 1);
        while at < end.min(512 * GIB) {
            self.set(USER_L1, gib(at), at | (NORMAL & !UXN) | USER | PXN);
            at += GIB;
        }
        self.set(NORMAL_L1, 0, UNCACHED);
    }
}

/// The entry of level 1 for `address`, which is below 512 GiB.
fn gib(address: u64) -> usize {
    (address / GIB % 512) as usize
}

impl<const N: usize> Default for Tables<N> {
    fn default() -> Self {
        Self::new()
    }
}
