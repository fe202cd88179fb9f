//! Accesses that the hardware did not describe, piece by piece: an instruction may move up to 64
//! bytes, and they may lie in two pages.

use super::road::{FaultView, are_open, undescribed};
use super::{Fault, Kind};
use crate::addr::{Ipa, PAGE_SIZE, Va};
use crate::esr::{Direction, Width};
use crate::events::Reason;

/// Where the bytes of one instruction lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: Va,
    /// Page of the first byte.
    first: Ipa,
    /// Page of the last byte.
    last: Ipa,
}

impl Span {
    /// The `bytes` bytes, at most a page, from virtual address `start`, one of which faulted.
    ///
    /// `translate` is asked for a page that did not fault. `None` where the fault is elsewhere
    /// (the guest changed its code meanwhile), where it goes another way than the instruction's
    /// `direction`, which is `None` for atomics, or where a page is not mapped by the guest.
    pub fn new(
        fault: &Fault,
        start: u64,
        bytes: usize,
        direction: Option<Direction>,
        mut translate: impl FnMut(Va) -> Option<Ipa>,
    ) -> Option<Self> {
        let Kind::Data { direction: faulted, .. } = fault.kind else { return None };
        // A load that became a store would get around the guest's own permissions.
        if direction.is_some_and(|direction| direction != faulted) {
            return None;
        }
        let beyond = u64::try_from(bytes.checked_sub(1)?).ok()?;
        // Bits 63:56 may be a tag, which the hardware may report or not.
        let distance = (fault.va.get().wrapping_sub(start) << 8) >> 8;
        if distance > beyond {
            return None;
        }
        let start = Va(start);
        let end = Va(start.get().wrapping_add(beyond));
        let mut page_of = |va: Va| {
            let is_same = (va.page().get() ^ fault.va.page().get()) << 8 == 0;
            if is_same { Some(fault.ipa.page()) } else { translate(va).map(Ipa::page) }
        };
        let first = page_of(start)?;
        let last = if start.page() == end.page() { first } else { page_of(end)? };
        Some(Self { start, first, last })
    }

    /// Where byte `offset` is.
    #[must_use]
    pub fn ipa(&self, offset: usize) -> Ipa {
        let va = self.va(offset);
        let page = if va.page() == self.start.page() { self.first } else { self.last };
        Ipa(page.get() | va.page_offset())
    }

    fn va(&self, offset: usize) -> Va {
        Va(self.start.get().wrapping_add(u64::try_from(offset).unwrap_or(0)))
    }
}

/// Why an instruction may not be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// Where the piece is that is in the way.
    pub va: Va,
    /// The same as stage 2 sees it.
    pub ipa: Ipa,
    /// Which check failed.
    pub reason: Reason,
}

impl Denied {
    /// The access that faulted, for `reason`.
    #[must_use]
    pub const fn all_of(fault: &Fault, reason: Reason) -> Self {
        Self { va: fault.va, ipa: fault.ipa, reason }
    }

    /// The access that faulted, whose form is to blame where a device is there at all.
    #[must_use]
    pub fn undescribed<V: FaultView>(view: &V, fault: &Fault) -> Self {
        Self::all_of(fault, undescribed(view, fault.ipa))
    }

    /// `fault` at the piece that is in the way.
    #[must_use]
    pub const fn narrow(&self, fault: &Fault) -> Fault {
        Fault { va: self.va, ipa: self.ipa, ..*fault }
    }
}

/// Whether every piece of `span`, offset and width, may be moved. Nothing is moved before all of
/// them may.
///
/// # Errors
///
/// The first piece in the way: it is memory, its page is not guarded, or no emulated device has a
/// register there. No register lies across two pages.
pub fn admit<V: FaultView>(
    view: &V,
    fault: &Fault,
    span: &Span,
    pieces: impl Iterator<Item = (usize, Width)>,
) -> Result<(), Denied> {
    for (offset, width) in pieces {
        let bytes = width.bytes();
        let ipa = span.ipa(offset);
        let deny = |reason| Err(Denied { va: span.va(offset), ipa, reason });
        // An instruction that begins in memory and ends in a device is nobody's driver.
        if view.is_memory(ipa) {
            return Err(Denied::undescribed(view, fault));
        }
        let crosses = ipa.page_offset() > PAGE_SIZE.saturating_sub(bytes);
        let last = offset.saturating_add(usize::try_from(bytes).unwrap_or(1).saturating_sub(1));
        if !are_open(view, ipa, span.ipa(last)) {
            return deny(Reason::Unguarded);
        }
        if crosses || view.device(ipa).is_none() {
            return deny(Reason::NoDevice);
        }
    }
    Ok(())
}
