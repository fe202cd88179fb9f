//! The guard state of pages whose devices EL2 emulates, kept beside the leaves: an access to a
//! register asks for it each time, and must not walk tables for that.

use core::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;

use crate::addr::{Ipa, PAGE_SIZE};
use crate::memory::{IpaRange, MAX_EMULATED, SpaceError};

const WORDS: usize = 8;
const MAX_PAGES: usize = WORDS * 64;

/// One bit for each page of the emulated windows.
#[derive(Debug)]
pub(crate) struct GuardCache {
    windows: ArrayVec<Window, MAX_EMULATED>,
    bits: [AtomicU64; WORDS],
}

#[derive(Debug)]
struct Window {
    range: IpaRange,
    first_bit: u64,
}

impl GuardCache {
    pub(crate) fn new(windows: &[IpaRange]) -> Result<Self, SpaceError> {
        let mut cache =
            Self { windows: ArrayVec::new(), bits: [const { AtomicU64::new(0) }; WORDS] };
        let mut first_bit = 0u64;
        for range in windows {
            cache
                .windows
                .try_push(Window { range: *range, first_bit })
                .map_err(|_| SpaceError::TooManyPages(MAX_PAGES))?;
            first_bit = first_bit.saturating_add(range.size() / PAGE_SIZE);
        }
        if first_bit > u64::try_from(MAX_PAGES).unwrap_or(0) {
            return Err(SpaceError::TooManyPages(MAX_PAGES));
        }
        Ok(cache)
    }

    #[inline]
    fn bit(&self, ipa: Ipa) -> Option<(&AtomicU64, u64)> {
        let window = self.windows.iter().find(|window| window.range.contains(ipa))?;
        let page = ipa.checked_sub(window.range.base())? / PAGE_SIZE;
        let bit = page.checked_add(window.first_bit)?;
        let word = self.bits.get(usize::try_from(bit / 64).ok()?)?;
        Some((word, 1u64.wrapping_shl((bit % 64) as u32)))
    }

    /// Whether the page of `ipa` is guarded; `None` outside the windows.
    #[inline]
    pub(crate) fn get(&self, ipa: Ipa) -> Option<bool> {
        let (word, mask) = self.bit(ipa)?;
        Some(word.load(Ordering::Acquire) & mask != 0)
    }

    /// Notes that the page of `ipa` is guarded, or not. With the writer lock held.
    pub(crate) fn set(&self, ipa: Ipa, guarded: bool) {
        if let Some((word, mask)) = self.bit(ipa) {
            if guarded {
                word.fetch_or(mask, Ordering::Release);
            } else {
                word.fetch_and(!mask, Ordering::Release);
            }
        }
    }

    /// Notes that no page is guarded.
    pub(crate) fn clear(&self) {
        for word in &self.bits {
            word.store(0, Ordering::Release);
        }
    }
}
