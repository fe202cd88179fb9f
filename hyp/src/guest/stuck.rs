//! Ending a VM that gets nowhere, or that cannot go on.

use core::fmt;

use hyp_core::vgic::Kicks;
use hyp_core::vm::{Moment, Runaway, Shell, Stop};

use super::instance;
use super::shell::Here;
use super::vcpu::Vcpu;
use crate::arch::{percpu, sysreg, timer};
use crate::drivers::gic;
use crate::say::error;

/// Seconds between two looks at a vCPU; the limits of [`Runaway::looks_stuck`] count looks.
const LOOK_SECONDS: u64 = 1;

/// The guest is about to be made to take an exception; ends its VM if it takes nothing else.
/// `has_all` tells whether all registers are in the frame.
pub(crate) fn watch(vcpu: &Vcpu, has_all: bool) {
    let mut runaway = vcpu.state.runaway.get();
    let registers = || {
        let stacks = [sysreg::sp_el0(), sysreg::sp_el1()];
        has_all.then(|| hyp_core::vm::digest(vcpu.frame.x.iter().chain(&stacks)))
    };
    let seconds = || timer::now().checked_div(timer::frequency()).unwrap_or(0);
    let is_quiet = vcpu.state.quiet.replace(true);
    let is_stuck = runaway.is_stuck(&moment(), is_quiet, registers, seconds);
    vcpu.state.runaway.set(runaway);
    if is_stuck {
        condemn(vcpu, format_args!("it takes the same exception again and again"));
    }
}

/// As [`watch`] without any registers, for a vCPU that is not caught in anything: `false`, with
/// nothing done, if that is not sure.
#[inline]
pub(crate) fn is_fresh(vcpu: &Vcpu) -> bool {
    let mut runaway = vcpu.state.runaway.get();
    let is_fresh = runaway.is_fresh(sysreg::elr_el2(), sysreg::elr_el1());
    vcpu.state.runaway.set(runaway);
    is_fresh
}

/// The vCPU is about to be started on this CPU: from now on it is looked at now and then.
pub(crate) fn begin(vcpu: &Vcpu) {
    vcpu.state.runaway.set(Runaway::new());
    look_later(vcpu, timer::now());
}

/// The next look is due a period after `now`.
fn look_later(vcpu: &Vcpu, now: u64) {
    let next = now.saturating_add(timer::frequency().saturating_mul(LOOK_SECONDS));
    vcpu.state.next_look.set(next);
    timer::fire_by(next);
}

/// EL2's timer fired, for whatever reason, and was stopped. If it is time for a look at the vCPU, ends
/// its VM if it is caught in exceptions that EL2 does not see.
pub(crate) fn timer_fired(vcpu: &Vcpu) {
    if !vcpu.state.vm.power.is_on(vcpu.state.index) {
        return;
    }
    let (now, due) = (timer::now(), vcpu.state.next_look.get());
    if now < due {
        return timer::fire_by(due);
    }
    look(vcpu);
    look_later(vcpu, now);
}

fn look(vcpu: &Vcpu) {
    let mut runaway = vcpu.state.runaway.get();
    let is_stuck = runaway.looks_stuck(&moment(), vcpu.state.quiet.replace(true));
    vcpu.state.runaway.set(runaway);
    if is_stuck {
        condemn(
            vcpu,
            format_args!(
                "its exception vector only leads to exceptions (VBAR_EL1 {:#x})",
                sysreg::vbar_el1()
            ),
        );
    }
}

/// Where the guest is.
fn moment() -> Moment {
    Moment {
        pc: sysreg::elr_el2(),
        pstate: sysreg::spsr_el2(),
        elr_el1: sysreg::elr_el1(),
        vbar_el1: sysreg::vbar_el1(),
    }
}

/// Stops the VM; an interrupt takes the vCPU out before its next instruction.
fn condemn(vcpu: &Vcpu, what: fmt::Arguments<'_>) {
    if vcpu.state.vm.life.request(Stop::Crash) {
        complain(vcpu, what);
        kick_others(vcpu);
        gic::kick(percpu::index());
    }
}

pub(crate) fn complain(vcpu: &Vcpu, what: fmt::Arguments<'_>) {
    error!(
        "VM {} vcpu {} stopped at PC {:#x}: {what}; the VM ends",
        instance::name(),
        vcpu.state.index,
        sysreg::elr_el2()
    );
}

/// Makes the other CPUs of the VM see that it stops.
pub(crate) fn kick_others(vcpu: &Vcpu) {
    let others = (0..vcpu.state.vm.gic.vcpus())
        .filter(|other| *other != vcpu.state.index)
        .fold(Kicks::NONE, Kicks::with);
    Here.kick(others);
}
