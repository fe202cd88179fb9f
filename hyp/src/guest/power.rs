//! The life of a vCPU on its CPU: waiting for a start, starting, standing by, stopping.
//!
//! A vCPU that is off waits inside EL2 and still serves its CPU's interrupts. Everything that
//! ends a run of a vCPU is a function that does not return to the trap handler: it waits for the
//! next start and enters the guest there with fresh state.

use core::fmt;

use hyp_abi::trace::Kind;
use hyp_core::psci::{self, Start};
use hyp_core::vgic::CpuInterface;
use hyp_core::vm::{Left, Stop};

use super::shell::Here;
use super::vcpu::Vcpu;
use super::{ghost, inject, instance, interrupts, stuck, tracing, vm};
use crate::arch::context::{self, EntryState};
use crate::arch::{cpu, debug, serror, stage2, sysreg, timer};
use crate::drivers::virtual_interface::VirtualInterface;
use crate::say::error;
use crate::{injection, trace};

/// Waits for the vCPU's start and enters the guest.
pub(crate) fn run(vcpu: &'static mut Vcpu) -> ! {
    let start = wait_for_start(vcpu);
    begin(vcpu, &start)
}

/// Waits until the vCPU is started and its VM lets it in. Serves interrupts meanwhile.
fn wait_for_start(vcpu: &Vcpu) -> Start {
    let (vm, index) = (vcpu.state.vm, vcpu.state.index);
    loop {
        // Nobody is let in while the VM stops; the last one out then clears the start.
        if vm.power.is_starting(index) && vm.life.enter() {
            match ghost::wait(vm, index, || vm.power.take_start(index)) {
                Some(start) => return start,
                None => out(vcpu),
            }
        }
        interrupts::serve(vcpu);
        if !vm.power.is_starting(index) {
            cpu::wait_for_interrupt();
        }
    }
}

/// Enters the guest as `start` says.
fn begin(vcpu: &'static mut Vcpu, start: &Start) -> ! {
    let index = vcpu.state.index;
    stage2::cancel_virtual_serror();
    vcpu.state.debug.restart(&mut debug::Cpu);
    let mut iface = VirtualInterface::here();
    let kicks = vcpu.state.vm.gic.vcpu_on(index, &mut iface);
    vcpu.state.vm.pass_on(index, kicks, &Here, &mut iface);
    let entry = EntryState {
        pc: start.entry,
        x0: start.context,
        vmpidr: psci::mpidr_of(index),
        vpidr: sysreg::midr_el1(),
        big_endian: start.big_endian,
    };
    stuck::begin(vcpu);
    if injection::serror().is_some() {
        timer::fire_soon();
    }
    // For a test: hardware would give it to the guest.
    if let Some(esr) = injection::late_serror() {
        inject::serror(vcpu, esr);
    }
    trace::write(Kind::VcpuOn, start.entry, [start.context, 0, 0, 0, 0]);
    context::enter_reset(vcpu, &entry)
}

/// Asks the VM to stop and leaves it.
pub(crate) fn stop(vcpu: &'static mut Vcpu, reason: Stop) -> ! {
    if vcpu.state.vm.life.request(reason) {
        stuck::kick_others(vcpu);
    }
    leave(vcpu)
}

/// Stops the VM because it cannot go on. `what` is for a person.
pub(crate) fn crash(vcpu: &'static mut Vcpu, what: fmt::Arguments<'_>) -> ! {
    stuck::complain(vcpu, what);
    stop(vcpu, Stop::Crash)
}

/// The vCPU is off from here on; waits for its next start.
pub(crate) fn leave(vcpu: &'static mut Vcpu) -> ! {
    let index = vcpu.state.index;
    injection::leaves();
    // What its accesses led to is not the next one's; its own virtual SError ends with it.
    if let Some(esr) = serror::take_pending() {
        inject::serror(vcpu, esr);
    }
    // Off before their interrupts are put away.
    sysreg::set_cntv_ctl_el0(0);
    sysreg::set_cntp_ctl_el0(0);
    crate::arch::barrier::isb();
    let mut iface = VirtualInterface::here();
    let kicks = vcpu.state.vm.gic.vcpu_off(index, &mut iface);
    vcpu.state.vm.pass_on(index, kicks, &Here, &mut iface);
    tracing::tell_counts();
    trace::write(Kind::VcpuOff, 0, [0; 5]);
    let vm = vcpu.state.vm;
    ghost::off(vm, index, || vm.power.turn_off(index));
    out(vcpu);
    run(vcpu)
}

/// Counts the vCPU out and does what the last one out has to do.
fn out(vcpu: &Vcpu) {
    match vcpu.state.vm.life.leave() {
        Left::OthersRun => {}
        Left::Idle if vcpu.state.vm.power.is_any_alive() => {}
        // Two may find it idle; one is to say so.
        Left::Idle if !vcpu.state.vm.life.request(Stop::Crash) => {}
        Left::Idle => {
            error!(
                "VM {} vcpu {} went off at PC {:#x}: all vCPUs are off and nothing can start one; \
                 the VM ends",
                instance::name(),
                vcpu.state.index,
                sysreg::elr_el2()
            );
            vm::carry_out(Stop::Crash)
        }
        Left::Last(stop) => vm::carry_out(stop),
    }
}

/// WFI on behalf of the guest: until an interrupt is pending for it or for EL2.
pub(crate) fn standby() {
    let iface = VirtualInterface::here();
    let has_virtual = || (0..iface.list_registers()).any(|n| iface.read_lr(n).is_pending());
    if !has_virtual() && !cpu::is_interrupt_pending() {
        cpu::wait_for_interrupt();
    }
}
