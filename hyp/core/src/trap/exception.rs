//! What a guest is made to take, and the step past what was done for it.

use super::{Next, liveness};
use crate::addr::{Ipa, Va};
use crate::cpu::{Cpu, Seen};
use crate::events::{Event, Reason, Touch};
use crate::fault::{Fault, Kind};
use crate::inject::{self, Exception, GuestState};
use crate::ports::Ports;
use crate::vcpu::{El1, Vcpu};

/// Makes the guest take `exception` for `fault` and records why.
pub(super) fn refuse<P: Ports, C: Cpu>(
    vcpu: &mut Vcpu<'_, P>,
    cpu: C,
    fault: &Fault,
    exception: Exception,
    reason: Reason,
) -> Next {
    let (reason, pc) = origin(cpu, reason);
    let bytes = match fault.kind {
        Kind::Data { access: Some(access), .. } => access.width().bytes(),
        _ => 0,
    };
    cpu.record(Event {
        vm: vcpu.vm.number(),
        vcpu: vcpu.number(),
        reason,
        touch: Touch::from(fault.kind),
        bytes: u8::try_from(bytes).unwrap_or(0),
        pc,
        va: fault.va,
        ipa: fault.ipa,
    });
    if vcpu.is_traced {
        cpu.trace(vcpu, &Seen::Refused);
    }
    inject(vcpu, cpu, exception)
}

/// `reason` and the PC to blame: a guest whose vectors lie off memory has come from elsewhere.
#[inline]
fn origin<C: Cpu>(cpu: C, reason: Reason) -> (Reason, u64) {
    let pc = cpu.pc();
    if reason != Reason::FetchOffMemory {
        return (reason, pc);
    }
    let origin =
        inject::came_to_vector(pc, cpu.el1(El1::Vbar), cpu.el1(El1::Elr), cpu.el1(El1::Spsr));
    origin.map_or((reason, pc), |origin| (Reason::NoVectors, origin))
}

/// Makes the guest take `exception` at the instruction that trapped. Ends the VM if the vCPU has done
/// nothing else for a long time.
pub(super) fn inject<P: Ports, C: Cpu>(
    vcpu: &mut Vcpu<'_, P>,
    cpu: C,
    exception: Exception,
) -> Next {
    let next = liveness::watch(vcpu, cpu, true);
    take(vcpu, cpu, exception);
    next
}

/// Makes the guest take `exception` where it is.
pub(super) fn take<P: Ports, C: Cpu>(vcpu: &Vcpu<'_, P>, cpu: C, exception: Exception) {
    if vcpu.is_traced && exception == Exception::Undefined {
        cpu.trace(vcpu, &Seen::Undefined);
    }
    let guest = GuestState {
        pc: cpu.pc(),
        pstate: cpu.pstate(),
        vbar_el1: cpu.el1(El1::Vbar),
        sctlr_el1: cpu.el1(El1::Sctlr),
    };
    let new = inject::take(exception, &guest, vcpu.home.pstate);
    cpu.set_el1(El1::Esr, new.esr_el1);
    if let Some(far) = new.far_el1 {
        cpu.set_el1(El1::Far, far);
    }
    cpu.set_el1(El1::Elr, new.elr_el1);
    cpu.set_el1(El1::Spsr, new.spsr_el1);
    cpu.set_pc(new.pc);
    cpu.set_pstate(new.pstate);
}

/// Makes the guest take an SError once it unmasks it, and records that one came. One that reached EL2
/// while the guest ran is the guest's own doing, as far as anyone can tell.
pub fn serror<P: Ports, C: Cpu>(vcpu: &Vcpu<'_, P>, cpu: C) {
    cpu.record(Event {
        vm: vcpu.vm.number(),
        vcpu: vcpu.number(),
        reason: Reason::SError,
        touch: Touch::Unknown,
        bytes: 0,
        pc: cpu.pc(),
        va: Va(0),
        ipa: Ipa(0),
    });
    cpu.pend_serror();
}

/// Steps past the instruction that trapped with the syndrome `esr`, which is done.
#[inline]
pub(super) fn advance<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, esr: u64) -> Next {
    vcpu.note_life();
    let pstate = cpu.pstate();
    if inject::is_aarch32(pstate) {
        return advance_aarch32(cpu, esr);
    }
    let (pc, pstate) = inject::advance(cpu.pc(), pstate);
    cpu.set_pc(pc);
    cpu.set_pstate(pstate);
    Next::Resume
}

#[cold]
#[inline(never)]
fn advance_aarch32<C: Cpu>(cpu: C, esr: u64) -> Next {
    // ESR_EL2.IL.
    let is_16bit = esr & (1 << 25) == 0;
    let (pc, pstate) = inject::advance_aarch32(cpu.pc(), cpu.pstate(), is_16bit);
    cpu.set_pc(pc);
    cpu.set_pstate(pstate);
    Next::Resume
}
