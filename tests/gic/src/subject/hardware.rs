//! One CPU's virtual CPU interface and timers: what the hardware makes of list registers (IHI 0069,
//! registers ICH_* and ICV_*; IHI 0048, 5.3).

use std::collections::BTreeSet;

use hyp_core::vgic::{CpuInterface, ListRegister, hcr, vmcr};

/// What the hardware has.
#[derive(Debug, Clone, Copy)]
pub struct Features {
    /// List registers have the form of a GICv2's, which has no trap of deactivations.
    pub is_v2: bool,
    /// How many there are.
    pub list_registers: usize,
    /// ICH_VTR_EL2.TDS.
    pub traps_deactivation: bool,
    /// With EOImode set, an end without a list register counts in EOIcount: some do that.
    pub counts_drops: bool,
}

/// The hardware of one CPU.
#[derive(Debug, Clone)]
pub struct Hardware {
    features: Features,
    list: Vec<ListRegister>,
    hcr: u64,
    enables: u64,
    mask: u8,
    /// ICH_AP0R<n>_EL2 and ICH_AP1R<n>_EL2 together.
    running: BTreeSet<u8>,
    /// The timers' lines, by the guest's INTID.
    lines: BTreeSet<u32>,
    /// Physical INTIDs of those whose interrupts are active.
    active: BTreeSet<u32>,
}

/// What IAR shows: with a GICv2 the sender of an SGI is in bits 12:10.
fn iar(lr: ListRegister) -> u32 {
    lr.intid() | lr.source() << 10
}

/// The same of SGI `intid` from `sender`.
fn claim(intid: u32, sender: usize) -> u32 {
    intid | u32::try_from(sender).unwrap_or(0) << 10
}

/// The physical INTID of the timer that is `intid` to the guest: here they are other numbers.
pub(super) fn physical(intid: u32) -> u32 {
    intid ^ 8
}

fn is_there(lr: ListRegister) -> bool {
    lr.is_pending() || lr.is_active()
}

impl Hardware {
    /// Switched off.
    #[must_use]
    pub fn new(features: Features) -> Self {
        Self {
            features,
            list: vec![ListRegister::EMPTY; features.list_registers],
            hcr: 0,
            enables: 0,
            mask: 0,
            running: BTreeSet::new(),
            lines: BTreeSet::new(),
            active: BTreeSet::new(),
        }
    }

    /// The guest writes its priority mask, group enables and EOImode.
    pub fn set_up(&mut self, mask: u8, group0: bool, group1: bool, is_split: bool) {
        self.mask = mask;
        let on = |is_on, bit| if is_on { bit } else { 0 };
        self.enables =
            on(group0, vmcr::VENG0) | on(group1, vmcr::VENG1) | on(is_split, vmcr::VEOIM);
    }

    fn is_split(&self) -> bool {
        self.enables & vmcr::VEOIM != 0
    }

