//! The long road of one CPU's list registers: everything back into the model, then the most
//! urgent interrupts into the list registers.
//!
//! Order of urgency: the waiting interrupt of highest priority always gets a list register, then
//! come active interrupts (their deactivation has to find them), then other waiting ones. What is
//! left over is called back by maintenance interrupts: for waiting ones "no list register is
//! pending", which is exact because the best waiting ones are always in; for active ones the
//! count of deactivations that met no list register.

use super::bank::{Bank, Senders};
use super::bits::{Bits, bit, index};
use super::kicks::Kicks;
use super::lr::{CpuInterface, ListRegister, MAX_LIST_REGISTERS, hcr, vmcr};
use super::spi::{SPI_WORDS, SpiBank};
use super::word::Groups;
use arrayvec::ArrayVec;
use hyp_abi::vplatform::FIRST_SPI;

/// An interrupt that asks for a list register.
#[derive(Clone, Copy)]
struct Candidate {
    /// Smaller is more urgent: [`UNACKNOWLEDGED`], group off at the CPU interface in bit 8, priority
    /// below.
    rank: u16,
    intid: u32,
}

/// Bit 9 of the rank of an active interrupt: a register made it active. The end of an interrupt is that
/// of an acknowledged one as long as there is one.
const UNACKNOWLEDGED: u16 = 0x200;

/// The most urgent candidates of one class, best first.
struct Best {
    list: ArrayVec<Candidate, MAX_LIST_REGISTERS>,
    /// Candidates that found no place.
    dropped: bool,
}

impl Best {
    const fn new() -> Self {
        Self { list: ArrayVec::new_const(), dropped: false }
    }

    fn add(&mut self, candidate: Candidate) {
        let at = self.list.iter().take_while(|other| other.rank <= candidate.rank).count();
        if self.list.is_full() {
            self.dropped = true;
            if at >= self.list.len() {
                return;
            }
            self.list.pop();
        }
        let mut moving = candidate;
        for place in self.list.iter_mut().skip(at) {
            core::mem::swap(place, &mut moving);
        }
        // Cannot fail: there is room.
        let _ = self.list.try_push(moving);
    }
}

/// One vCPU's view of everything that may use its list registers.
pub(super) struct Flow<'a> {
    pub(super) vcpu: usize,
    pub(super) bank: &'a mut Bank,
    pub(super) spis: &'a mut SpiBank,
    pub(super) groups: Groups,
}

/// What happens to the model on the long road, while no list register holds anything.
pub(super) enum Change<'a> {
    /// Nothing else.
    Nothing,
    /// This interrupt ends.
    Deactivate(u32),
    /// The guest looks at who sent SGIs, or changes it.
    Senders(&'a mut Senders),
}

