//! The rows of the ABI reference's table (8.1 to 8.4, 8.6, 8.7), each by its number, against a
//! VM of one page per kind. Whether a page may be guarded or shared is the address space's
//! business; here the question is who is asked, and what becomes of the answer.

use core::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::features::{Dialect, FeatureOptions};
use crate::psci::Start;

const RAM: u64 = 0x4000_0000;
const LIMIT: u64 = 1 << 40;

struct Vm {
    features: Features,
    power: Power,
    enrolled: Cell<bool>,
    guarded: RefCell<BTreeSet<u64>>,
    /// x2 of the last MAP that handed it on.
    index: Cell<Option<u64>>,
    shared: RefCell<BTreeSet<u64>>,
    woken: RefCell<Vec<usize>>,
    mitigation: Cell<Mitigation>,
    mitigated: Cell<u32>,
    entropy: Cell<Option<[u64; 3]>>,
    interrupted: Cell<bool>,
}

impl Vm {
    fn new(options: FeatureOptions) -> Self {
        let features = Features::new(&options);
        let power = Power::new(4);
        power.boot(0, &Start { entry: 0, context: 0, big_endian: false });
        power.take_start(0);
        Self {
            features,
            power,
            enrolled: Cell::new(features.contains(Features::STARTS_ENROLLED)),
            guarded: RefCell::default(),
            index: Cell::new(None),
            shared: RefCell::default(),
            woken: RefCell::default(),
            mitigation: Cell::new(Mitigation::Unaffected),
            mitigated: Cell::new(0),
            entropy: Cell::new(Some([u64::MAX; 3])),
            interrupted: Cell::new(false),
        }
    }

    fn check(&self, ipa: Ipa) -> Result<(), Refusal> {
        let outside = !ipa.is_aligned(4096) || ipa.0 >= LIMIT || ipa.0 == RAM;
        if outside { Err(Refusal::Refused) } else { Ok(()) }
    }

    /// x0 to x3 after an HVC that returns.
    fn hvc(&self, id: u64, x1: u64, x2: u64, x3: u64) -> [u64; 4] {
        match hvc(self, 0, [id, x1, x2, x3]) {
            Outcome::Done(regs) => regs,
            other => panic!("{id:#x}: {other:?}"),
        }
    }
}

impl CallServices for Vm {
    fn features(&self) -> Features {
        self.features
    }
    fn power(&self) -> &Power {
        &self.power
    }
    fn wake(&self, index: usize) {
        self.woken.borrow_mut().push(index);
    }
    fn caller_is_big_endian(&self) -> bool {
        true
    }
    fn mitigation(&self, _: Workaround) -> Mitigation {
        self.mitigation.get()
    }
    fn mitigate(&self, _: Workaround) {
        self.mitigated.set(self.mitigated.get() + 1);
    }
    fn entropy(&self) -> Option<[u64; 3]> {
        self.entropy.get()
    }
    fn is_enrolled(&self) -> bool {
        self.enrolled.get()
    }
    fn enroll(&self) {
        self.enrolled.set(true);
    }
    fn guard_map(&self, ipa: Ipa) -> Result<(), Refusal> {
        self.check(ipa)?;
        self.guarded.borrow_mut().insert(ipa.0);
        Ok(())
    }
    fn guard_map_as(&self, ipa: Ipa, index: u64) -> Result<(), Refusal> {
        self.index.set(Some(index));
        self.guard_map(ipa)
    }
    fn guard_unmap(&self, ipa: Ipa) -> Result<(), Refusal> {
        self.guarded.borrow_mut().remove(&ipa.0).then_some(()).ok_or(Refusal::Refused)
    }
    fn guard_map_range(&self, ipa: Ipa, granules: u64) -> Result<u64, Refusal> {
        let mut done = 0;
        for ipa in (ipa.0..).step_by(4096).take(granules.min(3) as usize) {
            match self.guard_map(Ipa(ipa)) {
                Ok(()) => done += 1,
                Err(refusal) if done == 0 => return Err(refusal),
                Err(_) => break,
            }
        }
        Ok(done)
    }
    fn guard_unmap_range(&self, ipa: Ipa, _: u64) -> Result<u64, Refusal> {
        self.guard_unmap(ipa).map(|()| 1)
    }
    fn share(&self, ipa: Ipa) -> Result<(), Refusal> {
        if self.interrupted.get() {
            return Err(Refusal::Interrupted);
        }
        let is_new = ipa.0 == RAM && self.shared.borrow_mut().insert(ipa.0);
        if is_new { Ok(()) } else { Err(Refusal::Refused) }
    }
    fn unshare(&self, ipa: Ipa) -> Result<(), Refusal> {
        self.shared.borrow_mut().remove(&ipa.0).then_some(()).ok_or(Refusal::Refused)
    }
    fn relinquish(&self, ipa: Ipa) -> Result<(), Refusal> {
        if self.shared.borrow().contains(&ipa.0) { Err(Refusal::Refused) } else { Ok(()) }
    }
}

