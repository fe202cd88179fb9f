//! TLB maintenance.
//!
//! Stage-2 operations act on the VMID in VTTBR_EL2, so they are for a CPU that runs the VM in
//! question. Each is complete on all CPUs when it returns. The caller's stores to the tables come
//! first: the leading DSB makes them visible to the walkers before anything is invalidated.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use hyp_core::addr::{Ipa, PAGE_SHIFT};

use super::barrier::{dsb_ish, dsb_ishst, dsb_nsh, isb};
use super::sysreg;

/// Whether a CPU has one of the errata of `hyp_core::errata::Actions::REPEAT_TLBI`.
static REPEATS: AtomicBool = AtomicBool::new(false);

/// From now on every operation that goes to all CPUs is followed by a second one.
pub(crate) fn repeat() {
    REPEATS.store(true, Ordering::Relaxed);
}

/// Waits until TLBIs that went to all CPUs are complete, and the accesses that the dropped translations let
/// through. Where a CPU needs a second TLBI for that, any that goes to all CPUs will do (Arm's notice of
/// CVE-2025-10263): EL2 has nothing at address 0.
fn complete() {
    dsb_ish();
    if REPEATS.load(Ordering::Relaxed) {
        // SAFETY: invalidation only makes walks happen again.
        unsafe { asm!("tlbi vale2is, xzr", options(nostack)) };
        dsb_ish();
    }
    isb();
}

/// Argument of TLBI by address: VA or IPA bits 55:12 in 43:0.
const fn operand(address: u64) -> u64 {
    (address >> PAGE_SHIFT) & ((1 << 44) - 1)
}

/// Runs `f` with `vmid` in VTTBR_EL2, which stage-2 maintenance acts on. On a CPU that runs that VM
/// it is there already. Elsewhere no guest may be loaded: a walk on its behalf would leave its
/// translations under the wrong VMID.
pub(crate) fn with_vmid(vmid: u8, f: impl FnOnce()) {
    let before = sysreg::vttbr_el2();
    let wanted = (before & ((1 << 48) - 1)) | (u64::from(vmid) << 48);
    if before == wanted {
        return f();
    }
    // SAFETY: by the rule above nothing walks these tables until the value is put back.
    unsafe { sysreg::set_vttbr_el2(wanted) };
    isb();
    f();
    // SAFETY: the value that was there.
    unsafe { sysreg::set_vttbr_el2(before) };
    isb();
}

/// Forgets the stage-2 translations of the pages or blocks at `ipas`, then combined entries, which
/// TLBI IPAS2E1 leaves alone (Arm ARM, D8.17.5). The second barrier keeps a walk that began before
/// from putting a combined entry back.
pub(crate) fn invalidate_ipas(ipas: impl Iterator<Item = Ipa>) {
    dsb_ishst();
    for ipa in ipas {
        // SAFETY: invalidation only makes walks happen again.
        unsafe { asm!("tlbi ipas2e1is, {}", in(reg) operand(ipa.get()), options(nostack)) };
    }
    dsb_ish();
    // SAFETY: as above.
    unsafe { asm!("tlbi vmalle1is", options(nostack)) };
    complete();
}

/// Forgets everything of the current VMID, both stages, on all CPUs.
pub(crate) fn invalidate_vm() {
    dsb_ishst();
    // SAFETY: as above.
    unsafe { asm!("tlbi vmalls12e1is", options(nostack)) };
    complete();
}

/// Forgets every VMID's entries on this CPU: before the first entry into a VM, when the TLB may
/// hold what firmware left.
pub(crate) fn invalidate_all_guests_local() {
    dsb_nsh();
    // SAFETY: as above.
    unsafe { asm!("tlbi alle1", options(nostack)) };
    dsb_nsh();
    isb();
}

/// Forgets EL2's own translation of the page or block at `va`, on this CPU.
pub(crate) fn invalidate_el2_local(va: usize) {
    dsb_nsh();
    // SAFETY: as above.
    unsafe { asm!("tlbi vae2, {}", in(reg) operand(va as u64), options(nostack)) };
    dsb_nsh();
    isb();
}

/// As [`invalidate_el2_local`], on all CPUs.
pub(crate) fn invalidate_el2(va: usize) {
    dsb_ishst();
    // SAFETY: as above.
    unsafe { asm!("tlbi vae2is, {}", in(reg) operand(va as u64), options(nostack)) };
    complete();
}

/// Forgets all of EL2's own translations, on all CPUs.
pub(crate) fn invalidate_all_el2() {
    dsb_ishst();
    // SAFETY: as above.
    unsafe { asm!("tlbi alle2is", options(nostack)) };
    complete();
}
