//! Who runs on a CPU: one loop, which acts on what a trap says comes next.

pub(crate) mod begin;

use hyp_abi::trace::Kind;
use hyp_core::psci::Start;
use hyp_core::trap::{self, Next};
use hyp_core::vcpu::El1;
use hyp_core::vgic::CpuInterface;
use hyp_core::vm::{Left, Stop};

use crate::arch::{barrier, context, cpu, debug, el1, serror, stage2, timer};
use crate::drivers::virtual_interface::VirtualInterface;
use crate::say::error;
use crate::trace;
use crate::trap::{CurrentCpu, Vcpu, interrupts};
use crate::vm::{life, system};
use crate::watch::tracing;

/// Runs the vCPU, for ever: from each start until it goes off, or its VM stops.
pub(crate) fn run(vcpu: &mut Vcpu) -> ! {
    loop {
        let start = wait_for_start(vcpu);
        begin(vcpu, &start);
        loop {
            match context::enter(vcpu) {
                Next::Resume => {}
                #[cfg(feature = "inject")]
                Next::Wait if injected!(switches(), false) => switch(vcpu),
                Next::Wait => wait_for_interrupt(),
                Next::Leave => break,
            }
        }
        leave(vcpu);
    }
}

/// Takes the vCPU off this CPU, leaves junk in its place, and puts it back.
#[cfg(feature = "inject")]
fn switch(vcpu: &mut Vcpu) {
    context::save(vcpu);
    context::spoil();
    context::load(vcpu);
}

/// Waits until the vCPU is started and its VM lets it in. Serves interrupts meanwhile.
fn wait_for_start(vcpu: &mut Vcpu) -> Start {
    let (vm, index) = (vcpu.vm, vcpu.index);
    loop {
        // Nobody is let in while the VM stops; the last one out then clears the start.
        if vm.power.is_starting(index) && vm.life.enter() {
            match ghosted!(wait(vm, index), vm.power.take_start(index)) {
                Some(start) => return start,
                None => out(vcpu),
            }
        }
        interrupts::take_all(vcpu);
        if !vm.power.is_starting(index) {
            cpu::wait_for_interrupt();
        }
    }
}

/// Loads the vCPU as `start` says.
#[inline(never)]
fn begin(vcpu: &mut Vcpu, start: &Start) {
    let index = vcpu.index;
    vcpu.reset(start);
    stage2::cancel_virtual_serror();
    let mut iface = VirtualInterface::here();
    let kicks = vcpu.vm.gic.vcpu_on(index, &mut iface);
    vcpu.vm.pass_on(index, kicks, &CurrentCpu, &mut iface);
    trap::begin(vcpu, CurrentCpu);
    if injected!(serror(), None::<u64>).is_some() {
        timer::fire_soon();
    }
    // For a test: hardware would give it to the guest.
    if let Some(esr) = injected!(late_serror(), None::<u64>) {
        crate::trap::serror(vcpu, esr);
    }
    trace::write(Kind::VcpuOn, start.entry, [start.context, 0, 0, 0, 0]);
    context::load(vcpu);
}

/// Takes the vCPU off this CPU: it is off from here on.
#[inline(never)]
fn leave(vcpu: &Vcpu) {
    let (vm, index) = (vcpu.vm, vcpu.index);
    injected!(leaves());
    // What its accesses led to is not the next one's; its own virtual SError ends with it.
    if let Some(esr) = serror::take_pending() {
        crate::trap::serror(vcpu, esr);
    }
    // Off before their interrupts are put away.
    el1::write(El1::CntvCtl, 0);
    el1::write(El1::CntpCtl, 0);
    barrier::isb();
    let mut iface = VirtualInterface::here();
    let kicks = vm.gic.vcpu_off(index, &mut iface);
    vm.pass_on(index, kicks, &CurrentCpu, &mut iface);
    vcpu.debug.unload(&mut debug::Cpu);
    tracing::tell_counts();
    trace::write(Kind::VcpuOff, 0, [0; 5]);
    ghosted!(off(vm, index), vm.power.turn_off(index));
    out(vcpu);
}

/// Counts the vCPU out and does what the last one out has to do.
fn out(vcpu: &Vcpu) {
    let vm = vcpu.vm;
    match vm.life.leave() {
        Left::OthersRun => {}
        Left::Idle if vm.power.is_any_alive() => {}
        // Two may find it idle; one is to say so.
        Left::Idle if !vm.life.request(Stop::Crash) => {}
        Left::Idle => {
            error!(
                "VM {} vcpu {} went off at PC {:#x}: all vCPUs are off and nothing can start one; \
                 the VM ends",
                system::name(vm.number()),
                vcpu.index,
                vcpu.frame.pc
            );
            carry_out(vcpu, Stop::Crash);
        }
        Left::Last(stop) => carry_out(vcpu, stop),
    }
}

fn carry_out(vcpu: &Vcpu, stop: Stop) {
    if let Some(instance) = system::nth(vcpu.vm.number()) {
        life::carry_out(instance, stop);
    }
}

/// WFI on behalf of the guest: until an interrupt is pending for it or for EL2.
fn wait_for_interrupt() {
    let iface = VirtualInterface::here();
    let has_virtual = || (0..iface.list_registers()).any(|n| iface.read_lr(n).is_pending());
    if !has_virtual() && !cpu::is_interrupt_pending() {
        cpu::wait_for_interrupt();
    }
}
