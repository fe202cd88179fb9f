//! Traps on a machine of plain data, one file for each file of [`crate::trap`].
//!
//! Syndromes, PSTATE and vectors are those of the Arm ARM (DDI 0487): ESR_EL2 and ESR_EL1, SPSR_EL2,
//! D1.3.1.5 "Exception vectors", `AArch64.TakeException`.

mod abort;
mod call;
mod emulate;
mod exception;
mod interrupt;
mod liveness;
mod register;
mod undescribed;

use std::boxed::Box;
use std::sync::Arc;

use crate::addr::Ipa;
use crate::bus::{Device, Register};
use crate::cpu::{Crash, FaultAddress};
use crate::esr::{Direction, Width};
use crate::events::{Event, Reason, Touch};
use crate::features::{Dialect, FeatureOptions, Features};
use crate::inject::PstateFeatures;
use crate::psci::Start;
use crate::sysreg::{CpuView, HostId, ID_REGISTERS, IdRegister};
use crate::testing::FakeMachine;
use crate::testing::cpu::FakeCpu;
use crate::testing::vm::{self, RAM};
use crate::trap::{self, Next};
use crate::vcpu::{El1, Home, Vcpu};
use crate::vgic::{GicVersion, Kicks, Read, RegisterFile};
use crate::vm::{Homes, Left, Stop, Vm};

type TestVm = Vm<&'static FakeMachine>;

/// The VM's number, the vCPU that traps, and the CPUs of all three.
const VM: u8 = 3;
const NUMBER: u8 = 1;
const SELF: usize = NUMBER as usize;
const HOMES: [u8; 3] = [4, 5, 6];

/// Where the guest is.
const PC: u64 = RAM + 0x1000;
/// Z and C, a software step that is armed, BTYPE 0b11, EL1h, nothing masked.
const PSTATE: u64 = 0x6020_0c05;
/// PSTATE once an instruction is done: SS and BTYPE are clear (Arm ARM, D2.11).
const DONE: u64 = 0x6000_0005;
/// PSTATE after an exception to EL1: Z and C stay, D, A, I and F are set.
const TAKEN: u64 = 0x6000_03c5;
const VBAR: u64 = RAM + 0x10_0000;
/// ESR_EL1 of an undefined instruction: EC 0, IL.
const UNDEFINED: u64 = 0x0200_0000;

/// EC and IL of a data abort and of an instruction abort.
const DATA: u64 = 0x24 << 26 | 1 << 25;
const FETCH: u64 = 0x20 << 26 | 1 << 25;
/// ISS: ISV, SSE, SF, FnV, CM, S1PTW, WnR.
const ISV: u64 = 1 << 24;
const SSE: u64 = 1 << 21;
const SF: u64 = 1 << 15;
const FNV: u64 = 1 << 10;
const CM: u64 = 1 << 8;
const S1PTW: u64 = 1 << 7;
const WNR: u64 = 1 << 6;
/// DFSC and IFSC: translation and permission fault at level 3.
const TRANSLATION: u64 = 0x07;
const PERMISSION: u64 = 0x0f;
/// SCTLR_EL1.EE.
const EE: u64 = 1 << 25;

/// SAS and SRT of a described access.
const fn iss(width: Width, rt: u64) -> u64 {
    DATA | TRANSLATION | ISV | (width as u64) << 22 | rt << 16
}

/// Where the guest's tables have put `ipa`.
const fn va(ipa: u64) -> u64 {
    0xffff_0000_0000_0000 | ipa
}

/// Off memory, and no device.
const NOWHERE: u64 = 0xc00_0000;

/// A Cortex-A72's breakpoints and watchpoints, a GIC with system registers, all at AArch64.
fn host() -> HostId {
    let mut host =
        HostId { registers: [0; ID_REGISTERS], midr: 0, revidr: 0, aidr: 0, pmcr: 0, mpamidr: 0 };
    host.registers[IdRegister::Pfr0 as usize] = 0x0100_1111;
    host.registers[IdRegister::Dfr0 as usize] = 0x1030_5106;
    host
}

/// A vCPU that trapped.
struct Guest {
    vcpu: Vcpu<'static, &'static FakeMachine>,
    vm: &'static TestVm,
    machine: &'static FakeMachine,
    cpu: &'static FakeCpu,
}

impl Guest {
    fn normal() -> Self {
        Self::new(false, true)
    }

    fn protected() -> Self {
        Self::new(true, true)
    }

