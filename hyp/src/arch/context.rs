//! A vCPU's registers, in its frame and in the CPU that has it loaded.

use core::arch::asm;
use core::mem::offset_of;

use hyp_core::psci::mpidr_of;
use hyp_core::trap::Next;
#[cfg(feature = "inject")]
use hyp_core::vcpu::{El1, El1State, VectorState};
use hyp_core::vcpu::{Frame, Vcpu};

use super::{debug, el1, simd, sysreg, tlb};

const _: () = assert!(offset_of!(Frame, pstate) == offset_of!(Frame, pc) + 8);

/// Bits of SPSR_EL2.M that are clear in every mode below EL2: EL0t, EL1t, EL1h, and User of AArch32.
const NOT_BELOW: u64 = 0b0_1010;

/// `pstate` in a mode below EL2, or in one to which there is no return.
#[inline]
const fn below_el2(pstate: u64) -> u64 {
    pstate & !NOT_BELOW
}

/// Sets the PSTATE the guest continues with, in a mode below EL2.
#[inline]
pub(crate) fn set_pstate(pstate: u64) {
    // SAFETY: the mode is below EL2.
    unsafe { sysreg::set_spsr_el2(below_el2(pstate)) };
}

/// Writes the registers of the vCPU, which is not loaded, to this CPU, in which no other one's debug registers
/// are.
pub(crate) fn load<P>(vcpu: &Vcpu<'_, P>) {
    sysreg::set_vmpidr_el2(mpidr_of(vcpu.index));
    el1::load(&vcpu.el1);
    simd::load(&vcpu.vectors);
    vcpu.debug.load(&mut debug::Cpu);
    // What this CPU has cached may be of the VM's life before a reset. Last, so that speculation
    // through the old EL1 registers cannot bring it back.
    super::barrier::isb();
    tlb::invalidate_all_guests_local();
}

/// Takes the registers of the vCPU out of this CPU, where it is loaded.
#[cfg(feature = "inject")]
pub(crate) fn save<P>(vcpu: &mut Vcpu<'_, P>) {
    vcpu.el1 = el1::save();
    simd::save(&mut vcpu.vectors);
    vcpu.debug.unload(&mut debug::Cpu);
}

/// Leaves junk in this CPU, which has no vCPU loaded. Its timers do not run.
#[cfg(feature = "inject")]
pub(crate) fn spoil() {
    const JUNK: u64 = 0x5bad_f00d_dead_beef;
    let mut state = El1State([JUNK; El1::COUNT]);
    for kept in [El1::Sctlr, El1::Tcr, El1::CntpCtl, El1::CntvCtl] {
        state.set(kept, El1State::RESET.get(kept));
    }
    el1::load(&state);
    let v = [u128::from(JUNK) << 64 | u128::from(JUNK); 32];
    simd::load(&VectorState { v, fpcr: 0x0740_0000, fpsr: 0x0800_001f });
}

/// Lets the vCPU, which is loaded, run on this CPU until a handler of `trap/mod.rs` says that something else comes next.
///
/// Stage 2 and the trap registers must be set (`stage2::install`).
pub(crate) fn enter<P>(vcpu: &mut Vcpu<'_, P>) -> Next {
    vcpu.frame.pstate = below_el2(vcpu.frame.pstate);
    let next: u64;
    // SAFETY: `enter_vcpu` (vectors.s) keeps to the procedure call standard. It loads and saves the
    // registers of the frame, which is borrowed for that and begins the vCPU, and leaves EL2 for a mode
    // below it; what runs there reaches no memory of EL2's.
    unsafe {
        asm!(
            "bl enter_vcpu",
            inlateout("x0") &raw mut *vcpu => next,
            clobber_abi("C"),
        );
    }
    match next {
        0 => Next::Resume,
        1 => Next::Wait,
        _ => Next::Leave,
    }
}

const _: () = {
    assert!(offset_of!(Vcpu<'static, ()>, frame) == 0);
    assert!(Next::Resume as u64 == 0 && Next::Wait as u64 == 1);
};
