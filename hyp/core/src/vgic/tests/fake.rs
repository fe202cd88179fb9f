//! A virtual CPU interface and the physical timers of one CPU, simulated after IHI0069 and IHI0048B:
//! what the guest does by ICC_* or GICV_* registers changes the list registers as the hardware would.
//! The number of an interrupt is the content of IAR: with a GICv2 an SGI's sender is in bits 12:10.

use super::super::{CpuInterface, GicVersion, ListRegister, hcr, vmcr};
use std::vec;
use std::vec::Vec;

/// Acknowledge with nothing to take.
pub(super) const SPURIOUS: u32 = 1023;

pub(super) struct FakeCpu {
    pub(super) lrs: Vec<ListRegister>,
    pub(super) hcr: u64,
    pub(super) vmcr: u64,
    pub(super) pmr: u8,
    /// Active priorities: group 1?, priority.
    active_priorities: Vec<(bool, u8)>,
    /// ICH_VTR_EL2.TDS.
    pub(super) has_tds: bool,
    /// Timer lines, by the guest's INTID.
    pub(super) lines: u32,
    /// Active PPIs, by the physical INTID.
    pub(super) physical_active: u32,
    pub(super) writes: usize,
    /// List registers have the form of a GICv2's.
    is_v2: bool,
}

/// Physical INTIDs of the guest's timers 27 and 30, which on this machine have other numbers.
pub(super) const fn physical(intid: u32) -> u32 {
    match intid {
        27 => 19,
        30 => 27,
        _ => panic!(),
    }
}

/// What IAR shows of the interrupt in `lr`.
fn iar(lr: ListRegister) -> u32 {
    lr.intid() | lr.source() << 10
}

impl FakeCpu {
    pub(super) fn new(list_registers: usize, version: GicVersion) -> Self {
        Self {
            lrs: vec![ListRegister::EMPTY; list_registers],
            hcr: 0,
            vmcr: 0,
            pmr: 0,
            active_priorities: Vec::new(),
            has_tds: true,
            lines: 0,
            physical_active: 0,
            writes: 0,
            is_v2: version == GicVersion::V2,
        }
    }

    /// What a guest's driver does first: priority mask open, both groups on.
    pub(super) fn open(&mut self) {
        self.pmr = 0xff;
        self.vmcr = vmcr::VENG0 | vmcr::VENG1;
    }

    pub(super) fn running_priority(&self) -> u8 {
        self.active_priorities.iter().map(|&(_, priority)| priority).min().unwrap_or(0xff)
    }

    /// The list register whose interrupt is signalled to the guest.
    fn signalled(&self) -> Option<usize> {
        if self.hcr & hcr::EN == 0 {
            return None;
        }
        let (n, lr) = self
            .lrs
            .iter()
            .enumerate()
            .filter(|(_, lr)| lr.is_pending() && !lr.is_active())
            .filter(|(_, lr)| {
                self.vmcr & if lr.is_group1() { vmcr::VENG1 } else { vmcr::VENG0 } != 0
            })
            .min_by_key(|(_, lr)| lr.priority())?;
        (lr.priority() < self.pmr && (lr.priority() & 0xf8) < self.running_priority()).then_some(n)
    }

    /// Whether the guest has an interrupt to take.
    pub(super) fn has_interrupt(&self) -> bool {
        self.signalled().is_some()
    }

    /// ICC_IAR<group>_EL1 of whatever is signalled.
    pub(super) fn acknowledge(&mut self) -> u32 {
        let Some(n) = self.signalled() else { return SPURIOUS };
        let lr = self.lrs[n];
        self.active_priorities.push((lr.is_group1(), lr.priority() & 0xf8));
        self.lrs[n] = ListRegister::from_raw((lr.raw() & !(3 << 62)) | 1 << 63);
        iar(lr)
    }

    /// ICC_EOIR<group>_EL1.
    pub(super) fn end(&mut self, intid: u32) {
        let Some(at) =
            (0..self.active_priorities.len()).min_by_key(|&n| self.active_priorities[n].1)
        else {
            return;
        };
        self.active_priorities.remove(at);
        if self.vmcr & vmcr::VEOIM == 0 {
            self.deactivate(intid);
        }
    }

    /// ICC_DIR_EL1. `false` if the write traps instead.
    pub(super) fn write_dir(&mut self, intid: u32) -> bool {
        if self.is_v2 || self.hcr & (hcr::TDIR | hcr::TC) != 0 {
            return false;
        }
        self.deactivate(intid);
        true
    }