    /// What it is made of is never freed: tests are short.
    fn new(is_protected: bool, has_smc: bool) -> Self {
        let vm::Vm { machine, space } = vm::Vm::new(if is_protected { 1 << 31 } else { 0 });
        let features = Features::new(&FeatureOptions {
            is_protected,
            dialect: Dialect::Pkvm,
            with_guard: true,
            smc_is_undefined: !has_smc,
            has_entropy: false,
        });
        let boot = Start { entry: RAM, context: 0, big_endian: false };
        let space = Arc::into_inner(space).unwrap();
        if is_protected {
            space.enroll().unwrap();
        }
        let vm = Vm::new(space, features, HOMES.len(), GicVersion::V3, 5, boot);
        let vm: &'static TestVm = Box::leak(Box::new(vm.at(VM, Homes::new(HOMES))));
        let cpu: &'static FakeCpu = Box::leak(Box::new(FakeCpu::new()));
        let _ = vm.gic.vcpu_on(SELF, &mut &cpu.lists);
        assert!(vm.power.boot(SELF, &boot) && vm.power.take_start(SELF).is_some());
        assert!(vm.life.enter());

        let view = CpuView::new(&host(), features, 40, GicVersion::V3);
        let home = Home { pstate: PstateFeatures::empty(), erratum_834220: false };
        let mut vcpu = Vcpu::new(vm, SELF, view, home, false);
        vcpu.frame.x = core::array::from_fn(|n| 0x1111_1111_1111_1111 * (n as u64 % 15 + 1));
        vcpu.liveness.is_quiet = true;
        cpu.pc.set(PC);
        cpu.pstate.set(PSTATE);
        cpu.set(El1::Vbar, VBAR);
        cpu.set(El1::Far, 0xfa5);
        Self { vcpu, vm, machine, cpu }
    }

    fn traced(mut self) -> Self {
        self.vcpu.is_traced = true;
        self
    }

    /// A trap with the syndrome `esr`.
    fn trap(&mut self, esr: u64) -> Next {
        trap::synchronous(&mut self.vcpu, self.cpu, esr)
    }

    /// An abort at `ipa`, which [`va`] leads to.
    fn abort(&mut self, ipa: u64, esr: u64) -> Next {
        self.cpu.at.set(FaultAddress { far: va(ipa), hpfar: ipa >> 12 << 4 });
        self.trap(esr)
    }

    /// The instruction is done: PC and PSTATE are behind it, a sign of life was noted, nothing else
    /// came of it.
    #[track_caller]
    fn assert_done(&self, next: Next) {
        assert_eq!(next, Next::Resume);
        assert_eq!((self.cpu.pc.get(), self.cpu.pstate.get()), (PC + 4, DONE));
        assert!(!self.vcpu.liveness.is_quiet, "a sign of life");
        assert!(self.cpu.events.borrow().is_empty() && self.cpu.crashes.borrow().is_empty());
    }

    /// The guest executes the instruction again.
    #[track_caller]
    fn assert_again(&self, next: Next) {
        assert_eq!(next, Next::Resume);
        assert_eq!((self.cpu.pc.get(), self.cpu.pstate.get()), (PC, PSTATE));
        assert!(self.cpu.events.borrow().is_empty() && self.cpu.crashes.borrow().is_empty());
    }

    /// The guest is at its handler for exceptions from EL1, with `esr` and FAR_EL1 `far`.
    #[track_caller]
    fn assert_taken(&self, next: Next, esr: u64, far: u64) {
        assert_eq!(next, Next::Resume);
        let cpu = self.cpu;
        assert_eq!(cpu.get(El1::Esr), esr, "ESR_EL1 {:#x}", cpu.get(El1::Esr));
        assert_eq!(cpu.get(El1::Far), far, "FAR_EL1 {:#x}", cpu.get(El1::Far));
        assert_eq!((cpu.get(El1::Elr), cpu.get(El1::Spsr)), (PC, PSTATE));
        assert_eq!((cpu.pc.get(), cpu.pstate.get()), (VBAR + 0x200, TAKEN));
    }

    /// It took an undefined-instruction exception, which has no address.
    #[track_caller]
    fn assert_undefined(&self, next: Next) {
        self.assert_taken(next, UNDEFINED, 0xfa5);
        assert!(self.cpu.events.borrow().is_empty());
    }

    /// The one event that was recorded.
    #[track_caller]
    fn event(&self) -> Event {
        let events = self.cpu.events.borrow();
        assert_eq!(events.len(), 1, "{events:?}");
        events[0]
    }

    /// An event at [`PC`] and where [`Self::abort`] was.
    fn expected(reason: Reason, touch: Touch, bytes: u8, ipa: u64) -> Event {
        let (va, ipa) = (crate::addr::Va(va(ipa)), Ipa(ipa));
        Event { vm: VM, vcpu: NUMBER, reason, touch, bytes, pc: PC, va, ipa }
    }

    /// The VM has been asked to stop, its other vCPUs have been told, and the reason has been said once.
    #[track_caller]
    fn assert_crashed(&self, next: Next, why: &str) {
        assert_eq!(next, Next::Leave);
        let crashes = self.cpu.crashes.borrow();
        assert_eq!(crashes.len(), 1, "{crashes:?}");
        assert_eq!(std::format!("{}", crashes[0]), why);
        assert_eq!(self.cpu.desk.kicked.get(), Kicks::NONE.with(4).with(6));
        assert_eq!(self.vm.life.leave(), Left::Last(Stop::Crash));
    }

