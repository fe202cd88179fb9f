//! The CPU this code runs on, and the machine around it, as `hyp-core` needs them.

use hyp_core::addr::{Ipa, Va};
use hyp_core::calls::{Mitigation, Workaround};
use hyp_core::cpu::{Cpu, Crash, FaultAddress, Seen};
use hyp_core::events::{Event, Reason, Touch};
use hyp_core::inject::Rights;
use hyp_core::ports::Ports;
use hyp_core::sysreg::{DebugUnit, Point};
use hyp_core::vcpu::{El1, Vcpu, Vectors};
use hyp_core::vgic::VirtualCommon;
use hyp_core::vm::Shell;

use crate::arch::{context, cpu, debug, el1, ich, simd, stage2, sysreg, timer, tlb};
use crate::drivers::gic;
use crate::drivers::virtual_interface::VirtualInterface;
use crate::say::error;
use crate::vm::system;
use crate::watch::{events, tracing};
use crate::{console, entropy, machine};

/// The CPU this code runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CurrentCpu;

impl Cpu for CurrentCpu {
    type Interface = VirtualInterface;

    #[inline]
    fn el1(&self, register: El1) -> u64 {
        el1::read(register)
    }

    #[inline]
    fn set_el1(&self, register: El1, value: u64) {
        el1::write(register, value);
    }

    #[inline]
    fn fault_address(&self) -> FaultAddress {
        FaultAddress { far: sysreg::far_el2(), hpfar: sysreg::hpfar_el2() }
    }

    #[inline]
    fn pc(&self) -> u64 {
        sysreg::elr_el2()
    }

    #[inline]
    fn set_pc(&self, pc: u64) {
        sysreg::set_elr_el2(pc);
    }

    #[inline]
    fn pstate(&self) -> u64 {
        sysreg::spsr_el2()
    }

    #[inline]
    fn set_pstate(&self, pstate: u64) {
        context::set_pstate(pstate);
    }

    fn translate(&self, va: Va, is_write: bool, rights: Rights) -> u64 {
        cpu::translate(va.get(), is_write, rights)
    }

    fn vectors(&self) -> Vectors {
        simd::Vectors::read().0
    }

    fn set_vectors(&self, vectors: &Vectors) {
        simd::Vectors(*vectors).write();
    }

    #[inline]
    fn interface(&self) -> VirtualInterface {
        VirtualInterface::here()
    }

    fn virtual_common(&self) -> VirtualCommon {
        ich::common()
    }

    fn set_virtual_control(&self, vmcr: u64) {
        sysreg::set_ich_vmcr_el2(vmcr);
    }

    fn invalidate_tlb(&self) {
        tlb::invalidate_all_guests_local();
    }

    fn pend_serror(&self) {
        stage2::pend_virtual_serror();
    }

    #[inline]
    fn now(&self) -> u64 {
        timer::now()
    }

    #[inline]
    fn frequency(&self) -> u64 {
        timer::frequency()
    }

    fn fire_by(&self, deadline: u64) {
        timer::fire_by(deadline);
    }

    fn give_way(&self) {
        cpu::yield_now();
    }

    #[inline]
    fn record(&self, event: Event) {
        events::record(event);
    }

    fn crashed<P: Ports>(&self, vcpu: &Vcpu<'_, P>, why: &Crash) {
        error!(
            "VM {} vcpu {} stopped at PC {:#x}: {why}; the VM ends",
            system::name(vcpu.vm.number()),
            vcpu.index,
            self.pc()
        );
    }

    #[cold]
    #[inline(never)]
    fn trace<P: Ports>(&self, vcpu: &Vcpu<'_, P>, seen: &Seen<'_>) {
        tracing::seen(vcpu, seen);
    }
}

impl DebugUnit for CurrentCpu {
    fn set_control(&mut self, value: u64) {
        debug::Cpu.set_control(value);
    }

    fn set_point(&mut self, point: Point, value: u64) {
        debug::Cpu.set_point(point, value);
    }
}

impl Shell for CurrentCpu {
    #[inline]
    fn sctlr_el1(&self) -> u64 {
        el1::read(El1::Sctlr)
    }

    fn mair_el1(&self) -> u64 {
        el1::read(El1::Mair)
    }

    #[inline]
    fn is_interrupt_pending(&self) -> bool {
        cpu::is_interrupt_pending()
    }

    fn kick(&self, cpu: usize) {
        gic::kick(cpu);
    }

    fn mitigation(&self, workaround: Workaround) -> Mitigation {
        machine::mitigation(workaround)
    }

    fn mitigate(&self, workaround: Workaround) {
        machine::mitigate(workaround);
    }

    fn entropy(&self) -> Option<[u64; 3]> {
        entropy::words()
    }

    fn send(&self, vm: u8, next: impl FnMut() -> Option<u8>) {
        console::guest_output(vm, next);
    }

    fn receive_again(&self) {
        console::listen();
    }

    fn time_out_soon(&self) {
        timer::fire_soon();
    }

    fn guard_quota_exceeded(&self, vm: u8, vcpu: usize, ipa: Ipa) {
        #[cfg(feature = "ghost")]
        crate::watch::ghost::out_of_tables();
        events::record(Event {
            vm,
            vcpu: u8::try_from(vcpu).unwrap_or(u8::MAX),
            reason: Reason::GuardQuota,
            touch: Touch::Call,
            bytes: 0,
            pc: sysreg::elr_el2(),
            va: Va(0),
            ipa,
        });
    }
}
