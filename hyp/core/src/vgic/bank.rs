//! One vCPU's SGIs and PPIs, and which interrupt sits in which of its list registers.

use super::GicVersion;
use super::bits::{Bits, bit, index, member};
use super::lr::{CpuInterface, ListRegister, MAX_LIST_REGISTERS};
use super::regs::bytes_of;
use super::sources::{self, Sources};
use super::word::{Groups, Word};
use crate::esr::Width;
use crate::sync::{AtomicU32, Ordering};
use hyp_abi::vplatform::{PTIMER_INTID, VTIMER_INTID};

/// PPIs whose line is a physical timer's: their list registers carry the HW bit.
pub(super) const PHYSICAL_PPIS: u32 = bit(PTIMER_INTID) | bit(VTIMER_INTID);
/// SGIs, always edge-triggered.
pub(super) const SGIS: u32 = 0xffff;

/// Which interrupt each list register holds. Only the owning CPU changes it.
#[derive(Clone, Copy, Default)]
pub(super) struct Slots {
    intid: [u16; MAX_LIST_REGISTERS],
    /// List registers that hold something, or held it when they were last looked at.
    pub(super) used: u32,
    /// Those of `used` that hold an SGI or a PPI.
    pub(super) private: u32,
}

impl Slots {
    /// Notes that `slot` holds `intid`.
    pub(super) fn take(&mut self, slot: u32, intid: u32) {
        if let (Some(entry), Ok(narrow)) = (self.intid.get_mut(index(slot)), u16::try_from(intid)) {
            *entry = narrow;
            self.used |= bit(slot);
            if intid < 32 {
                self.private |= bit(slot);
            }
        }
    }

    /// Notes that `slot` is free.
    pub(super) const fn free(&mut self, slot: u32) {
        self.used &= !bit(slot);
        self.private &= !bit(slot);
    }

    /// The interrupt that `slot` held last.
    pub(super) fn intid(&self, slot: u32) -> u32 {
        self.intid.get(index(slot)).map_or(0, |&intid| u32::from(intid))
    }

    /// The slot that holds the SGI or PPI `intid`.
    fn find_private(&self, intid: u32) -> Option<u32> {
        Bits(self.private).find(|&slot| self.intid(slot) == intid)
    }
}

/// SGIs and PPIs of one vCPU.
pub(super) struct Bank {
    pub(super) word: Word,
    pub(super) slots: Slots,
    /// Timers whose physical PPI this CPU acknowledged and nobody has deactivated yet.
    physical: u32,
    /// Live interrupts whose list register has the HW bit.
    tied: u32,
    /// More is waiting than fits: every change needs a full look.
    pub(super) is_crowded: bool,
    /// Active interrupts are left without a list register.
    pub(super) has_spilled: bool,
    /// The list register that each live interrupt is in.
    slot_of: [u8; 32],
    /// ICH_HCR_EL2 as written last, but for the trap of deactivations.
    pub(super) hcr: u64,
    /// A bit for each list register while the vCPU runs, else none.
    pub(super) implemented: u32,
    /// GICR_WAKER.ProcessorSleep.
    pub(super) is_asleep: bool,
    /// Who sent the SGIs that wait here; only with a GICv2. What waits is in the word's latch, too.
    pub(super) sources: Option<Sources>,
}

/// An access to GICD_CPENDSGIR or GICD_SPENDSGIR.
pub(super) struct Senders {
    /// The SGI of its first byte.
    pub(super) first: u32,
    pub(super) width: Width,
    /// What it stores, or has loaded.
    pub(super) value: u64,
    pub(super) kind: SendersKind,
}

/// What such an access does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SendersKind {
    /// A load.
    Look,
    /// A store to GICD_CPENDSGIR.
    Recall,
    /// A store to GICD_SPENDSGIR.
    Send,
}

