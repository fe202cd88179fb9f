//! Places in a guest's code where something is wrong.

use super::event::Reason;

use crate::sync::{AtomicU64, Ordering};

/// How many sites are told apart; beyond that a new site stays off the console.
pub(super) const SITES: usize = 256;
/// How many neighbours of its home place a site may take.
const PROBES: usize = 8;

/// The sites that have reached the console.
#[derive(Debug)]
pub(super) struct Sites {
    keys: [AtomicU64; SITES],
}

/// What the table says about a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// It has been entered before.
    Known,
    /// It has not, and there is a place for it.
    New,
    /// It has not, and never will be.
    NoRoom,
}

impl Sites {
    pub(super) const fn new() -> Self {
        Self { keys: [const { AtomicU64::new(0) }; SITES] }
    }

    /// What is known about the site with this key.
    #[inline(always)]
    pub(super) fn find(&self, key: u64) -> Site {
        for place in Self::places(key) {
            match self.keys.get(place).map_or(0, |slot| slot.load(Ordering::Relaxed)) {
                0 => return Site::New,
                seen if seen == key => return Site::Known,
                _ => {}
            }
        }
        Site::NoRoom
    }

    /// Enters the site with this key; `false` if it was there, or there is no place for it.
    pub(super) fn enter(&self, key: u64) -> bool {
        for place in Self::places(key) {
            let Some(slot) = self.keys.get(place) else { continue };
            match slot.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) if seen == key => return false,
                Err(_) => {}
            }
        }
        false
    }

    /// What stands for the site of `reason` at `pc` in the VM `vm`; never 0.
    #[inline(always)]
    pub(super) const fn key(vm: u8, reason: Reason, pc: u64) -> u64 {
        let tag = (vm as u64) << 48 | (reason as u64) << 56;
        // User programs and kernels alike leave the tag's bits of a PC at one value, and no
        // instruction is at an odd address.
        (pc ^ tag) | 1
    }

    /// Where the site with this key may be.
    #[inline(always)]
    fn places(key: u64) -> impl Iterator<Item = usize> {
        // Multiplicative hashing: the golden ratio of 2^32 brings neighbours far apart.
        let spread = ((key >> 2 & 0xffff_ffff) as u32).wrapping_mul(0x9e37_79b1) >> 24;
        let home = usize::try_from(spread).unwrap_or(0);
        (0..PROBES).map(move |probe| home.wrapping_add(probe) & (SITES - 1))
    }

    pub(super) fn forget(&self) {
        for key in &self.keys {
            key.store(0, Ordering::Relaxed);
        }
    }
}
