//! The guard state of pages whose devices EL2 emulates, kept beside the leaves: an access to a
//! register asks for it each time, and must not walk tables for that.

use crate::addr::{Ipa, PAGE_SIZE};
use crate::memory::{EmulatedKind, EmulatedWindow, MAX_EMULATED, MAX_EMULATED_PAGES};
use crate::sync::{AtomicBool, Ordering};

/// One flag for each page of the emulated windows.
#[derive(Debug)]
pub(crate) struct GuardCache {
    /// A place without a window has one of no size.
    windows: [Window; MAX_EMULATED],
    guarded: [AtomicBool; MAX_EMULATED_PAGES],
    /// How many pages there are.
    pages: usize,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    base: u64,
    size: u64,
    /// Number of its first page among all.
    first_page: u64,
    kind: EmulatedKind,
}

impl Window {
    const NONE: Self = Self { base: 0, size: 0, first_page: 0, kind: EmulatedKind::Console };

    /// The offset of `ipa`, if it lies in here.
    #[inline(always)]
    const fn offset(&self, ipa: Ipa) -> Option<u64> {
        // An offset below the size is in the window; one below its base wraps and is above.
        let offset = ipa.get().wrapping_sub(self.base);
        if offset < self.size { Some(offset) } else { None }
    }
}

impl GuardCache {
    /// No page of `windows` is guarded, of which there are at most [`MAX_EMULATED`] with at most
    /// [`MAX_EMULATED_PAGES`]; what is beyond never is.
    pub(crate) fn new(windows: &[EmulatedWindow]) -> Self {
        let mut cache = Self {
            windows: [Window::NONE; MAX_EMULATED],
            guarded: [const { AtomicBool::new(false) }; MAX_EMULATED_PAGES],
            pages: 0,
        };
        let mut first_page = 0u64;
        for (place, EmulatedWindow { ipa, kind }) in cache.windows.iter_mut().zip(windows) {
            *place = Window { base: ipa.base().get(), size: ipa.size(), first_page, kind: *kind };
            first_page = first_page.saturating_add(ipa.size() / PAGE_SIZE);
        }
        cache.pages = usize::try_from(first_page).unwrap_or(MAX_EMULATED_PAGES);
        cache
    }

    /// The window that `ipa` lies in, and its offset there.
    #[inline(always)]
    fn window(&self, ipa: Ipa) -> Option<(&Window, u64)> {
        // Not a loop: that takes twice as long.
        let [first, second, third, fourth] = &self.windows;
        if let Some(offset) = first.offset(ipa) {
            return Some((first, offset));
        }
        if let Some(offset) = second.offset(ipa) {
            return Some((second, offset));
        }
        if let Some(offset) = third.offset(ipa) {
            return Some((third, offset));
        }
        fourth.offset(ipa).map(|offset| (fourth, offset))
    }

    #[inline(always)]
    fn flag(&self, window: &Window, offset: u64) -> Option<&AtomicBool> {
        let page = (offset / PAGE_SIZE).wrapping_add(window.first_page);
        self.guarded.get(usize::try_from(page).ok()?)
    }

    /// Whose register is at `ipa`, at which offset, and whether its page is guarded; `None`
    /// outside the windows.
    #[inline(always)]
    pub(crate) fn find(&self, ipa: Ipa) -> Option<(EmulatedKind, u64, bool)> {
        let (window, offset) = self.window(ipa)?;
        Some((window.kind, offset, self.flag(window, offset)?.load(Ordering::Acquire)))
    }

    /// Whether the page of `ipa` is guarded; `None` outside the windows.
    #[inline(always)]
    pub(crate) fn get(&self, ipa: Ipa) -> Option<bool> {
        self.find(ipa).map(|(_, _, is_guarded)| is_guarded)
    }

    /// Whose registers all of `bytes` bytes from `ipa` are, and at which offset.
    pub(crate) fn device(&self, ipa: Ipa, bytes: u64) -> Option<(EmulatedKind, u64)> {
        let (window, offset) = self.window(ipa)?;
        (offset.checked_add(bytes)? <= window.size).then_some((window.kind, offset))
    }

    /// Notes that the page of `ipa` is guarded, or not. With the writer lock held.
    pub(crate) fn set(&self, ipa: Ipa, guarded: bool) {
        if let Some((window, offset)) = self.window(ipa)
            && let Some(flag) = self.flag(window, offset)
        {
            flag.store(guarded, Ordering::Release);
        }
    }

    /// Notes that no page is guarded.
    pub(crate) fn clear(&self) {
        for flag in self.guarded.iter().take(self.pages) {
            flag.store(false, Ordering::Release);
        }
    }
}
