//! Handing a CPU to a VM: stage 2 and the VM's trap controls, each register written whole.

use hyp_core::sysreg::TrapControls;

use super::barrier::{dsb_nsh, isb};
use super::sysreg;
use super::sysreg::fields::{hcr, pfr0};
use super::tlb;

/// HCR_EL2 bits that EL2 decides for itself: those that must be set and those that must not.
const HCR_SET: u64 = hcr::VM::SET.value
    | hcr::FMO::SET.value
    | hcr::IMO::SET.value
    | hcr::AMO::SET.value
    | hcr::RW::SET.value;
const HCR_CLEAR: u64 = hcr::E2H::SET.value | hcr::TGE::SET.value;

/// Everything that shapes a VM on one CPU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Regime {
    /// VTTBR_EL2: root and VMID.
    pub(crate) vttbr: u64,
    /// VTCR_EL2.
    pub(crate) vtcr: u64,
    /// What traps. In HCR_EL2 the bits that keep EL2 in charge are forced.
    pub(crate) traps: TrapControls,
}

/// Gives this CPU to the VM that `regime` describes and drops stale guest translations.
pub(crate) fn install(regime: &Regime) {
    let traps = &regime.traps;
    sysreg::set_vpidr_el2(traps.vpidr);
    sysreg::set_cptr_el2(traps.cptr);
    sysreg::set_mdcr_el2(traps.mdcr);
    if let Some(value) = traps.hcrx {
        sysreg::set_hcrx_el2(value);
    }
    if let Some(value) = traps.mpam2 {
        sysreg::set_mpam2_el2(value);
    }
    if let Some(value) = traps.mpamhcr {
        sysreg::set_mpamhcr_el2(value);
    }
    // SAFETY: VTCR and VTTBR come as a pair from the VM's own address space.
    unsafe { sysreg::set_vtcr_el2(regime.vtcr) };
    // SAFETY: as above.
    unsafe { sysreg::set_vttbr_el2(regime.vttbr) };
    // SAFETY: E2H and TGE are cleared here.
    unsafe { write_hcr((traps.hcr | HCR_SET) & !HCR_CLEAR) };
    tlb::invalidate_all_guests_local();
}

/// Writes HCR_EL2 while no load or store of this CPU is under way, whose translation it could damage
/// (AmpereOne, erratum AC04_CPU_23).
///
/// # Safety
///
/// `value` has the bits of [`HCR_SET`] and none of [`HCR_CLEAR`].
unsafe fn write_hcr(value: u64) {
    dsb_nsh();
    // SAFETY: EL2 stays in charge, as the caller promises.
    unsafe { sysreg::set_hcr_el2(value) };
    isb();
}

/// Makes the guest of this CPU take an SError once it unmasks it (HCR_EL2.VSE), with a syndrome
/// that says nothing.
pub(crate) fn pend_virtual_serror() {
    // The syndrome's register comes with RAS.
    if pfr0::RAS.read(sysreg::id_aa64pfr0_el1()) != 0 {
        sysreg::set_vsesr_el2(0);
    }
    // SAFETY: the other bits stay as `install` left them.
    unsafe { write_hcr(sysreg::hcr_el2() | hcr::VSE::SET.value) };
}

/// Takes back an SError that the guest has not taken: its vCPU starts over.
pub(crate) fn cancel_virtual_serror() {
    // SAFETY: the other bits stay as `install` left them.
    unsafe { write_hcr(sysreg::hcr_el2() & !hcr::VSE::SET.value) };
}