const NORMAL: FeatureOptions = FeatureOptions {
    is_protected: false,
    dialect: Dialect::Pkvm,
    with_guard: false,
    smc_is_undefined: false,
    has_entropy: true,
};

fn normal() -> Vm {
    Vm::new(NORMAL)
}

fn protected() -> Vm {
    Vm::new(FeatureOptions { is_protected: true, ..NORMAL })
}

fn list_2021() -> Vm {
    Vm::new(FeatureOptions { dialect: Dialect::List2021, ..NORMAL })
}

const MINUS_1: u64 = u64::MAX;
const MINUS_2: u64 = u64::MAX - 1;
const MINUS_3: u64 = u64::MAX - 2;
const MINUS_4: u64 = u64::MAX - 3;
const MINUS_5: u64 = u64::MAX - 4;
const JUNK: u64 = 0xffff_8000_1234_5678;

/// Calls with one answer on every VM: row, x0, x1, answer x0 to x3.
const EVERYWHERE: &[(&str, u64, u64, [u64; 4])] = &[
    ("1", 0x8000_0000, JUNK, [0x1_0001, 0, 0, 0]),
    ("2", 0x8400_000a, 0x8000_0000, [0, 0, 0, 0]),
    ("3", 0x8000_0001, 0x8000_8000, [1, 0, 0, 0]),
    ("1.5", 0x8000_0001, 0x8000_0001, [0, 0, 0, 0]),
    ("5", 0x8000_0001, 0xdead_beef, [MINUS_1, 0, 0, 0]),
    ("PV time", 0x8000_0001, 0xc500_0020, [MINUS_1, 0, 0, 0]),
    ("6", 0x8000_0002, 0, [MINUS_1, 0, 0, 0]),
    ("7", 0x8600_1234, 0, [MINUS_1, 0, 0, 0]),
    ("8", 0x0600_0000, 0, [MINUS_1, 0, 0, 0]),
    ("9", 0xffff_ffff_8400_0000, 0, [0x1_0001, 0, 0, 0]),
    ("1.5", 0x8000_8000, 0, [0, 0, 0, 0]),
    ("18", 0x8600_ff01, JUNK, [0xb66f_b428, 0xe911_c52e, 0x564b_caa9, 0x743a_004d]),
    ("2.1, call count", 0x8600_ff00, 0, [MINUS_1, 0, 0, 0]),
    ("2.1, revision", 0x8600_ff03, 0, [MINUS_1, 0, 0, 0]),
    ("26", 0x8600_0001, 2, [MINUS_1, 0, 0, 0]),
    ("27", 0xc600_0040, 0, [MINUS_1, 0, 0, 0]),
    ("vendor 12", 0xc600_000c, 0, [MINUS_1, 0, 0, 0]),
    ("104", 0x8400_0000, 0, [0x1_0001, 0, 0, 0]),
    ("106", 0xc400_0003, 0, [MINUS_4, 0, 0, 0]),
    ("108", 0xc400_0003, 4, [MINUS_2, 0, 0, 0]),
    ("109", 0xc400_0003, 0x8000_0001, [MINUS_2, 0, 0, 0]),
    ("109", 0xc400_0003, 1 << 40, [MINUS_2, 0, 0, 0]),
    ("113", 0xc400_0004, 1, [1, 0, 0, 0]),
    ("114", 0x8400_0006, 0, [2, 0, 0, 0]),
    ("6.1 MIGRATE", 0xc400_0005, 0, [MINUS_1, 0, 0, 0]),
    ("6.1 MIGRATE_INFO_UP_CPU", 0x8400_0007, 0, [MINUS_1, 0, 0, 0]),
    ("115", 0xc400_0012, 1, [MINUS_2, 0, 0, 0]),
    ("117", 0xc400_000e, 0, [MINUS_1, 0, 0, 0]),
    ("118", 0x8400_000a, 0xc400_0012, [0, 0, 0, 0]),
    ("118", 0x8400_000a, 0x8400_0013, [MINUS_1, 0, 0, 0]),
    ("118", 0x8400_000a, 0xc400_0001, [0, 0, 0, 0]),
    ("118", 0x8400_000a, 0xc400_000e, [MINUS_1, 0, 0, 0]),
    ("118", 0x8400_000a, 0xc400_0015, [MINUS_1, 0, 0, 0]),
    ("118", 0x8400_000a, 0xc400_0000, [MINUS_1, 0, 0, 0]),
    ("120", 0x8400_0050, JUNK, [0x1_0000, 0, 0, 0]),
    ("121", 0x8400_0051, 0x8400_0000, [MINUS_1, 0, 0, 0]),
    ("121", 0x8400_0051, 0xc400_0053, [0, 0, 0, 0]),
    ("122", 0xc400_0053, 192, [0, u64::MAX, u64::MAX, u64::MAX]),
    ("122", 0xc400_0053, 193, [MINUS_2, 0, 0, 0]),
    ("122", 0xc400_0053, 0, [MINUS_2, 0, 0, 0]),
    ("122", 0xc400_0053, 65, [0, 0, 1, u64::MAX]),
    ("123", 0xc400_0053, 1, [0, 0, 0, 1]),
    ("124", 0x8400_0053, 96, [0, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff]),
    ("124", 0x8400_0053, 97, [MINUS_2, 0, 0, 0]),
    ("124", 0x8400_0053, 33, [0, 0, 1, 0xffff_ffff]),
    ("124", 0x8400_0053, 0xffff_ffff_0000_0001, [0, 0, 0, 1]),
    ("125", 0xc500_0021, 0, [MINUS_1, 0, 0, 0]),
    ("11", 0xc400_0002, 0, [MINUS_1, 0, 0, 0]),
    ("11", 0xc400_0008, 0, [MINUS_1, 0, 0, 0]),
    ("11", 0xc400_0009, 0, [MINUS_1, 0, 0, 0]),
];

