//! Handing a CPU to a VM: stage 2 and the trap controls, each register written whole.

use super::barrier::isb;
use super::sysreg;
use super::tlb;

/// HCR_EL2 bits that EL2 decides for itself: VM, FMO, IMO, AMO, RW set; E2H, TGE clear.
const HCR_SET: u64 = (1 << 0) | (0b111 << 3) | (1 << 31);
const HCR_CLEAR: u64 = (1 << 34) | (1 << 27);

/// Everything that shapes a VM on one CPU; values come from `hyp-core`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Regime {
    /// VTTBR_EL2: root and VMID.
    pub(crate) vttbr: u64,
    /// VTCR_EL2.
    pub(crate) vtcr: u64,
    /// HCR_EL2; the bits that keep EL2 in charge are forced.
    pub(crate) hcr: u64,
    /// CPTR_EL2.
    pub(crate) cptr: u64,
    /// MDCR_EL2.
    pub(crate) mdcr: u64,
    /// CNTHCTL_EL2.
    pub(crate) cnthctl: u64,
    /// HSTR_EL2.
    pub(crate) hstr: u64,
}

/// Gives this CPU to the VM that `regime` describes and drops stale guest translations.
pub(crate) fn install(regime: &Regime) {
    sysreg::set_cptr_el2(regime.cptr);
    sysreg::set_mdcr_el2(regime.mdcr);
    sysreg::set_cnthctl_el2(regime.cnthctl);
    sysreg::set_cntvoff_el2(0);
    sysreg::set_hstr_el2(regime.hstr);
    // SAFETY: VTCR and VTTBR come as a pair from the VM's own address space.
    unsafe { sysreg::set_vtcr_el2(regime.vtcr) };
    // SAFETY: as above.
    unsafe { sysreg::set_vttbr_el2(regime.vttbr) };
    // SAFETY: E2H and TGE are cleared here.
    unsafe { sysreg::set_hcr_el2((regime.hcr | HCR_SET) & !HCR_CLEAR) };
    isb();
    tlb::invalidate_all_guests_local();
}
