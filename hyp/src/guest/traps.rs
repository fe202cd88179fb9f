//! What a guest's traps lead to: read the syndrome, ask `hyp-core`, apply the answer.
//!
//! The vectors call these functions with interrupts masked and the guest's registers in the
//! vCPU's frame; returning resumes the guest.

use hyp_core::calls::{self, Outcome};
use hyp_core::esr::{Exit, SysRegAccess};
use hyp_core::inject::{self, Exception};
use hyp_core::vgic::SentTo;
use hyp_core::vm::{Caller, Stop};

use super::faults::{self, Lane};
use super::inject::{advance, advance_aarch64, back_to_call, inject, serror, take};
use super::interrupts::{self, Taken};
use super::shell::Here;
use super::vcpu::Vcpu;
use super::{events, ghost, power, stuck, sysregs, tracing};
use crate::arch::sysreg;

/// Of HVC and SMC, the only classes that come here, SMC has bit 26 set.
#[inline]
fn is_smc(esr: u64) -> bool {
    esr & (1 << 26) != 0
}

/// HVC or SMC from AArch64. x19 to x28 are not in the frame. Returns unless the vCPU goes off.
pub(crate) extern "C" fn trap_call(vcpu: &'static mut Vcpu, esr: u64) -> &'static mut Vcpu {
    let services = Caller { vm: vcpu.state.vm, shell: &Here };
    let [x0, x1, x2, x3, ..] = vcpu.frame.x;
    let regs = [x0, x1, x2, x3];
    let imm = (esr & 0xffff) as u16;
    let is_smc = is_smc(esr);
    let answer = || calls::answer(&services, is_smc, imm, regs);
    match ghost::call(vcpu, is_smc, imm, regs, answer) {
        Outcome::Done(results) => {
            set_results(vcpu, results);
            if is_smc {
                advance_aarch64(vcpu);
            }
            vcpu
        }
        other => unusual_outcome(vcpu, other, is_smc),
    }
}

/// As [`trap_call`], with a record: for a VM that is traced.
pub(crate) extern "C" fn traced_call(vcpu: &'static mut Vcpu, esr: u64) -> &'static mut Vcpu {
    let call = tracing::Call::note(vcpu, is_smc(esr));
    let vcpu = trap_call(vcpu, esr);
    call.answered(vcpu);
    vcpu
}

#[inline]
fn set_results(vcpu: &mut Vcpu, results: [u64; 4]) {
    vcpu.state.note_life();
    let [x0, x1, x2, x3, ..] = &mut vcpu.frame.x;
    [*x0, *x1, *x2, *x3] = results;
}

#[cold]
#[inline(never)]
fn unusual_outcome(vcpu: &'static mut Vcpu, outcome: Outcome, is_smc: bool) -> &'static mut Vcpu {
    match outcome {
        Outcome::Done(_) => {}
        Outcome::Suspend => {
            set_results(vcpu, [0; 4]);
            if is_smc {
                advance(vcpu);
            }
            power::standby();
        }
        Outcome::CpuOff => power::leave(vcpu),
        Outcome::SystemOff => power::stop(vcpu, Stop::Off),
        Outcome::SystemReset => power::stop(vcpu, Stop::Reset),
        Outcome::Undefined => {
            stuck::watch(vcpu, false);
            tracing::undefined();
            take(vcpu, Exception::Undefined);
        }
        Outcome::Replay => {
            if !is_smc {
                back_to_call();
            }
        }
    }
    vcpu
}

/// Every other synchronous exception.
pub(crate) extern "C" fn trap_sync(vcpu: &'static mut Vcpu, esr: u64) {
    let vcpu = refuse_aarch32(vcpu);
    match Exit::from_esr(esr) {
        Exit::DataAbort(abort) => faults::data_abort(vcpu, &abort),
        Exit::FetchAbort(abort) => faults::fetch_abort(vcpu, &abort),
        Exit::SystemRegister(access) => {
            if sysregs::access(vcpu, access) {
                advance(vcpu);
            } else {
                inject(vcpu, Exception::Undefined);
            }
        }
        Exit::Wait => {
            power::standby();
            advance(vcpu);
        }
        Exit::Hvc { .. } | Exit::Smc { .. } => {
            trap_call(vcpu, esr);
        }
        Exit::AArch32 { .. } | Exit::Unknown { .. } => inject(vcpu, Exception::Undefined),
    }
}

/// A data abort whose syndrome describes the access. Of x19 to x28, only the access's register is
/// sure to be in the frame.
pub(crate) extern "C" fn trap_access(vcpu: &'static mut Vcpu, esr: u64) -> Lane {
    faults::described(vcpu, esr)
}

/// A trapped MRS, MSR or system instruction of AArch64 state, which alone has this class. Of x19 to
/// x28, only its register is sure to be in the frame.
pub(crate) extern "C" fn trap_register(vcpu: &'static mut Vcpu, esr: u64) -> Lane {
    let access = SysRegAccess::from_iss(esr);
    if sysregs::read_id(vcpu, &access) {
        advance_aarch64(vcpu);
        return Lane::Done;
    }
    // One that is to be counted goes the long way.
    if vcpu.state.view.is_sgi1(&access) && !vcpu.state.is_traced {
        return trap_sgi(vcpu, esr);
    }
    trap_other_register(vcpu, esr)
}

/// [`trap_register`] for ICC_SGI1R_EL1. Each of these is kept out of the others so that it saves
/// only the registers it needs itself.
#[inline(never)]
fn trap_sgi(vcpu: &mut Vcpu, esr: u64) -> Lane {
    let value = vcpu.frame.get(usize::from(SysRegAccess::from_iss(esr).rt));
    match sysregs::send_sgi(vcpu, value) {
        SentTo::Woken(_) | SentTo::Known => {}
        SentTo::Itself => return trap_own_sgi(vcpu, esr, value),
        SentTo::Others => return trap_other_register(vcpu, esr),
    }
    advance_aarch64(vcpu);
    Lane::Done
}

/// [`trap_sgi`] for one that the sender sends to itself.
#[inline(never)]
fn trap_own_sgi(vcpu: &mut Vcpu, esr: u64, value: u64) -> Lane {
    if sysregs::send_to_self(vcpu, value) {
        advance_aarch64(vcpu);
        return Lane::Done;
    }
    trap_other_register(vcpu, esr)
}

/// The rest of [`trap_register`].
#[inline(never)]
fn trap_other_register(vcpu: &mut Vcpu, esr: u64) -> Lane {
    if sysregs::access(vcpu, SysRegAccess::from_iss(esr)) {
        advance_aarch64(vcpu);
        return Lane::Done;
    }
    Lane::Long
}

/// IRQ or FIQ. x19 to x28 are not in the frame.
pub(crate) extern "C" fn trap_irq(vcpu: &'static mut Vcpu) {
    if inject::is_aarch32(sysreg::spsr_el2()) {
        return trap_other_irq(aarch32(vcpu), Taken::Nothing);
    }
    match interrupts::take_at_once(vcpu) {
        // A stop of the VM is announced by another interrupt.
        Taken::Timer => vcpu.state.note_life(),
        Taken::Kick if !vcpu.state.vm.life.is_stopping() => {}
        other => trap_other_irq(vcpu, other),
    }
}

/// The rest of [`trap_irq`].
#[inline(never)]
fn trap_other_irq(vcpu: &'static mut Vcpu, taken: Taken) {
    match taken {
        Taken::Timer | Taken::Kick => {}
        Taken::Events => events::drain(),
        Taken::V3(intid) => interrupts::take_v3(vcpu, intid),
        Taken::Nothing => interrupts::take_any(vcpu),
    }
    if vcpu.state.vm.life.is_stopping() {
        power::leave(vcpu);
    }
}

/// A physical SError that reached EL2 while the guest ran: the guest's own doing, as far as
/// anyone can tell, so it gets it as a virtual one (HCR_EL2.VSE).
pub(crate) extern "C" fn trap_serror(vcpu: &'static mut Vcpu, esr: u64) {
    let vcpu = refuse_aarch32(vcpu);
    serror(vcpu, esr);
}

/// A protected vCPU in AArch32 state is stopped for good, with its VM.
#[inline(always)]
fn refuse_aarch32(vcpu: &'static mut Vcpu) -> &'static mut Vcpu {
    if inject::is_aarch32(sysreg::spsr_el2()) { aarch32(vcpu) } else { vcpu }
}

#[cold]
fn aarch32(vcpu: &'static mut Vcpu) -> &'static mut Vcpu {
    if vcpu.state.vm.space.is_protected() {
        power::crash(vcpu, format_args!("AArch32 state in a protected VM"));
    }
    vcpu
}