#[test]
fn rows_that_hold_on_every_vm() {
    for vm in [normal(), protected(), list_2021()] {
        for &(row, id, x1, answer) in EVERYWHERE {
            assert_eq!(vm.hvc(id, x1, 0, 0), answer, "row {row}: {id:#x}({x1:#x})");
        }
    }
}

#[test]
fn rows_3_and_4_follow_the_machine() {
    let vm = normal();
    for (mitigation, one, two) in [
        (Mitigation::Unaffected, 1, MINUS_2),
        (Mitigation::Mitigated, 0, 0),
        (Mitigation::Vulnerable, MINUS_1, MINUS_1),
    ] {
        vm.mitigation.set(mitigation);
        assert_eq!(vm.hvc(0x8000_0001, 0x8000_8000, 0, 0)[0], one);
        assert_eq!(vm.hvc(0x8000_0001, 0x8000_7fff, 0, 0)[0], two);
        assert_eq!(vm.hvc(0x8000_0001, 0x8000_3fff, 0, 0)[0], one);
    }
    vm.mitigation.set(Mitigation::Mitigated);
    assert_eq!(vm.hvc(0x8000_3fff, 0, 0, 0), [0; 4]);
    assert_eq!(vm.mitigated.get(), 1);
}

#[test]
fn rows_13_to_17_conduits() {
    let vm = normal();
    let version = [0x8400_0000, 0, 0, 0];
    assert_eq!(hvc(&vm, 1, version), Outcome::Done([MINUS_1, 0, 0, 0]), "row 13");
    assert_eq!(smc(&vm, 0, version), Outcome::Done([0x1_0001, 0, 0, 0]), "rows 14, 17");
    assert_eq!(smc(&vm, 5, version), Outcome::Done([MINUS_1, 0, 0, 0]), "row 15");
    let strict = Vm::new(FeatureOptions { smc_is_undefined: true, ..NORMAL });
    assert_eq!(smc(&strict, 0, version), Outcome::Undefined, "row 16");
    assert_eq!(hvc(&strict, 0, version), Outcome::Done([0x1_0001, 0, 0, 0]));
}

