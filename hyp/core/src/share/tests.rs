//! Rows of the ABI's table about memory sharing, by number.

use super::*;
use crate::addr::{BLOCK_2M, Pa};
use crate::memory::Populated;
use crate::testing::Op;
use crate::testing::vm::{CONSOLE, HIGH, HIGH_PA, RAM, RAM_PA, Vm};

fn vm() -> Vm {
    Vm::new(0x8000_0000)
}

#[test]
fn r83_r84_r90_r91_a_page_is_shared_and_taken_back() {
    let vm = vm();
    let ipa = Ipa(RAM + 0x3000);
    assert_eq!(vm.space.unshare(ipa), Err(ShareError::WrongState));
    vm.touch(ipa.0);
    assert_eq!(vm.space.unshare(ipa), Err(ShareError::WrongState));
    assert_eq!(vm.oracle(ipa.0).map(|walk| walk.level), Ok(2), "a refusal splits nothing");
    vm.machine.poke(Pa(RAM_PA + 0x3000), 0x42);
    vm.space.share(ipa, || false).unwrap();
    assert_eq!(vm.space.share(ipa, || false), Err(ShareError::WrongState));
    vm.space.unshare(ipa).unwrap();
    assert_eq!(vm.space.unshare(ipa), Err(ShareError::WrongState));
    assert_eq!(vm.machine.peek(Pa(RAM_PA + 0x3000)), 0x42);
    vm.machine.settle();
}

#[test]
fn r85_r86_r87_what_cannot_be_shared() {
    let vm = vm();
    let odd = Ipa(RAM + 0x10);
    assert_eq!(vm.space.share(odd, || false), Err(ShareError::Unaligned));
    assert_eq!(vm.space.unshare(odd), Err(ShareError::Unaligned));
    vm.space.guard_map(Ipa(CONSOLE), None).unwrap();
    for ipa in [CONSOLE, RAM - 0x1000, RAM + 2 * BLOCK_2M, 1 << 40, u64::MAX - 0xfff].map(Ipa) {
        assert_eq!(vm.space.share(ipa, || false), Err(ShareError::NotMemory));
        assert_eq!(vm.space.unshare(ipa), Err(ShareError::NotMemory));
    }
}

#[test]
fn r87_memory_that_nothing_has_touched_is_populated_first() {
    let vm = vm();
    vm.space.share(Ipa(HIGH), || false).unwrap();
    assert!(vm.machine.is_zero(Pa(HIGH_PA)));
    assert_eq!(vm.oracle(HIGH).map(|walk| walk.software), Ok(1));
    // An interrupt in between makes the guest call again; each time more is there.
    let mut calls = 1;
    while vm.space.share(Ipa(RAM), || true) == Err(ShareError::Again) {
        calls += 1;
    }
    assert_eq!(calls, 32);
    assert_eq!(vm.oracle(RAM).map(|walk| walk.software), Ok(1));
    vm.machine.settle();
}

#[test]
fn r93_a_page_given_back_is_unreachable_then_zero() {
    let vm = vm();
    vm.touch(RAM);
    vm.machine.poke(Pa(RAM_PA + 0x5000), 0x99);
    vm.machine.poke(Pa(RAM_PA + 0x6000), 0x66);
    vm.machine.take_ops();
    vm.space.relinquish(Ipa(RAM + 0x5123)).unwrap();
    vm.machine.settle();
    let ops = vm.machine.take_ops();
    let end = [
        Op::Invalidate { ipa: Ipa(RAM + 0x5000), bytes: 0x1000, leaf: 0x1000 },
        Op::Zero { pa: Pa(RAM_PA + 0x5000), bytes: 0x1000 },
    ];
    assert_eq!(ops.get(2..), Some(end.as_slice()), "after the split");
    assert!(vm.oracle(RAM + 0x5000).is_err());
    assert!(vm.machine.is_zero(Pa(RAM_PA + 0x5000)));
    assert_eq!(vm.machine.peek(Pa(RAM_PA + 0x6000)), 0x66);
    // The frame stays the VM's, for this address only; it is zeroed again before it is seen,
    // whatever has happened to it.
    vm.machine.poke(Pa(RAM_PA + 0x5000), 0x13);
    assert_eq!(vm.space.populate(Ipa(RAM + 0x5000), || true), Ok(Populated::Mapped));
    vm.machine.settle();
    assert_eq!(vm.oracle(RAM + 0x5000).map(|walk| walk.pa), Ok(RAM_PA + 0x5000));
    assert!(vm.machine.is_zero(Pa(RAM_PA + 0x5000)));
}

#[test]
fn r94_giving_back_what_is_not_there_is_no_error() {
    let vm = vm();
    let before = vm.machine.entries();
    for ipa in [RAM, RAM - 0x1000, CONSOLE] {
        vm.space.relinquish(Ipa(ipa)).unwrap();
    }
    assert_eq!(vm.machine.entries(), before);
    assert_eq!(vm.machine.take_ops(), []);
}

#[test]
fn r95_shared_pages_and_devices_are_not_given_back() {
    let vm = vm();
    vm.space.share(Ipa(RAM), || false).unwrap();
    assert_eq!(vm.space.relinquish(Ipa(RAM)), Err(ShareError::WrongState));
    vm.space.guard_map(Ipa(CONSOLE), None).unwrap();
    assert_eq!(vm.space.relinquish(Ipa(CONSOLE)), Err(ShareError::NotMemory));
    assert!(vm.space.is_guarded(Ipa(CONSOLE)));
    let above = Ipa(1 << 40);
    assert_eq!(vm.space.relinquish(above), Err(ShareError::NotMemory));
    vm.space.unshare(Ipa(RAM)).unwrap();
    vm.space.relinquish(Ipa(RAM)).unwrap();
}
