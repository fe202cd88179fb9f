//! Places in a guest's code where something is wrong, and how often each was seen.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::event::Event;

/// How many sites are told apart; beyond that a new site stays off the console.
pub(super) const SITES: usize = 256;
/// How many neighbours of its home place a site may take.
const PROBES: usize = 8;

/// How often each site was seen.
#[derive(Debug)]
pub(super) struct Sites {
    keys: [AtomicU64; SITES],
    counts: [AtomicU32; SITES],
}

impl Sites {
    pub(super) const fn new() -> Self {
        Self {
            keys: [const { AtomicU64::new(0) }; SITES],
            counts: [const { AtomicU32::new(0) }; SITES],
        }
    }

    /// Counts `event` at its site and says how often that was seen. A site that finds no place
    /// counts as seen before.
    pub(super) fn count(&self, event: &Event) -> u16 {
        let key = Self::key(event);
        for place in Self::places(key) {
            let (Some(slot), Some(count)) = (self.keys.get(place), self.counts.get(place)) else {
                continue;
            };
            let seen = slot
                .compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed)
                .unwrap_or_else(|other| other);
            if seen == 0 || seen == key {
                let before = count
                    .try_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1))
                    .unwrap_or(u32::MAX);
                return u16::try_from(before.saturating_add(1)).unwrap_or(u16::MAX);
            }
        }
        u16::MAX
    }

    /// Where the site of `event` is, if it has been counted before.
    pub(super) fn find(&self, event: &Event) -> Option<usize> {
        let key = Self::key(event);
        Self::places(key)
            .find(|&place| self.keys.get(place).is_some_and(|k| k.load(Ordering::Relaxed) == key))
    }

    /// What stands for the site of `event`; never 0.
    const fn key(event: &Event) -> u64 {
        let tag = u64::from_le_bytes([event.vm, event.reason as u8, 0, 0, 0, 0, 0, 1]);
        mix(mix(event.pc) ^ tag) | 1
    }

    /// Where the site with this key may be.
    fn places(key: u64) -> impl Iterator<Item = usize> {
        let home = usize::try_from(key >> 40).unwrap_or(0);
        (0..PROBES).map(move |probe| home.wrapping_add(probe) & (SITES - 1))
    }

    pub(super) fn forget(&self) {
        for (key, count) in self.keys.iter().zip(&self.counts) {
            count.store(0, Ordering::Relaxed);
            key.store(0, Ordering::Relaxed);
        }
    }
}

/// Spreads the bits of `value` (the finalizer of SplitMix64).
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