impl Senders {
    /// Does it, while everything that is pending is in the model.
    pub(super) fn perform(&mut self, bank: &mut Bank) {
        let Self { first, width, kind, .. } = *self;
        let mut seen = [0; 8];
        for ((n, senders), seen) in bytes_of(first, self.value, width).zip(&mut seen) {
            match kind {
                SendersKind::Look => {
                    *seen = bank.sources.as_ref().map_or(0, |sources| sources.waiting(n));
                }
                SendersKind::Recall => bank.recall(n, senders),
                SendersKind::Send => bank.send(n, senders),
            }
        }
        self.value = u64::from_le_bytes(seen);
    }
}

impl Bank {
    /// The state after reset.
    pub(super) fn new(version: GicVersion) -> Self {
        // The timers' lines are levels, whatever a guest writes.
        let mut word = Word::new(SGIS, SGIS | PHYSICAL_PPIS);
        let sources = match version {
            GicVersion::V2 => {
                // They cannot be disabled (GIC-400, DDI 0471B, 3.2.1: GICD_ISENABLER0).
                word.enabled = SGIS;
                Some(Sources::default())
            }
            GicVersion::V3 => None,
        };
        Self {
            word,
            sources,
            slots: Slots::default(),
            physical: 0,
            tied: 0,
            is_crowded: false,
            has_spilled: false,
            slot_of: [0; 32],
            hcr: 0,
            implemented: 0,
            is_asleep: true,
        }
    }

    /// Back to the state after reset, but for physical interrupts that this CPU has acknowledged
    /// since its vCPU went off: forgotten, they would stay active for ever.
    pub(super) fn reset(&mut self, version: GicVersion) {
        *self = Self { physical: self.physical, ..Self::new(version) };
    }

    /// The shortest road, for an SGI sent to oneself and a timer: interrupt `n` happens again and
    /// its old list register still has its name on it, but is empty. Then a write of that
    /// register is all; the model knows it as pending there already. `false` if not so.
    /// `source` is the sender of a GICv2's SGI, else 0; `physical` is what it is tied to, if
    /// [`Self::is_tied`] says so.
    #[inline(always)]
    pub(super) fn revive(
        &self,
        n: u32,
        source: u32,
        physical: Option<u32>,
        groups: Groups,
        iface: &mut impl CpuInterface,
    ) -> bool {
        let slot = u32::from(self.slot_of.get(index(n) & 31).copied().unwrap_or(0));
        if self.word.revivable(groups) & bit(n) == 0
            || self.is_crowded
            || iface.empty_lrs() & bit(slot) == 0
        {
            return false;
        }
        let lr = self.describe(n).with_pending(true).with_source(source);
        iface.write_lr(index(slot), physical.map_or(lr, |intid| lr.with_physical(intid)));
        true
    }

    /// A list register for interrupt `n` that is neither pending nor active.
    #[inline]
    fn describe(&self, n: u32) -> ListRegister {
        ListRegister::new(n, self.word.priority(n))
            .with_group1(self.word.group1.wrapping_shr(n) & 1 != 0)
    }

    /// Whether a list register of interrupt `n`, if there is one, is tied to the physical one.
    pub(super) const fn is_tied(&self, n: u32) -> bool {
        self.tied & bit(n) != 0
    }

    /// SGIs that other CPUs left: bits 15:0 for either group, bits 31:16 only if in group 0.
    pub(super) const fn absorb(&mut self, inbox: u32) {
        self.word.latch |= (inbox & SGIS) | ((inbox >> 16) & !self.word.group1);
    }

    /// The same for a GICv2: `senders` is laid out as GICD_SPENDSGIR.
    #[inline(never)]
    pub(super) fn absorb_from(&mut self, senders: &[AtomicU32; sources::WORDS]) {
        for (first, word) in (0u32..).step_by(4).zip(senders) {
            for (n, senders) in (first..).zip(word.swap(0, Ordering::AcqRel).to_le_bytes()) {
                self.send(n, senders);
            }
        }
    }

    /// SGI `n` of a GICv2 is sent by `senders`.
    pub(super) fn send(&mut self, n: u32, senders: u8) {
        if let Some(sources) = &mut self.sources
            && senders != 0
        {
            sources.add(n, senders);
            self.word.latch |= bit(n) & SGIS;
        }
    }

