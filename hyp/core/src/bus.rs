//! The bus of a VM: a table of the pages at which EL2 answers accesses itself, with who answers
//! there and whether the VM has guarded the page. Those pages are neither memory nor ever mapped
//! ([`SpaceLayout`](crate::memory::SpaceLayout)), so each access to them comes here; what the guard
//! says of them is kept beside the leaves, so that none walks tables for it.

use arrayvec::ArrayVec;

use crate::addr::{Ipa, PAGE_SIZE};
use crate::memory::IpaRange;
use crate::sync::{AtomicBool, Ordering};
use crate::vgic::RegisterFile;

/// The most entries of one bus.
pub const MAX_ENTRIES: usize = 4;
/// The most pages that they have in all.
pub(crate) const MAX_PAGES: usize = 512;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The interrupt controller, with these registers.
    Gic(RegisterFile),
    /// A GICv2's CPU interface behind its first page.
    Deactivation,
    /// The console.
    Console,
}

/// An entry of the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where the VM sees the device's registers: whole pages.
    pub ipa: IpaRange,
    /// Who answers there.
    pub device: Device,
}

/// A register on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    /// Whose.
    pub device: Device,
    /// Offset in bytes from the device's first.
    pub offset: u64,
}

/// What became of an access to the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is done. A load read this, zero-extended; 0 for a store.
    Done(u64),
    /// Another CPU of the VM, which has been told, has to answer first: the guest executes the
    /// instruction again. Never for a store.
    Again,
}

/// A [`Register`], and whether its page is guarded.
pub(crate) struct Found {
    pub(crate) register: Register,
    pub(crate) is_guarded: bool,
}

/// The bus of one VM.
#[derive(Debug)]
pub(crate) struct Bus {
    slots: ArrayVec<Slot, MAX_ENTRIES>,
    /// A flag for each page of the entries.
    guarded: [AtomicBool; MAX_PAGES],
    /// How many pages there are.
    pages: usize,
}

#[derive(Debug)]
struct Slot {
    base: u64,
    size: u64,
    /// Number of its first page among all.
    first_page: u64,
    device: Device,
}

impl Device {
    /// The distributor of the interrupt controller.
    pub const DISTRIBUTOR: Self = Self::Gic(RegisterFile::Distributor);
    /// Its redistributors.
    pub const REDISTRIBUTORS: Self = Self::Gic(RegisterFile::Redistributors);
}

impl Bus {
    /// A bus with `entries`, of which the first that has an address answers there, and no page
    /// guarded. There are at most [`MAX_ENTRIES`] with at most [`MAX_PAGES`]: beyond, nobody answers.
    pub(crate) fn new(entries: &[Entry]) -> Self {
        let mut first_page = 0u64;
        let slots = entries.iter().take(MAX_ENTRIES).map(|&Entry { ipa, device }| {
            let slot = Slot { base: ipa.base().get(), size: ipa.size(), first_page, device };
            first_page = first_page.saturating_add(ipa.size() / PAGE_SIZE);
            slot
        });
        Self {
            slots: slots.collect(),
            guarded: [const { AtomicBool::new(false) }; MAX_PAGES],
            pages: usize::try_from(first_page).unwrap_or(MAX_PAGES),
        }
    }

    /// The entry that `ipa` lies in, and its offset there.
    #[inline(always)]
    fn slot(&self, ipa: Ipa) -> Option<(&Slot, u64)> {
        for slot in &self.slots {
            // One below the base wraps and is beyond the size.
            let offset = ipa.get().wrapping_sub(slot.base);
            if offset < slot.size {
                return Some((slot, offset));
            }
        }
        None
    }

    #[inline(always)]
    fn flag(&self, slot: &Slot, offset: u64) -> Option<&AtomicBool> {
        let page = (offset / PAGE_SIZE).wrapping_add(slot.first_page);
        self.guarded.get(usize::try_from(page).ok()?)
    }

    /// The register at `ipa`; `None` where nobody answers.
    #[inline(always)]
    pub(crate) fn find(&self, ipa: Ipa) -> Option<Found> {
        let (slot, offset) = self.slot(ipa)?;
        let is_guarded = self.flag(slot, offset)?.load(Ordering::Acquire);
        Some(Found { register: Register { device: slot.device, offset }, is_guarded })
    }

    /// Notes that the page of `ipa` is guarded, or not. With the writer lock of the address space held.
    pub(crate) fn set_guarded(&self, ipa: Ipa, is_guarded: bool) {
        if let Some((slot, offset)) = self.slot(ipa)
            && let Some(flag) = self.flag(slot, offset)
        {
            flag.store(is_guarded, Ordering::Release);
        }
    }

    /// Notes that no page is guarded.
    pub(crate) fn clear(&self) {
        for flag in self.guarded.iter().take(self.pages) {
            flag.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;
