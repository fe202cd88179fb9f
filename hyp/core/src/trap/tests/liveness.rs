//! Whether a vCPU still gets anywhere.

use super::*;
use crate::trap::{Interrupt, begin, serve};

const SAME: &str = "it takes the same exception again and again";

/// After how many undefined instructions at `pc` the VM ends, if within 5000. One takes a tenth of a second;
/// `between` happens after each.
fn ends(pc: u64, mut between: impl FnMut(&mut Guest, u64)) -> Option<u64> {
    let mut guest = Guest::normal();
    guest.cpu.pstate.set(0x3c5);
    for n in 1..=5000 {
        guest.cpu.now.set(n * FakeCpu::FREQUENCY / 10);
        guest.cpu.pc.set(pc);
        let next = guest.trap(0);
        if next == Next::Leave {
            guest.assert_crashed(next, SAME);
            return Some(n);
        }
        assert_eq!(next, Next::Resume);
        between(&mut guest, n);
    }
    None
}

/// The first is not out of itself; the 1000th after it starts the clock, which must change its second
/// twice.
#[test]
fn the_same_exception_for_ever_ends_the_vm() {
    let in_vector = ends(VBAR + 0x200, |_, _| ()).unwrap();
    assert!((1001 + 10..=1001 + 21).contains(&in_vector), "{in_vector}");
    // Elsewhere the registers must be the same as before: one later.
    let elsewhere = ends(PC, |_, _| ()).unwrap();
    assert!((1002 + 10..=1002 + 21).contains(&elsewhere), "{elsewhere}");
}

#[test]
fn a_handler_that_changes_anything_gets_somewhere() {
    assert_eq!(ends(PC, |guest, n| guest.vcpu.frame.x[30] = n), None);
    assert_eq!(ends(PC, |guest, n| guest.cpu.set(El1::SpEl1, n * 16)), None);
    assert_eq!(ends(PC, |guest, n| guest.cpu.set(El1::SpEl0, n * 16)), None);
    // A register that was not sampled is no progress.
    assert!(ends(PC, |guest, n| guest.cpu.set(El1::TpidrEl1, n)).is_some());
    // In the vector none of them counts.
    assert!(ends(VBAR + 0x200, |guest, n| guest.vcpu.frame.x[30] = n).is_some());
}

#[test]
fn a_trap_that_is_done_in_between_is_a_sign_of_life() {
    let reads_an_id = |guest: &mut Guest, n: u64| {
        if n.is_multiple_of(900) {
            // MRS x0, ID_AA64PFR0_EL1, which changes no register that counts here.
            let elr = guest.cpu.get(El1::Elr);
            guest.trap(0x18 << 26 | 1 << 25 | 3 << 20 | 4 << 1 | 31 << 5 | 1);
            guest.cpu.set(El1::Elr, elr);
        }
    };
    assert_eq!(ends(VBAR + 0x200, reads_an_id), None);
}

#[test]
fn the_first_look_is_due_a_second_after_the_start() {
    let mut guest = Guest::normal();
    guest.cpu.now.set(7);
    begin(&mut guest.vcpu, guest.cpu);
    assert_eq!(guest.vcpu.liveness.next_look, 7 + FakeCpu::FREQUENCY);
    assert_eq!(*guest.cpu.deadlines.borrow(), [7 + FakeCpu::FREQUENCY]);
}

/// A guest that is in its own vector for an exception out of that vector, without EL2.
fn look(guest: &mut Guest, now: u64) {
    guest.cpu.now.set(now);
    guest.cpu.pc.set(VBAR + 0x200);
    guest.cpu.set(El1::Elr, VBAR + 0x208);
    guest.cpu.pstate.set(0x3c5);
    serve(&mut guest.vcpu, guest.cpu, Interrupt::HypTimer);
}

#[test]
fn the_third_look_in_a_row_at_a_loop_in_the_vector_ends_the_vm() {
    let mut guest = Guest::normal();
    guest.vcpu.liveness.next_look = 1000;
    // Too early: it fires again when it is due, and this was none.
    look(&mut guest, 999);
    for now in [1000, 2500] {
        look(&mut guest, now);
        assert!(!guest.vm.life.is_stopping());
    }
    assert_eq!(*guest.cpu.deadlines.borrow(), [1000, 2000, 3500]);
    look(&mut guest, 3500);
    let why = "its exception vector only leads to exceptions (VBAR_EL1 0x40100000)";
    guest.assert_crashed(Next::Leave, why);
}

#[test]
fn looks_see_no_loop_in_a_guest_that_shows_life() {
    let mut guest = Guest::normal();
    for now in 0..20 {
        guest.vcpu.note_life();
        look(&mut guest, now * 1000);
    }
    assert!(!guest.vm.life.is_stopping());
    assert!(guest.vcpu.liveness.is_quiet, "until it shows life again");
    // Nor in one that is elsewhere.
    for now in 20..40 {
        guest.cpu.set(El1::Vbar, VBAR + 0x800 * (now & 1));
        look(&mut guest, now * 1000);
    }
    assert!(!guest.vm.life.is_stopping());
}

#[test]
fn nobody_looks_at_a_vcpu_that_is_off() {
    let mut guest = Guest::normal();
    guest.vm.power.turn_off(SELF);
    for now in 0..10 {
        look(&mut guest, now * 10_000);
    }
    assert!(!guest.vm.life.is_stopping());
    assert!(guest.cpu.deadlines.borrow().is_empty());
}