    /// SGI `n` of a GICv2 does not wait from `senders` any more.
    pub(super) fn recall(&mut self, n: u32, senders: u8) {
        if let Some(sources) = &mut self.sources {
            sources.remove(n, senders);
            self.word.latch &= !SGIS | sources.any();
        }
    }

    /// The physical timer interrupt `n` was acknowledged on this CPU.
    pub(super) fn fire(&mut self, n: u32, iface: &impl CpuInterface) {
        // It could fire because the guest has deactivated the one before, whose list register
        // must not be mistaken for this one's.
        self.retire(iface.empty_lrs());
        self.physical |= bit(n) & PHYSICAL_PPIS;
        self.word.set_line(bit(n) & PHYSICAL_PPIS, true);
    }

    /// Drops timer lines that went low while they waited here, and lets go of physical
    /// interrupts that nothing in the model answers for any more.
    pub(super) fn settle(&mut self, iface: &mut impl CpuInterface) {
        for n in Bits(self.word.line & !self.word.live) {
            if !iface.timer_line(n) {
                self.word.set_line(bit(n), false);
            }
        }
        let wanted = self.word.line | self.word.active | self.word.live;
        if self.physical & !wanted != 0 {
            self.let_go(self.physical & !wanted, iface);
        }
    }

    /// Deactivates the physical interrupts of the timers in `mask`.
    #[cold]
    fn let_go(&mut self, mask: u32, iface: &mut impl CpuInterface) {
        for n in Bits(mask) {
            iface.deactivate_physical(iface.physical_timer(n));
        }
        self.physical &= !mask;
    }

    /// Forgets timer interrupts altogether: the vCPU goes off.
    pub(super) fn drop_timers(&mut self, iface: &mut impl CpuInterface) {
        self.let_go(self.physical, iface);
        self.word.line &= !PHYSICAL_PPIS;
        self.word.active &= !PHYSICAL_PPIS;
    }

    /// What a list register for interrupt `n` is to hold, and the note that it does.
    /// `deliverable` is the word's set of that name.
    #[inline]
    pub(super) fn load(
        &mut self,
        n: u32,
        deliverable: u32,
        iface: &impl CpuInterface,
    ) -> ListRegister {
        let mask = bit(n);
        let active = self.word.active & mask != 0;
        // What is pending behind an active interrupt stays in the model until its end: a list
        // register that is both could pass for a waiting one.
        let pending = deliverable & mask != 0 && !active;
        let is_behind = active && self.word.pending() & mask != 0;
        let look_again = self.word.edge & mask == 0 || is_behind;
        let lr = self.describe(n).with_pending(pending).with_active(active);
        self.word.load(mask, pending);
        let is_sgi = mask & SGIS != 0;
        if is_sgi && self.sources.is_some() {
            self.load_sgi(n, lr)
        } else if self.physical & mask != 0 && !is_behind {
            // A list register tied to the physical interrupt cannot call for a look at its end:
            // that look then deactivates the physical one, too.
            self.tied |= mask;
            lr.with_physical(iface.physical_timer(n))
        } else if look_again {
            lr.with_eoi_interrupt()
        } else {
            lr
        }
    }

    /// The rest of [`Self::load`] for an SGI of a GICv2: whose it is, and a call back if it waits
    /// from others, too.
    fn load_sgi(&mut self, n: u32, lr: ListRegister) -> ListRegister {
        let Some(sources) = &mut self.sources else { return lr };
        let source = if lr.is_pending() { sources.next(n).unwrap_or(0) } else { sources.active(n) };
        self.call_back(n, lr.with_source(source))
    }

    /// `lr`, which holds SGI `n` of a GICv2, with a maintenance interrupt at its end if the SGI waits
    /// from others.
    fn call_back(&mut self, n: u32, lr: ListRegister) -> ListRegister {
        if self.sources.as_ref().is_some_and(|sources| sources.waiting(n) != 0) {
            self.word.latch |= bit(n);
            lr.with_eoi_interrupt()
        } else {
            self.word.latch &= !bit(n);
            lr
        }
    }

