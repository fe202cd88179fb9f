//! The virtual CPU interface of the calling CPU, as the model of the guest's GIC needs it.

use hyp_abi::vplatform::{PTIMER_INTID, VTIMER_INTID};
use hyp_core::vgic::{CpuInterface, ListRegister};

use super::gicv3;
use crate::arch::sysreg::fields::{cntv_ctl, ich_vtr_more};
use crate::arch::{barrier, ich, low_half, sysreg};

/// The ICH_* registers of whatever CPU calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VirtualInterface;

impl CpuInterface for VirtualInterface {
    #[inline]
    fn list_registers(&self) -> usize {
        ich::list_registers()
    }

    #[inline]
    fn can_trap_deactivation(&self) -> bool {
        ich_vtr_more::TDS.is_set(sysreg::ich_vtr_el2())
    }

    #[inline]
    fn read_lr(&self, n: usize) -> ListRegister {
        ListRegister::from_raw(ich::read_lr(n))
    }

    #[inline]
    fn write_lr(&mut self, n: usize, value: ListRegister) {
        ich::write_lr(n, value.raw());
    }

    #[inline]
    fn empty_lrs(&self) -> u32 {
        // It follows from the list registers: those written just now are seen only behind an ISB.
        barrier::isb();
        low_half(sysreg::ich_elrsr_el2())
    }

    #[inline]
    fn hcr(&self) -> u64 {
        sysreg::ich_hcr_el2()
    }

    #[inline]
    fn set_hcr(&mut self, value: u64) {
        sysreg::set_ich_hcr_el2(value);
    }

    #[inline]
    fn vmcr(&self) -> u64 {
        sysreg::ich_vmcr_el2()
    }

    fn reset(&mut self) {
        ich::reset();
    }

    fn timer_line(&self, intid: u32) -> bool {
        let control = match intid {
            VTIMER_INTID => sysreg::cntv_ctl_el0(),
            PTIMER_INTID => sysreg::cntp_ctl_el0(),
            _ => 0,
        };
        // CNTP_CTL_EL0 has the same fields.
        (cntv_ctl::ENABLE::SET + cntv_ctl::IMASK::CLEAR + cntv_ctl::ISTATUS::SET)
            .matches_all(control)
    }

    fn deactivate_physical(&mut self, intid: u32) {
        gicv3::deactivate(intid);
    }
}