    /// The list register of the interrupt that is signalled: the most urgent pending one of a group
    /// that is on, above the mask and above what runs.
    fn signalled(&self) -> Option<usize> {
        if self.hcr & hcr::EN == 0 {
            return None;
        }
        let is_on = |lr: &ListRegister| {
            self.enables & if lr.is_group1() { vmcr::VENG1 } else { vmcr::VENG0 } != 0
        };
        let waiting = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, lr)| lr.is_pending() && !lr.is_active() && is_on(lr));
        let (n, lr) = waiting.min_by_key(|(_, lr)| lr.priority())?;
        let is_above = self.running.first().is_none_or(|&running| lr.priority() < running);
        (lr.priority() < self.mask && is_above).then_some(n)
    }

    /// The priority of the interrupt that is signalled.
    #[must_use]
    pub fn priority(&self) -> Option<u8> {
        Some(self.list[self.signalled()?].priority())
    }

    /// Reads IAR: INTID and sender.
    pub fn acknowledge(&mut self) -> Option<(u32, usize)> {
        let n = self.signalled()?;
        let lr = self.list[n];
        self.running.insert(lr.priority());
        self.list[n] = lr.with_active(true);
        self.clear(n, 1 << 62);
        Some((lr.intid(), lr.source() as usize))
    }

    fn clear(&mut self, n: usize, bits: u64) {
        self.list[n] = ListRegister::from_raw(self.list[n].raw() & !bits);
    }

    /// Writes EOIR.
    pub fn end(&mut self, intid: u32, sender: usize) {
        if self.running.pop_first().is_none() {
            return;
        }
        let iar = claim(intid, sender);
        if !self.is_split() {
            self.deactivate(iar);
        } else if self.features.counts_drops && self.find(iar).is_none() {
            self.count();
        }
    }

    /// Writes DIR; `false` if that traps. A GICv2's is never the guest's.
    pub fn write_dir(&mut self, intid: u32, sender: usize) -> bool {
        if self.features.is_v2 || self.hcr & (hcr::TDIR | hcr::TC) != 0 {
            return false;
        }
        self.deactivate(claim(intid, sender));
        true
    }

    fn find(&self, wanted: u32) -> Option<usize> {
        self.list.iter().position(|&lr| lr.is_active() && iar(lr) == wanted)
    }

    fn deactivate(&mut self, iar: u32) {
        let Some(n) = self.find(iar) else { return self.count() };
        if self.list[n].is_physical() {
            self.active.remove(&self.list[n].physical());
        }
        self.clear(n, 1 << 63);
    }

    /// EOIcount, five bits that wrap.
    fn count(&mut self) {
        let count = self.hcr >> hcr::EOI_COUNT_SHIFT & hcr::EOI_COUNT_MASK;
        let next = count.wrapping_add(1) & hcr::EOI_COUNT_MASK;
        self.hcr &= !(hcr::EOI_COUNT_MASK << hcr::EOI_COUNT_SHIFT);
        self.hcr |= next << hcr::EOI_COUNT_SHIFT;
    }

    /// Whether ICH_MISR_EL2 is not zero.
    #[must_use]
    pub fn has_maintenance(&self) -> bool {
        let count = self.hcr >> hcr::EOI_COUNT_SHIFT & hcr::EOI_COUNT_MASK;
        let (group0, group1) = (self.enables & vmcr::VENG0 != 0, self.enables & vmcr::VENG1 != 0);
        let reasons = [
            (hcr::LRENPIE, count != 0),
            (hcr::NPIE, !self.list.iter().any(|lr| lr.is_pending())),
            (hcr::VGRP0EIE, group0),
            (hcr::VGRP0DIE, !group0),
            (hcr::VGRP1EIE, group1),
            (hcr::VGRP1DIE, !group1),
        ];
        let has_ended = self.list.iter().any(|lr| !is_there(*lr) && lr.has_eoi_interrupt());
        self.hcr & hcr::EN != 0
            && (has_ended || reasons.iter().any(|&(bit, holds)| self.hcr & bit != 0 && holds))
    }

    /// A timer's line.
    pub fn set_line(&mut self, intid: u32, level: bool) {
        if level {
            self.lines.insert(intid);
        } else {
            self.lines.remove(&intid);
        }
    }

    /// The timer whose physical interrupt EL2 takes now, acknowledged, by the guest's INTID.
    pub fn take_physical(&mut self) -> Option<u32> {
        let is_ready = |intid: &&u32| !self.active.contains(&physical(**intid));
        let intid = *self.lines.iter().find(is_ready)?;
        self.active.insert(physical(intid));
        Some(intid)
    }

    /// What the architecture calls unpredictable: an interrupt in two list registers, or a tied one
    /// that is pending and active (IHI 0069, ICH_LR<n>_EL2).
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        for (n, lr) in self.list.iter().enumerate().filter(|(_, lr)| is_there(**lr)) {
            let is_same = |other: &&ListRegister| is_there(**other) && other.intid() == lr.intid();
            if self.list.iter().take(n).any(|other| is_same(&other)) {
                return Err(format!("{} is in two list registers: {:?}", lr.intid(), self.list));
            }
            if lr.is_physical() && lr.is_pending() && lr.is_active() {
                return Err(format!("tied, pending and active: {lr:?}"));
            }
        }
        Ok(())
    }
}

impl CpuInterface for Hardware {
    fn list_registers(&self) -> usize {
        self.list.len()
    }

    fn deactivation_trap(&self) -> u64 {
        match (self.features.is_v2, self.features.traps_deactivation) {
            (true, _) => 0,
            (false, true) => hcr::TDIR,
            (false, false) => hcr::TC,
        }
    }

    fn read_lr(&self, n: usize) -> ListRegister {
        self.list[n]
    }

    fn write_lr(&mut self, n: usize, value: ListRegister) {
        let held = ListRegister::from_gich(value.to_gich());
        self.list[n] = if self.features.is_v2 { held } else { value };
    }

    fn empty_lrs(&self) -> u32 {
        let empty = |lr: &ListRegister| !is_there(*lr) && !lr.has_eoi_interrupt();
        self.list.iter().rev().fold(0, |mask, lr| mask << 1 | u32::from(empty(lr)))
    }

    fn hcr(&self) -> u64 {
        self.hcr
    }

    fn set_hcr(&mut self, value: u64) {
        self.hcr = value;
    }

    fn vmcr(&self) -> u64 {
        self.enables
    }

    fn reset(&mut self) {
        self.list.fill(ListRegister::EMPTY);
        (self.hcr, self.enables, self.mask) = (0, 0, 0);
        self.running.clear();
    }

    fn timer_line(&self, intid: u32) -> bool {
        self.lines.contains(&intid)
    }

    fn physical_timer(&self, intid: u32) -> u32 {
        physical(intid)
    }

    fn deactivate_physical(&mut self, intid: u32) {
        assert!(self.active.remove(&intid), "PPI {intid} was not active");
    }
}
