//! Whether a vCPU still gets anywhere.

use super::{Next, crash};
use crate::cpu::{Cpu, Crash};
use crate::ports::Ports;
use crate::vcpu::{El1, Vcpu};
use crate::vm::{Moment, digest};

/// Seconds between two looks at a vCPU; the limits of [`Runaway::looks_stuck`] count looks.
const LOOK_SECONDS: u64 = 1;

/// Looks at a vCPU that is about to be made to take an exception, and crashes its VM if it takes nothing
/// else. `has_all` tells whether all registers are in the frame.
pub(super) fn watch<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, has_all: bool) -> Next {
    let moment = moment(cpu);
    let is_quiet = core::mem::replace(&mut vcpu.liveness.is_quiet, true);
    let registers = || {
        let stacks = [cpu.el1(El1::SpEl0), cpu.el1(El1::SpEl1)];
        has_all.then(|| digest(vcpu.frame.x.iter().chain(&stacks)))
    };
    let seconds = || cpu.now().checked_div(cpu.frequency()).unwrap_or(0);
    if vcpu.liveness.runaway.is_stuck(&moment, is_quiet, registers, seconds) {
        return crash(vcpu, cpu, &Crash::SameException);
    }
    Next::Resume
}

/// The vCPU starts on this CPU: from now on it is looked at now and then.
pub fn begin<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C) {
    look_later(vcpu, cpu, cpu.now());
}

/// The next look is due a period after `now`.
fn look_later<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, now: u64) {
    let next = now.saturating_add(cpu.frequency().saturating_mul(LOOK_SECONDS));
    vcpu.liveness.next_look = next;
    cpu.fire_by(next);
}

/// EL2's timer fired, for whatever reason. If it is time for a look at the vCPU, crashes its VM if it is
/// caught in exceptions that EL2 does not see.
pub(super) fn timer_fired<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C) {
    if !vcpu.vm.power.is_on(vcpu.index) {
        return;
    }
    let (now, due) = (cpu.now(), vcpu.liveness.next_look);
    if now < due {
        return cpu.fire_by(due);
    }
    let moment = moment(cpu);
    let is_quiet = core::mem::replace(&mut vcpu.liveness.is_quiet, true);
    if vcpu.liveness.runaway.looks_stuck(&moment, is_quiet) {
        crash(vcpu, cpu, &Crash::Vector(moment.vbar_el1));
    }
    look_later(vcpu, cpu, now);
}

/// Where the guest is.
fn moment<C: Cpu>(cpu: C) -> Moment {
    Moment {
        pc: cpu.pc(),
        pstate: cpu.pstate(),
        elr_el1: cpu.el1(El1::Elr),
        vbar_el1: cpu.el1(El1::Vbar),
    }
}
