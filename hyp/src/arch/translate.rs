//! A guest's own translation of a virtual address, by the AT instructions.

use core::arch::asm;

use hyp_core::addr::Ipa;

use super::barrier::isb;
use super::sysreg;

/// PAR_EL1.F: the translation failed.
const PAR_FAILED: u64 = 1;
/// PAR_EL1.PA, 4 KiB and up.
const PAR_ADDRESS: u64 = 0xf_ffff_ffff_f000;

/// The IPA that the guest's stage 1 gives `va` for an access at EL1, or `None` if it gives none,
/// for instance because another vCPU has just changed its tables. PAR_EL1 is the guest's and is
/// put back.
pub(crate) fn stage1(va: u64, is_write: bool) -> Option<Ipa> {
    let guest = sysreg::par_el1();
    if is_write {
        // SAFETY: AT writes PAR_EL1 only, which is put back below.
        unsafe { asm!("at s1e1w, {}", in(reg) va, options(nostack, preserves_flags)) };
    } else {
        // SAFETY: as above.
        unsafe { asm!("at s1e1r, {}", in(reg) va, options(nostack, preserves_flags)) };
    }
    isb();
    let par = sysreg::par_el1();
    sysreg::set_par_el1(guest);
    (par & PAR_FAILED == 0).then_some(Ipa((par & PAR_ADDRESS) | (va & 0xfff)))
}
