//! The values with which a vCPU starts (DEN0022, 6.4; Arm ARM, D1.2.4 "PE state on reset to AArch64
//! state"), and its registers as operands.

use std::vec::Vec;

use super::*;
use crate::esr::{Direction, SysReg, SysRegAccess};
use crate::features::Features;
use crate::sysreg::{Answer, HostId, ID_REGISTERS, IdRegister};
use crate::testing::cpu::FakeCpu;
use crate::testing::vm;
use crate::vgic::GicVersion;
use std::sync::Arc;

type TestVm = Vm<&'static crate::testing::FakeMachine>;

fn a_vm() -> TestVm {
    let space = Arc::into_inner(vm::Vm::new(0).space).unwrap();
    let boot = Start { entry: 0, context: 0, big_endian: false };
    Vm::new(space, Features::empty(), 2, GicVersion::V3, 5, boot)
}

fn view() -> CpuView {
    let mut host =
        HostId { registers: [0; ID_REGISTERS], midr: 0, revidr: 0, aidr: 0, pmcr: 0, mpamidr: 0 };
    host.registers[IdRegister::Dfr0 as usize] = 0x1030_5106;
    CpuView::new(&host, Features::empty(), 40, GicVersion::V3)
}

const HOME: Home = Home { pstate: crate::inject::PstateFeatures::empty(), erratum_834220: false };

/// Registers that do not start with 0. SCTLR_EL1: the RES1 bits of Armv8.0 (29, 28, 23, 22, 20, 11).
const NOT_ZERO: &[(&str, u64)] =
    &[("sctlr_el1", 1 << 29 | 1 << 28 | 1 << 23 | 1 << 22 | 1 << 20 | 1 << 11)];

fn start_value(name: &str) -> u64 {
    NOT_ZERO.iter().find(|(other, _)| *other == name).map_or(0, |(_, value)| *value)
}

#[track_caller]
fn assert_started<P>(vcpu: &Vcpu<'_, P>, pc: u64, x0: u64, sctlr: u64) {
    assert_eq!(vcpu.frame.pc, pc);
    // EL1h, D, A, I and F masked.
    assert_eq!(vcpu.frame.pstate, 0x3c5);
    assert_eq!(vcpu.frame.x[0], x0);
    assert_eq!((&vcpu.frame.x[1..], vcpu.frame.stack), (&[0; 30][..], 0));
    for &register in El1::ALL {
        let value = start_value(register.name());
        let value = if register == El1::Sctlr { value | sctlr } else { value };
        assert_eq!(vcpu.el1.get(register), value, "{register:?}");
    }
    assert_eq!((vcpu.vectors.v, vcpu.vectors.fpcr, vcpu.vectors.fpsr), ([0; 32], 0, 0));
    assert_eq!(vcpu.debug, DebugState::new());
    assert!(!vcpu.liveness.is_quiet);
    assert_eq!((vcpu.liveness.runaway, vcpu.liveness.next_look), (Runaway::new(), 0));
}

#[test]
fn a_vcpu_starts_as_who_started_it_says_whatever_it_was() {
    let vm = a_vm();
    for (start, sctlr) in [
        (Start { entry: 0x4000_0000, context: 7, big_endian: false }, 0),
        // SCTLR_EL1.EE, from the caller of CPU_ON.
        (Start { entry: 0x4000_0040, context: u64::MAX, big_endian: true }, 1 << 25),
    ] {
        let mut vcpu = Vcpu::new(&vm, 1, view(), HOME, true);
        vcpu.frame = Frame { x: [5; 31], stack: 5, pc: 5, pstate: 5 };
        El1::ALL.iter().for_each(|register| vcpu.el1.set(*register, 5));
        vcpu.vectors = VectorState { v: [5; 32], fpcr: 5, fpsr: 5 };
        let access = SysRegAccess {
            register: SysReg::new(2, 0, 0, 0, 4),
            direction: Direction::Write,
            rt: 0,
        };
        let Answer::Debug(breakpoint) = vcpu.view.answer(&access) else { panic!() };
        vcpu.debug.write(breakpoint, 5, &mut &FakeCpu::new());
        let moment = crate::vm::Moment { pc: 5, pstate: 5, elr_el1: 5, vbar_el1: 5 };
        vcpu.liveness.runaway.is_stuck(&moment, true, || None, || 0);
        (vcpu.liveness.is_quiet, vcpu.liveness.next_look) = (true, 5);
        vcpu.reset(&start);
        assert_started(&vcpu, start.entry, start.context, sctlr);
        // What it is stays.
        assert_eq!((vcpu.index, vcpu.number(), vcpu.is_traced), (1, 1, true));
    }
}

#[test]
fn a_new_vcpu_has_nothing_of_others() {
    let vm = a_vm();
    let mut vcpu = Vcpu::new(&vm, 0, view(), HOME, false);
    assert_eq!((vcpu.frame.clone(), vcpu.frame.pc), (Frame::default(), 0));
    vcpu.frame.pstate = 0x3c5;
    assert_started(&vcpu, 0, 0, 0);
    assert!(!vcpu.is_traced);
    assert_eq!(VectorState::default(), VectorState::new());
    assert_eq!(Frame::default(), Frame { x: [0; 31], stack: 0, pc: 0, pstate: 0 });
}

#[test]
fn the_number_fits_into_an_event() {
    let vm = a_vm();
    for (index, number) in [(0, 0), (7, 7), (255, 255), (256, 255)] {
        assert_eq!(Vcpu::new(&vm, index, view(), HOME, false).number(), number);
    }
}

#[test]
fn a_sign_of_life_is_remembered() {
    let vm = a_vm();
    let mut vcpu = Vcpu::new(&vm, 0, view(), HOME, false);
    vcpu.liveness.is_quiet = true;
    vcpu.note_life();
    assert!(!vcpu.liveness.is_quiet);
}

#[test]
fn register_31_is_the_zero_register() {
    let mut frame = Frame::new();
    for index in 0..31 {
        frame.set(index, index as u64 + 1);
    }
    for index in [31, 32, usize::MAX] {
        frame.set(index, 99);
        assert_eq!(frame.get(index), 0);
    }
    let all: Vec<_> = (0..31).map(|index| frame.get(index)).collect();
    assert_eq!(all, (1..=31).collect::<Vec<_>>());
    assert_eq!((&frame.x[..], frame.stack, frame.pc, frame.pstate), (&all[..], 0, 0, 0));
}

#[test]
fn each_register_of_el1_has_a_place_of_its_own() {
    let mut state = El1State::RESET;
    for (value, register) in (1..).zip(El1::ALL) {
        state.set(*register, value);
    }
    for (value, register) in (1..).zip(El1::ALL) {
        assert_eq!(state.get(*register), value, "{register:?}");
    }
    assert_eq!(El1::COUNT, El1::ALL.len());
    assert_eq!(state.0.to_vec(), (1..=El1::COUNT as u64).collect::<Vec<_>>());
}

/// A timer whose control is loaded before its compare value fires for what was there before.
#[test]
fn the_timers_come_last_each_control_behind_its_compare_value() {
    let names: Vec<_> = El1::ALL.iter().map(|register| register.name()).collect();
    let tail = ["cntp_cval_el0", "cntp_ctl_el0", "cntv_cval_el0", "cntv_ctl_el0"];
    assert!(names.ends_with(&tail), "{names:?}");
}