    fn deactivate(&mut self, intid: u32) {
        match self.lrs.iter().position(|lr| lr.is_active() && iar(*lr) == intid) {
            Some(n) => {
                let lr = self.lrs[n];
                if lr.is_physical() {
                    assert!(!lr.is_pending(), "HW with pending and active");
                    self.physical_active &= !(1 << lr.physical());
                }
                self.lrs[n] = ListRegister::from_raw(lr.raw() & !(1 << 63));
            }
            None => {
                let count = (self.hcr >> hcr::EOI_COUNT_SHIFT) & hcr::EOI_COUNT_MASK;
                assert!(count < hcr::EOI_COUNT_MASK);
                self.hcr += 1 << hcr::EOI_COUNT_SHIFT;
            }
        }
    }

    /// ICH_MISR_EL2 is not zero.
    pub(super) fn has_maintenance(&self) -> bool {
        let on = |bit| self.hcr & bit != 0;
        let eoi =
            self.lrs.iter().any(|lr| !lr.is_pending() && !lr.is_active() && lr.has_eoi_interrupt());
        let count = (self.hcr >> hcr::EOI_COUNT_SHIFT) & hcr::EOI_COUNT_MASK;
        let (group0, group1) = (self.vmcr & vmcr::VENG0 != 0, self.vmcr & vmcr::VENG1 != 0);
        on(hcr::EN)
            && (eoi
                || on(hcr::LRENPIE) && count != 0
                || on(hcr::NPIE) && !self.lrs.iter().any(|lr| lr.is_pending())
                || on(hcr::VGRP0EIE) && group0
                // Emulators (QEMU since 7.2, gem5) take group 0 for off where group 1 is.
                || on(hcr::VGRP0DIE) && !(group0 && group1)
                || on(hcr::VGRP1EIE) && group1
                || on(hcr::VGRP1DIE) && !group1)
    }

    /// The timer whose physical interrupt EL2 would take now, acknowledged, by the guest's INTID.
    pub(super) fn take_physical(&mut self) -> Option<u32> {
        let is_ready = |intid: &u32| {
            self.lines & 1 << intid != 0 && self.physical_active & 1 << physical(*intid) == 0
        };
        let intid = [27, 30].into_iter().find(is_ready)?;
        self.physical_active |= 1 << physical(intid);
        Some(intid)
    }
}

impl CpuInterface for FakeCpu {
    fn list_registers(&self) -> usize {
        self.lrs.len()
    }

    fn deactivation_trap(&self) -> u64 {
        match (self.is_v2, self.has_tds) {
            (true, _) => 0,
            (false, true) => hcr::TDIR,
            (false, false) => hcr::TC,
        }
    }

    fn read_lr(&self, n: usize) -> ListRegister {
        self.lrs[n]
    }

    fn write_lr(&mut self, n: usize, value: ListRegister) {
        assert!(!(value.is_physical() && value.is_pending() && value.is_active()));
        if value != ListRegister::EMPTY {
            let twice = self.lrs.iter().enumerate().any(|(other, lr)| {
                other != n
                    && (lr.is_pending() || lr.is_active())
                    && lr.intid() == value.intid()
                    && other < n
            });
            assert!(!twice, "interrupt {} in two list registers", value.intid());
        }
        self.writes += 1;
        self.lrs[n] = if self.is_v2 { ListRegister::from_gich(value.to_gich()) } else { value };
        assert_eq!(self.lrs[n], value, "a GICv2 does not hold all of this");
    }

    fn empty_lrs(&self) -> u32 {
        self.lrs.iter().enumerate().fold(0, |mask, (n, lr)| {
            let empty = !lr.is_pending() && !lr.is_active() && !lr.has_eoi_interrupt();
            mask | u32::from(empty) << n
        })
    }

    fn hcr(&self) -> u64 {
        self.hcr
    }

    fn set_hcr(&mut self, value: u64) {
        self.hcr = value;
    }

    fn vmcr(&self) -> u64 {
        self.vmcr
    }

    fn reset(&mut self) {
        self.vmcr = 0;
        self.pmr = 0;
        self.active_priorities.clear();
        self.lrs.fill(ListRegister::EMPTY);
        self.hcr = 0;
    }

    fn timer_line(&self, intid: u32) -> bool {
        assert!(intid == 27 || intid == 30);
        self.lines & 1 << intid != 0
    }

    fn physical_timer(&self, intid: u32) -> u32 {
        physical(intid)
    }

    fn deactivate_physical(&mut self, intid: u32) {
        assert!(self.physical_active & 1 << intid != 0, "PPI {intid} was not active");
        self.physical_active &= !(1 << intid);
    }
}