    fn gic_byte(&self, offset: u64) -> u64 {
        let mut lists = &self.cpu.lists;
        match self.vm.gic.read(SELF, RegisterFile::Distributor, offset, Width::Byte, &mut lists) {
            Read::Value(value) => value,
            Read::Again(_) => panic!("{offset:#x}"),
        }
    }

    fn gic_write(&self, offset: u64, width: Width, value: u64) {
        let mut lists = &self.cpu.lists;
        let _ =
            self.vm.gic.write(SELF, RegisterFile::Distributor, offset, width, value, &mut lists);
    }
}

/// Every exception class that is no HVC, SMC, abort, system register or WFI: what raises it is hidden
/// from the guest, or is of AArch32 state.
#[test]
fn what_is_hidden_is_undefined() {
    let known = [0x01, 0x18, 0x20, 0x24];
    for class in (0..0x40).filter(|class| !known.contains(class)) {
        for is_protected in [false, true] {
            let mut guest = Guest::new(is_protected, true);
            let next = guest.trap(class << 26 | 1 << 25);
            guest.assert_undefined(next);
            assert!(guest.vcpu.liveness.is_quiet, "no sign of life");
            assert!(guest.cpu.traced.borrow().is_empty());
        }
    }
}

#[test]
fn wfi_waits_behind_the_instruction() {
    let mut guest = Guest::protected();
    let next = guest.trap(0x01 << 26 | 1 << 25);
    assert_eq!(next, Next::Wait);
    guest.assert_done(Next::Resume);
}

#[test]
fn aarch32_state_ends_a_protected_vm() {
    for esr in [0x01 << 26, 0x11 << 26, 0x18 << 26, DATA | TRANSLATION, FETCH | TRANSLATION] {
        let mut guest = Guest::protected();
        // AArch32 user mode.
        guest.cpu.pstate.set(0x10);
        let next = guest.trap(esr);
        guest.assert_crashed(next, "AArch32 state in a protected VM");
        assert_eq!((guest.cpu.pc.get(), guest.cpu.pstate.get()), (PC, 0x10));
    }
}

/// Arm ARM, `AArch32.ITAdvance`, ESR_EL2.IL.
#[test]
fn a_normal_vm_steps_in_aarch32_state() {
    const WFI: u64 = 0x01 << 26;
    const IL: u64 = 1 << 25;
    for (esr, before, (length, after)) in [
        // A32; T32 of four and of two bytes. IL is 1 for all of A32.
        (WFI | IL, 0x6000_0010, (4, 0x6000_0010)),
        (WFI | IL, 0x6000_0030, (4, 0x6000_0030)),
        (WFI, 0x6000_0030, (2, 0x6000_0030)),
        // IT[7:2] is 15:10. 0xe8: the last of its block, which ends; 0xec: 0xf8 comes up.
        (WFI, 0x0000_0030 | 0x3a << 10, (2, 0x30)),
        (WFI, 0x0000_0030 | 0x3b << 10, (2, 0x0000_0030 | 0x3e << 10)),
    ] {
        let mut guest = Guest::normal();
        guest.cpu.pstate.set(before);
        assert_eq!(guest.trap(esr), Next::Wait);
        assert_eq!(
            (guest.cpu.pc.get(), guest.cpu.pstate.get()),
            (PC + length, after),
            "{before:#x} {:#x}",
            guest.cpu.pstate.get()
        );
        assert!(!guest.vcpu.liveness.is_quiet);
    }
}

#[test]
fn a_vm_crashes_once() {
    let guest = Guest::normal();
    assert_eq!(trap::crash(&guest.vcpu, guest.cpu, &Crash::AArch32), Next::Leave);
    guest.cpu.desk.kicked.set(Kicks::NONE);
    // Another vCPU's reason, or the same one's again.
    assert_eq!(trap::crash(&guest.vcpu, guest.cpu, &Crash::SameException), Next::Leave);
    assert_eq!(guest.cpu.desk.kicked.get(), Kicks::NONE);
    guest.cpu.desk.kicked.set(Kicks::NONE.with(4).with(6));
    guest.assert_crashed(Next::Leave, "AArch32 state in a protected VM");
}

/// Reading and writing of a device where only the direction differs.
const BOTH: [Direction; 2] = [Direction::Read, Direction::Write];

#[test]
fn the_devices_of_these_tests_are_where_they_are_thought_to_be() {
    let guest = Guest::normal();
    let register = Register { device: Device::DISTRIBUTOR, offset: 0x428 };
    assert_eq!(guest.vm.space.register(Ipa(vm::GIC + 0x428)), Some((register, true)));
    assert_eq!(guest.vm.space.register(Ipa(NOWHERE)), None);
    assert!(!guest.vm.space.is_memory(Ipa(NOWHERE)));
}