    /// Notes that `slot` holds the SGI or PPI `n`.
    #[inline]
    pub(super) fn take(&mut self, slot: u32, n: u32) {
        self.slots.take(slot, n);
        if let (Some(entry), Ok(narrow)) = (self.slot_of.get_mut(index(n)), u8::try_from(slot)) {
            *entry = narrow;
        }
    }

    /// Interrupt `n` leaves its list register, which held `lr`.
    pub(super) fn fold(&mut self, n: u32, lr: ListRegister) {
        let mask = bit(n);
        if self.tied & mask != 0 && !lr.is_pending() {
            // Acknowledged, so this assertion of the line is consumed; a line that stays high
            // interrupts again after the physical deactivation.
            self.word.set_line(mask, false);
            if !lr.is_active() {
                // The guest's deactivation reached the physical interrupt.
                self.physical &= !mask;
            }
        }
        self.tied &= !mask;
        self.word.fold(mask, lr);
        if mask & SGIS != 0
            && let Some(sources) = &mut self.sources
        {
            sources.fold(n, lr);
        }
    }

    /// Frees those list registers among `empty` whose SGI or PPI the guest has dealt with.
    #[inline]
    fn retire(&mut self, empty: u32) {
        let done = empty & self.slots.private;
        if done == 0 {
            return;
        }
        let mask = Bits(done).fold(0, |mask, slot| mask | bit(self.slots.intid(slot)));
        self.slots.used &= !done;
        self.slots.private &= !done;
        let tied = self.tied & mask;
        if tied != 0 {
            // The guest's deactivation reached the physical interrupt; a line that stays high
            // interrupts again.
            self.word.set_line(tied, false);
            self.physical &= !tied;
            self.tied &= !tied;
        }
        self.word.retire(mask);
    }

    /// The short road: empties and fills only list registers that are idle anyway. `false` if
    /// that is not enough and everything must be folded and sorted anew.
    #[inline]
    pub(super) fn deliver(&mut self, groups: Groups, iface: &mut impl CpuInterface) -> bool {
        if self.is_crowded {
            return false;
        }
        if self.slots.private != 0 {
            self.retire(iface.empty_lrs());
        }
        self.settle(iface);
        let deliverable = self.word.deliverable(groups);
        let again = deliverable & self.word.edge & self.word.live;
        if again != 0 && !self.merge(again, iface) {
            return false;
        }
        let mut free = self.implemented & !self.slots.used;
        for n in Bits((deliverable | self.word.active) & !self.word.live) {
            if free == 0 {
                return false;
            }
            let slot = free.trailing_zeros();
            free &= free.wrapping_sub(1);
            let lr = self.load(n, deliverable, iface);
            self.take(slot, n);
            iface.write_lr(index(slot), lr);
        }
        true
    }

    /// Adds the new edges `again` to the list registers that hold their interrupts.
    #[cold]
    fn merge(&mut self, again: u32, iface: &mut impl CpuInterface) -> bool {
        for n in Bits(again) {
            let Some(slot) = self.slots.find_private(n) else { return false };
            let lr = iface.read_lr(index(slot));
            let lr = if self.sources.is_some() && bit(n) & SGIS != 0 {
                self.merge_sgi(n, lr)
            } else {
                self.word.merge(bit(n));
                lr.with_pending(true)
            };
            iface.write_lr(index(slot), lr);
        }
        true
    }

    /// What the list register of SGI `n` of a GICv2, which holds `lr`, is to hold now that the SGI
    /// was sent again.
    fn merge_sgi(&mut self, n: u32, lr: ListRegister) -> ListRegister {
        let Some(sources) = &mut self.sources else { return lr };
        let mut lr = lr;
        if lr.is_pending() {
            // What was sent twice by the same CPU arrives once.
            sources.remove(n, 1u8.wrapping_shl(lr.source()));
        } else if !lr.is_active()
            && let Some(source) = sources.next(n)
        {
            lr = self.describe(n).with_pending(true).with_source(source);
            self.word.merge(bit(n));
        }
        self.call_back(n, lr)
    }
}

/// A bit for each list register that exists.
pub(super) fn implemented(iface: &impl CpuInterface) -> u32 {
    member(iface.list_registers().min(MAX_LIST_REGISTERS)).wrapping_sub(1)
}
