//! One vCPU's SGIs and PPIs, and which interrupt sits in which of its list registers.

use super::bits::{Bits, bit, index, member};
use super::lr::{CpuInterface, ListRegister, MAX_LIST_REGISTERS};
use super::word::{Groups, Word};
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
    pub(super) priority: [u8; 32],
    pub(super) slots: Slots,
    /// Physical PPIs that this CPU acknowledged and nobody has deactivated yet.
    physical: u32,
    /// Live interrupts whose list register has the HW bit.
    tied: u32,
    /// More is waiting than fits: every change needs a full look.
    pub(super) is_crowded: bool,
    /// Active interrupts are left without a list register.
    pub(super) has_spilled: bool,
    /// ICH_HCR_EL2 as written last.
    pub(super) hcr: u64,
    /// The vCPU runs, so its list registers are in use.
    pub(super) is_online: bool,
    /// GICR_WAKER.ProcessorSleep.
    pub(super) is_asleep: bool,
}

impl Bank {
    /// The state after reset.
    pub(super) fn new() -> Self {
        Self {
            word: Word::new(SGIS),
            priority: [0; 32],
            slots: Slots::default(),
            physical: 0,
            tied: 0,
            is_crowded: false,
            has_spilled: false,
            hcr: 0,
            is_online: false,
            is_asleep: true,
        }
    }

    /// SGIs that other CPUs left: bits 15:0 for either group, bits 31:16 only if in group 0.
    pub(super) const fn absorb(&mut self, inbox: u32) {
        self.word.latch |= (inbox & SGIS) | ((inbox >> 16) & !self.word.group1);
    }

    /// The physical timer interrupt `n` was acknowledged on this CPU.
    pub(super) fn fire(&mut self, n: u32, iface: &impl CpuInterface) {
        // It could fire because the guest has deactivated the one before, whose list register
        // must not be mistaken for this one's.
        self.retire(iface);
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
        for n in Bits(self.physical & !wanted) {
            iface.deactivate_physical(n);
            self.physical &= !bit(n);
        }
    }

    /// Forgets timer interrupts altogether: the vCPU goes off.
    pub(super) fn drop_timers(&mut self, iface: &mut impl CpuInterface) {
        for n in Bits(self.physical) {
            iface.deactivate_physical(n);
        }
        self.physical = 0;
        self.word.line &= !PHYSICAL_PPIS;
        self.word.active &= !PHYSICAL_PPIS;
    }

    /// What a list register for interrupt `n` is to hold, and the note that it does.
    pub(super) fn load(&mut self, n: u32, groups: Groups) -> ListRegister {
        let mask = bit(n);
        let active = self.word.active & mask != 0;
        // What is pending behind an active interrupt stays in the model until its end: a list
        // register that is both could pass for a waiting one.
        let pending = self.word.deliverable(groups) & mask != 0 && !active;
        let look_again = self.word.edge & mask == 0 || self.word.pending() & mask != 0 && active;
        let lr = ListRegister::new(n, self.priority.get(index(n)).copied().unwrap_or(0))
            .with_group1(self.word.group1 & mask != 0)
            .with_pending(pending)
            .with_active(active);
        self.word.load(mask, pending);
        if self.physical & mask != 0 {
            self.tied |= mask;
            lr.with_physical()
        } else if look_again {
            lr.with_eoi_interrupt()
        } else {
            lr
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
    }

    /// Frees list registers whose SGI or PPI the guest has dealt with.
    fn retire(&mut self, iface: &impl CpuInterface) {
        if self.slots.private == 0 {
            return;
        }
        for slot in Bits(iface.empty_lrs() & self.slots.private) {
            self.fold(self.slots.intid(slot), ListRegister::EMPTY);
            self.slots.free(slot);
        }
    }

    /// The short road: empties and fills only list registers that are idle anyway. `false` if
    /// that is not enough and everything must be folded and sorted anew.
    pub(super) fn deliver(&mut self, groups: Groups, iface: &mut impl CpuInterface) -> bool {
        if self.is_crowded {
            return false;
        }
        self.retire(iface);
        self.settle(iface);
        let again = self.word.deliverable(groups) & self.word.edge & self.word.live;
        for n in Bits(again) {
            let Some(slot) = self.slots.find_private(n) else { return false };
            let lr = iface.read_lr(index(slot));
            iface.write_lr(index(slot), lr.with_pending(true));
            self.word.merge(bit(n));
        }
        let mut free = implemented(iface) & !self.slots.used;
        let wanted = (self.word.deliverable(groups) | self.word.active) & !self.word.live;
        for n in Bits(wanted) {
            if free == 0 {
                return false;
            }
            let slot = free.trailing_zeros();
            free &= free.wrapping_sub(1);
            let lr = self.load(n, groups);
            self.slots.take(slot, n);
            iface.write_lr(index(slot), lr);
        }
        true
    }
}

/// A bit for each list register that exists.
pub(super) fn implemented(iface: &impl CpuInterface) -> u32 {
    member(iface.list_registers().min(MAX_LIST_REGISTERS)).wrapping_sub(1)
}