#[test]
fn rows_20_to_25_features() {
    for (vm, word) in [(normal(), 1), (protected(), 0xffd), (list_2021(), 0x3d)] {
        assert_eq!(vm.hvc(0x8600_0000, JUNK, JUNK, JUNK), [word, 0, 0, 0]);
    }
    let vm = normal();
    for function in 2..=11 {
        let answer = vm.hvc(0xc600_0000 + function, 0, 0, 0);
        assert_eq!(answer, [MINUS_1, 0, 0, 0], "row 25, function {function}");
    }
}

#[test]
fn rows_28_to_33_info_and_enroll() {
    let vm = protected();
    assert_eq!(vm.hvc(0xc600_0005, 0, 0, 0), [4096, 1, 0, 0], "row 28");
    assert_eq!(vm.hvc(0xc600_0005, 1, 0, 0), [MINUS_3, 0, 0, 0], "row 29");
    assert_eq!(vm.hvc(0xc600_0005, 0, 0, 1), [MINUS_3, 0, 0, 0], "row 30");
    for _ in 0..2 {
        assert_eq!(vm.hvc(0xc600_0006, JUNK, JUNK, JUNK), [0; 4], "rows 31 to 33");
    }
    let list = list_2021();
    for x1 in [0, 1, JUNK] {
        assert_eq!(list.hvc(0xc600_0002, x1, x1, x1), [4096, 0, 0, 0], "rows 28 to 30, A");
    }
    assert!(!list.enrolled.get());
    assert_eq!(list.hvc(0xc600_0003, JUNK, JUNK, JUNK), [0; 4], "row 31, A");
    assert!(list.enrolled.get());
}

#[test]
fn rows_36_to_53_map_and_unmap() {
    let vm = protected();
    for (row, x1, answer) in [
        ("36, 39", 0x0900_0000, 0),
        ("37", 0x0900_0000, 0),
        ("40", 0, 0),
        ("41", 0x0900_0008, MINUS_3),
        ("42", RAM, MINUS_3),
        ("44", LIMIT, MINUS_3),
        ("45", 0xffff_ffff_ffff_f000, MINUS_3),
    ] {
        // Rows 46 and 47: x2 and x3 do not matter, and are not looked at.
        for x2 in [0, 7, JUNK] {
            assert_eq!(vm.hvc(0xc600_0007, x1, x2, x2), [answer, 0, 0, 0], "row {row}");
        }
    }
    assert_eq!(vm.hvc(0xc600_0008, 0x0900_0000, JUNK, JUNK), [0; 4], "row 49");
    assert_eq!(vm.hvc(0xc600_0008, 0x0900_0000, 0, 0), [MINUS_3, 0, 0, 0], "row 50");
    assert_eq!(vm.hvc(0xc600_0008, RAM, 0, 0), [MINUS_3, 0, 0, 0], "row 51");
    assert_eq!(vm.hvc(0xc600_0008, 0x10, 0, 0), [MINUS_3, 0, 0, 0], "row 52");
    assert!(vm.guarded.borrow().contains(&0), "row 52: the mark is still there");
}

#[test]
fn rows_38_and_53_before_enrolment() {
    let vm = Vm::new(FeatureOptions { with_guard: true, ..NORMAL });
    for (function, x2) in [(7, 0), (8, 0), (10, 1), (11, 1)] {
        let answer = vm.hvc(0xc600_0000 + function, 0x0900_0000, x2, 0);
        assert_eq!(answer, [MINUS_3, 0, 0, 0], "function {function}");
    }
    let list = list_2021();
    assert_eq!(list.hvc(0xc600_0004, 0x0900_0000, 0, 0), [MINUS_1, 0, 0, 0]);
    assert!(vm.guarded.borrow().is_empty() && list.guarded.borrow().is_empty());
    vm.hvc(0xc600_0006, 0, 0, 0);
    assert_eq!(vm.hvc(0xc600_0007, 0x0900_0000, 0, 0), [0; 4]);
}

