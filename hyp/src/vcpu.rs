//! The life of a vCPU on its CPU: waiting for a start, starting, standing by, stopping.
//!
//! A vCPU that is off waits inside EL2 and still serves its CPU's interrupts. Everything that
//! ends a run of a vCPU is a function that does not return to the trap handler: it waits for the
//! next start and enters the guest there with fresh state.

use core::cell::Cell;
use core::fmt;

use hyp_core::psci::{self, Start};
use hyp_core::sysreg::CpuView;
use hyp_core::vgic::CpuInterface;
use hyp_core::vm::{Left, Moment, Runaway, Stop};

use crate::arch::context::{self, EntryState, Frame, Framed};
use crate::arch::{cpu, percpu, stage2, sysreg};
use crate::drivers::gic;
use crate::drivers::virtual_interface::VirtualInterface;
use crate::shell::Here;
use crate::vm::{self, GuestVm};
use crate::{console, traps};

/// A vCPU: its registers and what belongs to them.
pub(crate) type Vcpu = Framed<State>;

/// What belongs to a vCPU beside its registers.
#[derive(Debug)]
pub(crate) struct State {
    /// Its number, also that of its CPU.
    pub(crate) index: usize,
    /// Its VM.
    pub(crate) vm: &'static GuestVm,
    /// Its system registers as it sees them.
    pub(crate) view: &'static CpuView,
    /// HPFAR_EL2 cannot be relied on (Cortex-A57 erratum 834220).
    pub(crate) erratum_834220: bool,
    /// Whether it still gets anywhere.
    pub(crate) runaway: Cell<Runaway>,
}

/// A vCPU of `vm` in its reset state.
pub(crate) const fn new(state: State) -> Vcpu {
    Framed { frame: Frame::new(), state }
}

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
            match vm.power.take_start(index) {
                Some(start) => return start,
                None => out(vcpu),
            }
        }
        traps::serve_interrupts(vcpu);
        if !vm.power.is_starting(index) {
            cpu::wait_for_interrupt();
        }
    }
}

/// Enters the guest as `start` says.
fn begin(vcpu: &'static mut Vcpu, start: &Start) -> ! {
    let index = vcpu.state.index;
    stage2::cancel_virtual_serror();
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
    vcpu.state.runaway.set(Runaway::new());
    console::arm_look();
    context::enter_reset(vcpu, &entry)
}

/// `CPU_OFF`.
pub(crate) fn power_off(vcpu: &'static mut Vcpu) -> ! {
    leave(vcpu)
}

/// Asks the VM to stop and leaves it.
pub(crate) fn stop(vcpu: &'static mut Vcpu, reason: Stop) -> ! {
    if vcpu.state.vm.life.request(reason) {
        vm::kick_others(vcpu);
    }
    leave(vcpu)
}

/// Stops the VM because it cannot go on. `what` is for a person.
pub(crate) fn crash(vcpu: &'static mut Vcpu, what: fmt::Arguments<'_>) -> ! {
    complain(vcpu, what);
    stop(vcpu, Stop::Crash)
}

fn complain(vcpu: &Vcpu, what: fmt::Arguments<'_>) {
    log::error!(
        "VM {} vcpu {} stopped at PC {:#x}: {what}; the VM ends",
        vm::name(),
        vcpu.state.index,
        sysreg::elr_el2()
    );
}

/// As [`crash`], but returns: an interrupt takes the vCPU out before its next instruction.
fn condemn(vcpu: &Vcpu, what: fmt::Arguments<'_>) {
    if vcpu.state.vm.life.request(Stop::Crash) {
        complain(vcpu, what);
        vm::kick_others(vcpu);
        gic::kick(percpu::index());
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

/// The guest is about to be made to take an exception; ends its VM if it takes nothing else.
/// `has_all` tells whether all registers are in the frame.
pub(crate) fn watch(vcpu: &Vcpu, has_all: bool) {
    let mut runaway = vcpu.state.runaway.get();
    let registers = || {
        let stacks = [sysreg::sp_el0(), sysreg::sp_el1()];
        has_all.then(|| hyp_core::vm::digest(vcpu.frame.x.iter().chain(&stacks)))
    };
    let is_stuck = runaway.is_stuck(&moment(), registers);
    vcpu.state.runaway.set(runaway);
    if is_stuck {
        condemn(vcpu, format_args!("it takes the same exception again and again"));
    }
}

/// EL2's timer fired; ends the VM if the vCPU is caught in exceptions that EL2 does not see.
pub(crate) fn look(vcpu: &Vcpu) {
    if !vcpu.state.vm.power.is_on(vcpu.state.index) {
        return;
    }
    let mut runaway = vcpu.state.runaway.get();
    let is_stuck = runaway.looks_stuck(&moment());
    vcpu.state.runaway.set(runaway);
    if is_stuck {
        condemn(vcpu, format_args!("its exception vector only leads to exceptions"));
    }
}

/// The vCPU is off from here on; waits for its next start.
pub(crate) fn leave(vcpu: &'static mut Vcpu) -> ! {
    let index = vcpu.state.index;
    // Off before their interrupts are put away.
    sysreg::set_cntv_ctl_el0(0);
    sysreg::set_cntp_ctl_el0(0);
    crate::arch::barrier::isb();
    let mut iface = VirtualInterface::here();
    let kicks = vcpu.state.vm.gic.vcpu_off(index, &mut iface);
    vcpu.state.vm.pass_on(index, kicks, &Here, &mut iface);
    vcpu.state.vm.power.turn_off(index);
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
            log::error!(
                "VM {} vcpu {} went off at PC {:#x}: all vCPUs are off and nothing can start one; \
                 the VM ends",
                vm::name(),
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

/// Makes this CPU ready for vCPUs of `regime`.
pub(crate) fn prepare_cpu(regime: &stage2::Regime) {
    stage2::install(regime);
    for intid in traps::PPIS.into_iter().chain([gic::maintenance_intid()]) {
        gic::enable_ppi(intid);
    }
}
