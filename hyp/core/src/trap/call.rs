//! HVC and SMC.

use super::{Next, exception, liveness, stop};
use crate::calls::{self, Outcome};
use crate::cpu::Cpu;
use crate::inject::{self, Exception};
use crate::ports::Ports;
use crate::vcpu::Vcpu;
use crate::vm::{Caller, Stop};

/// Whether `esr` is that of an SMC and not of an HVC: of their classes, 0x17 and 0x16, bit 0.
#[inline]
#[must_use]
pub const fn is_smc(esr: u64) -> bool {
    esr & (1 << 26) != 0
}

/// Answers the HVC or SMC that trapped with the syndrome `esr`. x19 to x28 need not be in the frame.
#[inline]
pub fn ask<P: Ports, C: Cpu>(vcpu: &Vcpu<'_, P>, cpu: C, esr: u64) -> Outcome {
    let [x0, x1, x2, x3, ..] = vcpu.frame.x;
    let services = Caller { vm: vcpu.vm, vcpu: vcpu.index, shell: &cpu };
    calls::answer(&services, is_smc(esr), (esr & 0xffff) as u16, [x0, x1, x2, x3])
}

/// Has the guest see the `outcome` of its call.
#[inline]
pub fn apply<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, esr: u64, outcome: Outcome) -> Next {
    let (results, next) = match outcome {
        Outcome::Done(results) => (results, Next::Resume),
        Outcome::Suspend => ([0; 4], Next::Wait),
        other => return does_not_return(vcpu, cpu, esr, other),
    };
    let [x0, x1, x2, x3, ..] = &mut vcpu.frame.x;
    [*x0, *x1, *x2, *x3] = results;
    // ELR_EL2 is behind an HVC already.
    if is_smc(esr) {
        exception::advance(vcpu, cpu, esr);
    } else {
        vcpu.note_life();
    }
    next
}

#[cold]
#[inline(never)]
fn does_not_return<P: Ports, C: Cpu>(
    vcpu: &mut Vcpu<'_, P>,
    cpu: C,
    esr: u64,
    outcome: Outcome,
) -> Next {
    match outcome {
        Outcome::Done(_) | Outcome::Suspend => Next::Resume,
        Outcome::CpuOff => Next::Leave,
        Outcome::SystemOff | Outcome::SystemReset => {
            let is_reset = outcome == Outcome::SystemReset;
            stop(vcpu, cpu, if is_reset { Stop::Reset } else { Stop::Off });
            Next::Leave
        }
        Outcome::Undefined => {
            let next = liveness::watch(vcpu, cpu, false);
            exception::take(vcpu, cpu, Exception::Undefined);
            next
        }
        Outcome::Replay => {
            if !is_smc(esr) {
                let (pc, pstate) = inject::back_to_call(cpu.pc(), cpu.pstate());
                cpu.set_pc(pc);
                cpu.set_pstate(pstate);
            }
            Next::Resume
        }
    }
}
