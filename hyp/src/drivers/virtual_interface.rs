//! The virtual CPU interface of the calling CPU, as the model of the guest's GIC needs it.

use hyp_abi::vplatform::{PTIMER_INTID, VTIMER_INTID};
use hyp_core::vcpu::El1;
use hyp_core::vgic::{CpuInterface, ListRegister, hcr};

use super::mmio::Registers;
use super::registers::gicv2::Hypervisor;
use super::{gic, gicv2, gicv3};
use crate::arch::sysreg::fields::{cntv_ctl, ich_vtr_more};
use crate::arch::{barrier, el1, ich, low_half, sysreg};

/// The list registers and what belongs to them, of whatever CPU calls. Made anew in each trap: then
/// which of the two it is costs one predictable branch for each operation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum VirtualInterface {
    /// ICH_* registers.
    V3,
    /// GICH_* registers.
    V2(Registers<Hypervisor>),
}

impl VirtualInterface {
    /// The calling CPU's.
    #[inline]
    pub(crate) fn here() -> Self {
        match gicv2::get() {
            Some(gic) => Self::V2(gic.hypervisor()),
            None => Self::V3,
        }
    }
}

impl CpuInterface for VirtualInterface {
    #[inline]
    fn list_registers(&self) -> usize {
        match self {
            Self::V3 => ich::list_registers(),
            Self::V2(gich) => gich.list_registers(),
        }
    }

    #[inline]
    fn deactivation_trap(&self) -> u64 {
        let has_tds = || {
            ich_vtr_more::TDS.is_set(sysreg::ich_vtr_el2())
                && !injected!(hides_separate_trap(), false)
        };
        match self {
            Self::V3 if has_tds() => hcr::TDIR,
            Self::V3 => hcr::TC,
            Self::V2(_) => 0,
        }
    }

    #[inline]
    fn read_lr(&self, n: usize) -> ListRegister {
        match self {
            Self::V3 => ListRegister::from_raw(ich::read_lr(n)),
            Self::V2(gich) => gich.read_lr(n),
        }
    }

    #[inline]
    fn write_lr(&mut self, n: usize, value: ListRegister) {
        match self {
            Self::V3 => ich::write_lr(n, value.raw()),
            Self::V2(gich) => gich.write_lr(n, value),
        }
    }

    #[inline]
    fn empty_lrs(&self) -> u32 {
        match self {
            Self::V3 => {
                // It follows from the list registers: those written just now are seen only behind
                // an ISB.
                barrier::isb();
                low_half(sysreg::ich_elrsr_el2())
            }
            Self::V2(gich) => gich.empty_lrs(),
        }
    }

    #[inline]
    fn hcr(&self) -> u64 {
        match self {
            Self::V3 => sysreg::ich_hcr_el2(),
            Self::V2(gich) => u64::from(gich.control()),
        }
    }

    #[inline]
    fn set_hcr(&mut self, value: u64) {
        match self {
            Self::V3 => sysreg::set_ich_hcr_el2(value),
            // GICH_HCR has no bits above 31.
            Self::V2(gich) => gich.set_control(low_half(value)),
        }
    }

    #[inline]
    fn vmcr(&self) -> u64 {
        match self {
            Self::V3 => sysreg::ich_vmcr_el2(),
            Self::V2(gich) => u64::from(gich.machine_control()),
        }
    }

    fn reset(&mut self) {
        match self {
            Self::V3 => ich::reset(),
            Self::V2(gich) => gich.reset(),
        }
    }

    fn timer_line(&self, intid: u32) -> bool {
        let control = match intid {
            VTIMER_INTID => el1::read(El1::CntvCtl),
            PTIMER_INTID => el1::read(El1::CntpCtl),
            _ => 0,
        };
        // CNTP_CTL_EL0 has the same fields.
        (cntv_ctl::ENABLE::SET + cntv_ctl::IMASK::CLEAR + cntv_ctl::ISTATUS::SET)
            .matches_all(control)
    }

    #[inline]
    fn physical_timer(&self, intid: u32) -> u32 {
        gic::physical_timer(intid)
    }

    fn deactivate_physical(&mut self, intid: u32) {
        match gicv2::get() {
            Some(gic) => gic.deactivate(intid),
            None => gicv3::deactivate(intid),
        }
    }
}