impl Flow<'_> {
    /// Folds, makes `change`, sorts and loads. The result names vCPUs that got an SPI from this one.
    pub(super) fn resync(&mut self, change: Change<'_>, iface: &mut impl CpuInterface) -> Kicks {
        let stale = self.bank.slots.used;
        let mut kicks = self.fold(iface);
        match change {
            Change::Nothing => {}
            Change::Deactivate(intid) => kicks |= self.deactivate(intid),
            Change::Senders(access) => access.perform(self.bank),
        }
        self.bank.settle(iface);
        self.load(stale, iface);
        kicks
    }

    /// Takes everything out of the list registers, whose content is void afterwards.
    pub(super) fn fold(&mut self, iface: &mut impl CpuInterface) -> Kicks {
        let mut kicks = Kicks::NONE;
        if self.bank.has_spilled {
            kicks |= self.settle_spilled(iface);
        }
        for slot in Bits(self.bank.slots.used) {
            let intid = self.bank.slots.intid(slot);
            let lr = iface.read_lr(index(slot));
            match intid.checked_sub(FIRST_SPI) {
                None => self.bank.fold(intid, lr),
                Some(spi) => kicks |= self.spis.fold(spi, lr, self.groups),
            }
            self.bank.slots.free(slot);
        }
        kicks.without(self.vcpu)
    }

    /// Deactivates as many of the interrupts without a list register as the hardware counted,
    /// acknowledged ones first, highest priority first: nested interrupts end in that order.
    fn settle_spilled(&mut self, iface: &mut impl CpuInterface) -> Kicks {
        let value = iface.hcr();
        let count = (value >> hcr::EOI_COUNT_SHIFT) & hcr::EOI_COUNT_MASK;
        if count == 0 {
            return Kicks::NONE;
        }
        iface.set_hcr(value & !(hcr::EOI_COUNT_MASK << hcr::EOI_COUNT_SHIFT));
        if iface.vmcr() & vmcr::VEOIM != 0 {
            // Deactivations trap and come by `deactivate`; what was counted are end-of-interrupt
            // writes that only dropped the priority.
            return Kicks::NONE;
        }
        let mut kicks = Kicks::NONE;
        for _ in 0..count {
            let mut best = Best::new();
            for n in Bits(self.bank.word.active & !self.bank.word.live) {
                best.add(Candidate { rank: self.private_active_rank(n), intid: n });
            }
            for word in 0..SPI_WORDS {
                for spi in spis_of(word, self.spis.spilled(self.vcpu, word)) {
                    let rank = self.spi_active_rank(spi);
                    best.add(Candidate { rank, intid: spi.saturating_add(FIRST_SPI) });
                }
            }
            let Some(first) = best.list.first() else { break };
            kicks |= self.deactivate(first.intid);
        }
        kicks
    }

    /// Ends an interrupt that is active in the model and in no list register.
    fn deactivate(&mut self, intid: u32) -> Kicks {
        match intid.checked_sub(FIRST_SPI) {
            None => {
                self.bank.word.active &= !bit(intid);
                Kicks::NONE
            }
            Some(spi) => self.spis.deactivate(spi, self.groups).without(self.vcpu),
        }
    }

    /// Fills the list registers, all of which are free; those in `stale` have old content.
    fn load(&mut self, stale: u32, iface: &mut impl CpuInterface) {
        let enabled = iface.vmcr();
        let groups = self.groups;
        let private = self.bank.word.deliverable(groups) | self.bank.word.active;
        let spis = self.spis.wanted(self.vcpu, groups);
        if private == 0 && spis == [0; SPI_WORDS] {
            return self.load_nothing(stale, enabled, iface);
        }
        let mut waiting = Best::new();
        let mut active = Best::new();
        for n in Bits(private) {
            let group1 = self.bank.word.group1 & bit(n) != 0;
            let disabled = disabled_rank(enabled, group1);
            if self.bank.word.active & bit(n) == 0 {
                waiting.add(Candidate { rank: self.private_priority(n) | disabled, intid: n });
            } else {
                active.add(Candidate { rank: self.private_active_rank(n) | disabled, intid: n });
            }
        }
        for (word, wanted) in spis.into_iter().enumerate() {
            for spi in spis_of(word, wanted) {
                let group1 = self.spis.is_group1(spi);
                let disabled = disabled_rank(enabled, group1);
                let intid = spi.saturating_add(FIRST_SPI);
                if self.spis.is_active(spi) {
                    active.add(Candidate { rank: self.spi_active_rank(spi) | disabled, intid });
                } else {
                    let rank = u16::from(self.spis.priority(spi)) | disabled;
                    waiting.add(Candidate { rank, intid });
                }
            }
        }

        let room = self.bank.implemented.count_ones() as usize;
        let kept_waiting = usize::from(!waiting.list.is_empty());
        let actives = active.list.len().min(room.saturating_sub(kept_waiting));
        let waitings = waiting.list.len().min(room.saturating_sub(actives));
        let crowded = waiting.dropped || waiting.list.len() > waitings;
        let spilled = active.dropped || active.list.len() > actives;

        let mut slot = 0u32;
        let chosen = waiting.list.iter().take(waitings).chain(active.list.iter().take(actives));
        for candidate in chosen {
            let intid = candidate.intid;
            let lr = match intid.checked_sub(FIRST_SPI) {
                None => {
                    self.bank.take(slot, intid);
                    self.bank.load(intid, self.bank.word.deliverable(groups), iface)
                }
                Some(spi) => {
                    self.bank.slots.take(slot, intid);
                    self.spis.load(self.vcpu, spi, groups)
                }
            };
            iface.write_lr(index(slot), lr);
            slot = slot.saturating_add(1);
        }
        for slot in Bits(stale & !self.bank.slots.used) {
            iface.write_lr(index(slot), ListRegister::EMPTY);
        }
        self.bank.is_crowded = crowded || spilled;
        self.bank.has_spilled = spilled;
        self.control(crowded, spilled, enabled, iface);
    }

    /// [`Self::load`] where nothing wants a list register.
    fn load_nothing(&mut self, stale: u32, enabled: u64, iface: &mut impl CpuInterface) {
        for slot in Bits(stale & !self.bank.slots.used) {
            iface.write_lr(index(slot), ListRegister::EMPTY);
        }
        self.bank.is_crowded = false;
        self.bank.has_spilled = false;
        self.control(false, false, enabled, iface);
    }

    /// Chooses the maintenance interrupts that call back what did not fit.
    fn control(
        &mut self,
        crowded: bool,
        spilled: bool,
        enabled: u64,
        iface: &mut impl CpuInterface,
    ) {
        let mut value = hcr::EN;
        if crowded {
            // Waiting interrupts of a group that is off at the CPU interface rank last, so a
            // change of a group's enable changes the choice; but not while both are off. Nothing
            // may be asked for that is so already: emulators take group 0 for off where group 1
            // is, and the interrupt would come for ever.
            const BOTH: u64 = vmcr::VENG0 | vmcr::VENG1;
            value |= hcr::NPIE;
            value |= match enabled & BOTH {
                BOTH => hcr::VGRP0DIE | hcr::VGRP1DIE,
                vmcr::VENG0 => hcr::VGRP1EIE,
                vmcr::VENG1 => hcr::VGRP0EIE,
                _ => hcr::VGRP0EIE | hcr::VGRP1EIE,
            };
        }
        // With separate deactivation the order is the guest's choice, and the write traps.
        if spilled && enabled & vmcr::VEOIM == 0 {
            value |= hcr::LRENPIE;
        }
        if value != self.bank.hcr {
            self.bank.hcr = value;
            iface.set_hcr(value | iface.deactivation_trap());
        }
    }

    /// The rank of the active SGI or PPI `n`.
    fn private_active_rank(&self, n: u32) -> u16 {
        let is_acknowledged = self.bank.word.acknowledged() & bit(n) != 0;
        self.private_priority(n) | if is_acknowledged { 0 } else { UNACKNOWLEDGED }
    }

    /// The rank of the active `spi`, a number from 0.
    fn spi_active_rank(&self, spi: u32) -> u16 {
        let is_acknowledged = self.spis.is_acknowledged(spi);
        u16::from(self.spis.priority(spi)) | if is_acknowledged { 0 } else { UNACKNOWLEDGED }
    }

    fn private_priority(&self, n: u32) -> u16 {
        u16::from(self.bank.word.priority(n))
    }
}

/// Bit 8 of a rank: the group is off at the CPU interface, so it cannot be taken now.
const fn disabled_rank(vmcr_value: u64, group1: bool) -> u16 {
    let enable = if group1 { vmcr::VENG1 } else { vmcr::VENG0 };
    if vmcr_value & enable == 0 { 0x100 } else { 0 }
}

/// SPI numbers (from 0) of the set bits of a word.
fn spis_of(word: usize, bits: u32) -> impl Iterator<Item = u32> {
    let base = u32::try_from(word).unwrap_or(0).saturating_mul(32);
    Bits(bits).map(move |n| base.saturating_add(n))
}