#[test]
fn rows_36_to_53_in_the_list_dialect() {
    let vm = list_2021();
    vm.hvc(0xc600_0003, 0, 0, 0);
    assert_eq!(vm.hvc(0xc600_0004, 0x0900_0000, 4, 0), [0; 4], "row 36");
    assert_eq!(vm.index.get(), Some(4), "row 47");
    assert_eq!(vm.hvc(0xc600_0004, 0x0900_0008, 0, 0), [MINUS_1, 0, 0, 0], "row 41");
    assert_eq!(vm.hvc(0xc600_0004, RAM, 0, 0), [MINUS_1, 0, 0, 0], "row 42");
    assert_eq!(vm.hvc(0xc600_0005, 0x0900_0abc, 0, 0), [0; 4], "row 52: aligned down");
    assert_eq!(vm.hvc(0xc600_0005, 0x0900_0000, 0, 0), [MINUS_1, 0, 0, 0], "row 50");
    for function in 6..=11 {
        let answer = vm.hvc(0xc600_0000 + function, RAM, 0, 0);
        assert_eq!(answer, [MINUS_1, 0, 0, 0], "row 60, function {function}");
    }
}

#[test]
fn rows_55_to_59_ranges() {
    let vm = protected();
    assert_eq!(vm.hvc(0xc600_000a, 0x1000_0000, 4, 0), [0, 3, 0, 0], "row 55");
    assert_eq!(vm.hvc(0xc600_000a, 0x1000_0000, 0, 0), [MINUS_3, 0, 0, 0], "row 56");
    assert_eq!(vm.hvc(0xc600_000a, 0x1000_0000, 1, 1), [MINUS_3, 0, 0, 0], "row 57");
    assert_eq!(vm.hvc(0xc600_000a, RAM - 0x2000, 3, 0), [0, 2, 0, 0], "row 58");
    assert_eq!(vm.hvc(0xc600_000a, 0x2000_0000, 1 << 60, 0), [0, 3, 0, 0], "row 59");
    assert_eq!(vm.hvc(0xc600_000b, 0x1000_0000, 1, 0), [0, 1, 0, 0]);
    assert_eq!(vm.hvc(0xc600_000b, 0x1000_0000, 0, 0), [MINUS_3, 0, 0, 0]);
    assert_eq!(vm.hvc(0xc600_000b, 0x1000_1000, 1, 1), [MINUS_3, 0, 0, 0]);
}

#[test]
fn rows_81_to_95_memory() {
    let vm = protected();
    assert_eq!(vm.hvc(0xc600_0002, 0, 0, 0), [4096, 0, 0, 0], "row 81");
    assert_eq!(vm.hvc(0xc600_0002, 0, 1, 0), [MINUS_3, 0, 0, 0], "row 82");
    assert_eq!(vm.hvc(0xc600_0003, RAM, 2, 0), [MINUS_3, 0, 0, 0], "row 88");
    assert_eq!(vm.hvc(0xc600_0003, RAM, 0, 1), [MINUS_3, 0, 0, 0], "row 89");
    assert_eq!(vm.hvc(0xc600_0003, RAM, 0, 0), [0; 4], "row 83");
    assert_eq!(vm.hvc(0xc600_0003, RAM, 0, 0), [MINUS_3, 0, 0, 0], "row 84");
    assert_eq!(vm.hvc(0xc600_0009, RAM, 0, 0), [MINUS_3, 0, 0, 0], "row 95, shared");
    assert_eq!(vm.hvc(0xc600_0009, RAM, 1, 0), [MINUS_3, 0, 0, 0], "row 95, x2");
    assert_eq!(vm.hvc(0xc600_0004, RAM, 0, 0), [0; 4], "row 90");
    assert_eq!(vm.hvc(0xc600_0004, RAM, 0, 0), [MINUS_3, 0, 0, 0], "row 91");
    assert_eq!(vm.hvc(0xc600_0009, RAM, 0, 0), [0; 4], "row 93");
    assert!(vm.shared.borrow().is_empty());
}

