//! The guard state of pages whose devices EL2 emulates, kept beside the leaves: an access to a
//! register asks for it each time, and must not walk tables for that.

use core::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;

use crate::addr::{Ipa, PAGE_SIZE};
use crate::memory::{EmulatedKind, EmulatedWindow, MAX_EMULATED, SpaceError};

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
    window: EmulatedWindow,
    first_bit: u64,
}

impl GuardCache {
    pub(crate) fn new(windows: &[EmulatedWindow]) -> Result<Self, SpaceError> {
        let mut cache =
            Self { windows: ArrayVec::new(), bits: [const { AtomicU64::new(0) }; WORDS] };
        let mut first_bit = 0u64;
        for window in windows {
            cache
                .windows
                .try_push(Window { window: *window, first_bit })
                .map_err(|_| SpaceError::TooManyPages(MAX_PAGES))?;
            first_bit = first_bit.saturating_add(window.ipa.size() / PAGE_SIZE);
        }
        if first_bit > u64::try_from(MAX_PAGES).unwrap_or(0) {
            return Err(SpaceError::TooManyPages(MAX_PAGES));
        }
        Ok(cache)
    }

    /// The window that `ipa` lies in, and its offset there.
    #[inline]
    fn window(&self, ipa: Ipa) -> Option<(&Window, u64)> {
        // An offset below the size is in the window; one below its base wraps and is above.
        self.windows.iter().find_map(|entry| {
            let offset = ipa.get().wrapping_sub(entry.window.ipa.base().get());
            (offset < entry.window.ipa.size()).then_some((entry, offset))
        })
    }

    #[inline]
    fn bit(&self, window: &Window, offset: u64) -> Option<(&AtomicU64, u64)> {
        let bit = (offset / PAGE_SIZE).wrapping_add(window.first_bit);
        let word = self.bits.get(usize::try_from(bit / 64).ok()?)?;
        Some((word, 1u64.wrapping_shl((bit % 64) as u32)))
    }

    /// Whose register is at `ipa`, at which offset, and whether its page is guarded; `None`
    /// outside the windows.
    #[inline]
    pub(crate) fn find(&self, ipa: Ipa) -> Option<(EmulatedKind, u64, bool)> {
        let (window, offset) = self.window(ipa)?;
        let (word, mask) = self.bit(window, offset)?;
        Some((window.window.kind, offset, word.load(Ordering::Acquire) & mask != 0))
    }

    /// Whether the page of `ipa` is guarded; `None` outside the windows.
    #[inline]
    pub(crate) fn get(&self, ipa: Ipa) -> Option<bool> {
        self.find(ipa).map(|(_, _, is_guarded)| is_guarded)
    }

    /// Whose registers all of `bytes` bytes from `ipa` are, and at which offset.
    pub(crate) fn device(&self, ipa: Ipa, bytes: u64) -> Option<(EmulatedKind, u64)> {
        let (Window { window, .. }, offset) = self.window(ipa)?;
        (offset.checked_add(bytes)? <= window.ipa.size()).then_some((window.kind, offset))
    }

    /// Notes that the page of `ipa` is guarded, or not. With the writer lock held.
    pub(crate) fn set(&self, ipa: Ipa, guarded: bool) {
        if let Some((window, offset)) = self.window(ipa)
            && let Some((word, mask)) = self.bit(window, offset)
        {
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
