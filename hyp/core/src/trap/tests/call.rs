//! HVC and SMC (DEN0022, DEN0028).

use super::*;
use crate::calls::Outcome;
use crate::trap::{apply, ask, is_smc};

/// EC of HVC and SMC, IL, immediate 0.
const HVC: u64 = 0x16 << 26 | 1 << 25;
const SMC: u64 = 0x17 << 26 | 1 << 25;
const NOT_SUPPORTED: Outcome = Outcome::Done([u64::MAX, 0, 0, 0]);

fn call(guest: &mut Guest, arguments: [u64; 4]) {
    guest.vcpu.frame.x[..4].copy_from_slice(&arguments);
}

#[test]
fn hvc_and_smc_are_told_apart() {
    assert!(is_smc(SMC | 0xffff) && !is_smc(HVC | 0xffff));
}

#[test]
fn the_arguments_are_x0_to_x3_and_the_immediate_is_0() {
    for esr in [HVC, SMC] {
        let mut guest = Guest::normal();
        // PSCI_VERSION: 1.1.
        call(&mut guest, [0x8400_0000, 0, 0, 0]);
        let outcome = ask(&guest.vcpu, guest.cpu, esr);
        assert_eq!(outcome, Outcome::Done([0x1_0001, 0, 0, 0]));
        for immediate in [1, 0x8000] {
            assert_eq!(ask(&guest.vcpu, guest.cpu, esr | immediate), NOT_SUPPORTED);
        }
        // CPU_ON: of vCPU 2, which runs on CPU 6, at this entry, with this context.
        call(&mut guest, [0xc400_0003, 2, RAM + 8, 0xc0]);
        guest.cpu.set(El1::Sctlr, EE);
        assert_eq!(ask(&guest.vcpu, guest.cpu, esr), Outcome::Done([0; 4]));
        let start = Start { entry: RAM + 8, context: 0xc0, big_endian: true };
        assert_eq!(guest.vm.power.take_start(2), Some(start));
        assert_eq!(guest.cpu.desk.kicked.get(), Kicks::NONE.with(6));
    }
    let guest = Guest::new(false, false);
    assert_eq!(ask(&guest.vcpu, guest.cpu, SMC), Outcome::Undefined);
    assert_ne!(ask(&guest.vcpu, guest.cpu, HVC), Outcome::Undefined);
}

/// ELR_EL2 is behind an HVC and at an SMC (Arm ARM, `AArch64.CallHypervisor`, `AArch64.CheckForSMCUndefOrTrap`).
#[test]
fn a_call_returns_behind_itself_with_four_results() {
    for (outcome, results, next) in [
        (Outcome::Done([7, 8, 9, 10]), [7, 8, 9, 10], Next::Resume),
        (Outcome::Suspend, [0; 4], Next::Wait),
    ] {
        for (esr, end) in [(HVC, (PC, PSTATE)), (SMC, (PC + 4, DONE))] {
            let mut guest = Guest::normal();
            let before = guest.vcpu.frame.x;
            assert_eq!(apply(&mut guest.vcpu, guest.cpu, esr, outcome), next);
            assert_eq!(guest.vcpu.frame.x[..4], results);
            assert_eq!(guest.vcpu.frame.x[4..], before[4..]);
            assert_eq!((guest.cpu.pc.get(), guest.cpu.pstate.get()), end);
            assert!(!guest.vcpu.liveness.is_quiet, "a sign of life");
            assert!(!guest.vm.life.is_stopping());
        }
    }
}

#[test]
fn who_turns_off_leaves_and_the_vm_stays() {
    for esr in [HVC, SMC] {
        let mut guest = Guest::normal();
        let before = guest.vcpu.frame.clone();
        assert_eq!(apply(&mut guest.vcpu, guest.cpu, esr, Outcome::CpuOff), Next::Leave);
        assert_eq!(guest.vcpu.frame, before);
        assert!(!guest.vm.life.is_stopping());
        assert_eq!(guest.cpu.desk.kicked.get(), Kicks::NONE);
    }
}

#[test]
fn a_vm_that_stops_itself_tells_its_other_vcpus() {
    for (outcome, stop) in [(Outcome::SystemOff, Stop::Off), (Outcome::SystemReset, Stop::Reset)] {
        for esr in [HVC, SMC] {
            let mut guest = Guest::normal();
            assert_eq!(apply(&mut guest.vcpu, guest.cpu, esr, outcome), Next::Leave);
            assert_eq!(guest.cpu.desk.kicked.get(), Kicks::NONE.with(4).with(6));
            assert!(guest.cpu.crashes.borrow().is_empty());
            assert_eq!(guest.vm.life.leave(), Left::Last(stop));
        }
    }
}

#[test]
fn an_smc_that_is_undefined_is_taken_at_the_smc() {
    let mut guest = Guest::new(false, false).traced();
    let before = guest.vcpu.frame.clone();
    let next = apply(&mut guest.vcpu, guest.cpu, SMC, Outcome::Undefined);
    guest.assert_undefined(next);
    assert_eq!(guest.vcpu.frame, before);
    assert_eq!(*guest.cpu.traced.borrow(), [crate::testing::cpu::Traced::Undefined]);
}

/// x19 to x28 are not in the frame, so that registers prove nothing; the vector does.
#[test]
fn an_smc_in_its_own_handler_is_a_loop() {
    let at = |pc: u64| {
        let mut guest = Guest::new(false, false);
        for n in 0..5000 {
            guest.cpu.now.set(n * FakeCpu::FREQUENCY);
            guest.cpu.pc.set(pc);
            guest.cpu.pstate.set(0x3c5);
            let next = apply(&mut guest.vcpu, guest.cpu, SMC, Outcome::Undefined);
            if next == Next::Leave {
                guest.assert_crashed(next, "it takes the same exception again and again");
                return Some(n);
            }
        }
        None
    };
    assert!(at(VBAR + 0x200).is_some_and(|n| n > 1000));
    assert_eq!(at(PC), None);
}

/// The guest makes the call again, and a step that it armed is still to be taken.
#[test]
fn a_call_is_replayed_with_its_registers() {
    // PSTATE.SS, bit 21: an HVC has cleared it, an SMC that trapped has not.
    for (esr, pstate, end) in [(HVC, DONE, (PC - 4, DONE | 1 << 21)), (SMC, PSTATE, (PC, PSTATE))] {
        let mut guest = Guest::normal();
        let before = guest.vcpu.frame.clone();
        guest.cpu.pstate.set(pstate);
        assert_eq!(apply(&mut guest.vcpu, guest.cpu, esr, Outcome::Replay), Next::Resume);
        assert_eq!((guest.cpu.pc.get(), guest.cpu.pstate.get()), end);
        assert_eq!(guest.vcpu.frame, before);
    }
}