#[test]
fn an_interrupted_call_is_made_again() {
    let vm = protected();
    vm.interrupted.set(true);
    assert_eq!(hvc(&vm, 0, [0xc600_0003, RAM, 0, 0]), Outcome::Replay);
}

#[test]
fn rows_105_to_112_cpu_on() {
    let vm = normal();
    assert_eq!(vm.hvc(0xc400_0003, 1, 0x8000, 0x77), [0; 4], "row 105");
    assert_eq!(*vm.woken.borrow(), [1]);
    assert_eq!(vm.hvc(0xc400_0003, 1, 0x8000, 0x77), [MINUS_5, 0, 0, 0], "row 107");
    let start = vm.power.take_start(1).unwrap();
    assert_eq!(start, Start { entry: 0x8000, context: 0x77, big_endian: true });
    assert_eq!(vm.hvc(0xc400_0003, 1, 0x8000, 0x77), [MINUS_4, 0, 0, 0], "row 106");
    let high = 0xffff_ffff_0000_0000;
    assert_eq!(vm.hvc(0x8400_0003, high | 2, high | 0x9000, high | 5), [0; 4], "row 110");
    let start = vm.power.take_start(2).unwrap();
    assert_eq!((start.entry, start.context), (0x9000, 5));
    assert_eq!(vm.hvc(0xc400_0004, 0, 4, 0), [MINUS_2, 0, 0, 0], "row 111");
    assert_eq!(vm.hvc(0xc400_0004, 3, 1, 0), [0; 4], "row 112");
    assert_eq!(vm.hvc(0x8400_0004, high | 3, high, 0), [1, 0, 0, 0], "row 113");
    assert_eq!(*vm.woken.borrow(), [1, 2]);
}

#[test]
fn calls_that_do_not_return() {
    let vm = normal();
    for (id, x1, outcome) in [
        (0x8400_0001, 0, Outcome::Suspend),
        (0xc400_0001, 1 << 16, Outcome::Suspend),
        (0x8400_0002, 1 << 16, Outcome::CpuOff),
        (0x8400_0008, 0, Outcome::SystemOff),
        (0x8400_0009, 0, Outcome::SystemReset),
        (0x8400_0012, 0, Outcome::SystemReset),
        (0xc400_0012, 0x8000_0001, Outcome::SystemReset),
    ] {
        assert_eq!(hvc(&vm, 0, [id, x1, 0, 0]), outcome, "{id:#x}");
    }
}

#[test]
fn no_seed_no_random_numbers() {
    let vm = normal();
    vm.entropy.set(None);
    assert_eq!(vm.hvc(0xc400_0053, 64, 0, 0), [MINUS_3, 0, 0, 0]);
    let without = Vm::new(FeatureOptions { has_entropy: false, ..NORMAL });
    for id in [0x8400_0050, 0x8400_0051, 0x8400_0052, 0x8400_0053, 0xc400_0053] {
        assert_eq!(without.hvc(id, 64, 0, 0), [MINUS_1, 0, 0, 0], "{id:#x}");
    }
}

#[test]
fn the_generator_has_a_name() {
    let [w0, ..] = normal().hvc(0x8400_0052, 0, 0, 0);
    assert_ne!(w0, 0xffff_ffff);
    assert_eq!(TRNG_UUID[0].to_le_bytes(), [0x28, 0x69, 0x40, 0xf4]);
}

proptest! {
    /// Row 12 and the 32-bit rule: an answer is either small and positive or a sign-extended
    /// error, and random identifiers never panic.
    #[test]
    fn any_call_is_answered(
        id in prop_oneof![any::<u64>(), 0xc600_0000u64..0xc600_0010, 0x8400_0000u64..0x8400_0060,
            0xc400_0000u64..0xc400_0060],
        x1: u64, x2: u64, x3: u64, kind in 0..3,
    ) {
        let vm = match kind { 0 => normal(), 1 => protected(), _ => list_2021() };
        if let Outcome::Done([x0, ..]) = hvc(&vm, 0, [id, x1, x2, x3]) {
            prop_assert!(x0 <= 0xffff_ffff || x0 > u64::MAX - 10, "{:#x}", x0);
            prop_assert_ne!(x0, 0xffff_ffff);
        }
        let _ = smc(&vm, (x1 & 0xffff) as u16, [id, x1, x2, x3]);
    }
}
