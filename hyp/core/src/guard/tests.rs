//! Rows of the ABI's table that the guard alone decides, by number.

use super::*;
use crate::addr::{BLOCK_2M, Pa};
use crate::testing::Op;
use crate::testing::vm::{CONSOLE, DEVICE, DEVICE_PA, GIC, PRE_GUARDED, RAM, Space, Vm};

const PROTECTED: u64 = 0x8000_0000;
const NORMAL: u64 = 0;

type Guard = fn(&Space, Ipa) -> Result<(), GuardError>;

/// The calls that guard one granule: the one that knows no type of device has a short road.
const ROADS: [Guard; 2] =
    [|space, ipa| space.guard_map(ipa, None), |space, ipa| space.guard_map_at_once(ipa)];

#[test]
fn r31_r32_r33_enrolling_again_changes_nothing() {
    let vm = Vm::new(NORMAL);
    assert!(!vm.space.is_enrolled());
    vm.space.enroll().unwrap();
    vm.space.enroll().unwrap();
    assert!(vm.space.is_enrolled());
    assert!(Vm::new(PROTECTED).space.is_enrolled());
}

/// What was guarded from the start, or not guarded for want of a right to it, is no call of the VM's.
#[test]
fn whether_a_vm_has_guarded_anything_is_known() {
    for guard in ROADS {
        for ipa in [CONSOLE, DEVICE, 0xc00_0000, PRE_GUARDED + 0x1000] {
            let vm = Vm::new(PROTECTED);
            assert!(!vm.space.has_guarded());
            guard(&vm.space, Ipa(RAM)).unwrap_err();
            guard(&vm.space, Ipa(1)).unwrap_err();
            vm.space.guard_unmap(Ipa(ipa)).unwrap_err();
            assert!(!vm.space.has_guarded());
            guard(&vm.space, Ipa(ipa)).unwrap();
            assert!(vm.space.has_guarded(), "{ipa:#x}");
            vm.space.reset().unwrap();
            assert!(!vm.space.has_guarded());
        }
    }
}

#[test]
fn r36_r37_r40_r49_r50_a_mark_comes_and_goes() {
    let vm = Vm::new(PROTECTED);
    for ipa in [Ipa(0), Ipa(0xc00_0000), Ipa(CONSOLE), Ipa(GIC + 0xf000), Ipa((1 << 40) - 0x1000)] {
        assert!(!vm.space.is_guarded(ipa));
        vm.space.guard_map(ipa, None).unwrap();
        vm.space.guard_map(ipa, None).unwrap();
        assert!(vm.space.is_guarded(ipa) && vm.space.is_guarded(Ipa(ipa.0 + 0xfff)));
        assert_eq!(vm.space.lookup(ipa), Leaf::Guarded);
        vm.space.guard_unmap(ipa).unwrap();
        assert!(!vm.space.is_guarded(ipa));
        assert_eq!(vm.space.guard_unmap(ipa), Err(GuardError::NotGuarded));
    }
    // The mark is no matter of TLBs: only new tables were published.
    vm.machine.settle();
    assert!(vm.machine.take_ops().iter().all(|op| *op == Op::Publish));
}

/// The same by either call, and a granule is all that it is about, whether there are tables around it
/// or not.
#[test]
fn r36_r37_r50_one_granule_is_marked() {
    for guard in ROADS {
        let vm = Vm::new(PROTECTED);
        let base = 0xc00_0000;
        // The first is where no table is, those behind it where there is one.
        for ipa in [base, base + 0x3000, base + 0x1f_f000, DEVICE, CONSOLE, GIC + 0x1000, 1 << 32] {
            for _ in 0..2 {
                guard(&vm.space, Ipa(ipa)).unwrap();
                assert!(vm.space.is_guarded(Ipa(ipa)), "{ipa:#x}");
                for apart in [0x1000, BLOCK_2M, 1 << 30] {
                    for neighbour in [ipa.wrapping_sub(apart), ipa + apart] {
                        assert!(!vm.space.is_guarded(Ipa(neighbour)), "{ipa:#x} {neighbour:#x}");
                    }
                }
            }
            vm.space.guard_unmap(Ipa(ipa)).unwrap();
            assert!(!vm.space.is_guarded(Ipa(ipa)));
        }
        // An assigned device is mapped by it.
        guard(&vm.space, Ipa(DEVICE)).unwrap();
        assert_eq!(vm.oracle(DEVICE).map(|walk| walk.pa), Ok(DEVICE_PA));
        assert!(vm.oracle(DEVICE + 0x1000).is_err());
    }
}

#[test]
fn r38_r53_without_enrolment_there_is_no_guard() {
    let vm = Vm::new(NORMAL);
    assert_eq!(vm.space.guard_map(Ipa(CONSOLE), None), Err(GuardError::NotEnrolled));
    assert_eq!(vm.space.guard_unmap(Ipa(PRE_GUARDED)), Err(GuardError::NotEnrolled));
    assert_eq!(vm.space.guard_map_range(Ipa(CONSOLE), 1), Err(GuardError::NotEnrolled));
    assert_eq!(vm.space.guard_unmap_range(Ipa(CONSOLE), 1), Err(GuardError::NotEnrolled));
    assert!(vm.space.is_guarded(Ipa(PRE_GUARDED)));
}

#[test]
fn r41_to_r45_what_cannot_be_guarded() {
    let vm = Vm::new(PROTECTED);
    let before = vm.machine.entries();
    let end = 1 << 40;
    let last = 0xffff_ffff_ffff_f000;
    let cases = [
        (CONSOLE + 1, GuardError::Unaligned),
        (CONSOLE + 0x800, GuardError::Unaligned),
        (RAM, GuardError::Memory),
        (RAM + 2 * BLOCK_2M - 0x1000, GuardError::Memory),
        (end, GuardError::OutOfRange),
        (last, GuardError::OutOfRange),
    ];
    for guard in ROADS {
        for (ipa, error) in cases {
            assert_eq!(guard(&vm.space, Ipa(ipa)), Err(error));
        }
        assert_eq!(guard(&Vm::new(NORMAL).space, Ipa(CONSOLE)), Err(GuardError::NotEnrolled));
    }
    assert_eq!(vm.machine.entries(), before);
    // Row 43: shared memory is still memory; so is a page that was given back.
    vm.space.share(Ipa(RAM), || false).unwrap();
    vm.space.relinquish(Ipa(RAM + 0x1000)).unwrap();
    for guard in ROADS {
        for ipa in [Ipa(RAM), Ipa(RAM + 0x1000)] {
            assert_eq!(guard(&vm.space, ipa), Err(GuardError::Memory));
        }
    }
    // Just below and above RAM there is none.
    vm.space.guard_map(Ipa(RAM - 0x1000), None).unwrap();
    vm.space.guard_map(Ipa(RAM + 2 * BLOCK_2M), None).unwrap();
}

#[test]
fn r51_r52_what_cannot_be_unguarded() {
    let vm = Vm::new(PROTECTED);
    vm.touch(RAM);
    assert_eq!(vm.space.guard_unmap(Ipa(RAM)), Err(GuardError::NotGuarded));
    assert_eq!(vm.oracle(RAM).map(|walk| walk.level), Ok(2), "the mapping is untouched");
    vm.space.guard_map(Ipa(CONSOLE), None).unwrap();
    let odd = Ipa(CONSOLE + 4);
    assert_eq!(vm.space.guard_unmap(odd), Err(GuardError::Unaligned));
    assert!(vm.space.is_guarded(odd));
    assert_eq!(vm.space.guard_unmap(Ipa(1 << 40)), Err(GuardError::NotGuarded));
}

#[test]
fn r55_to_r59_ranges_do_part_of_the_work_and_say_how_much() {
    let vm = Vm::new(PROTECTED);
    let space = &vm.space;
    assert_eq!(space.guard_map_range(Ipa(0x1000_0000), 4), Ok(4));
    assert_eq!(space.guard_map_range(Ipa(0x1000_0000), 0), Err(GuardError::EmptyRange));
    assert_eq!(space.guard_map_range(Ipa(RAM - 0x2000), 4), Ok(2));
    assert_eq!(space.guard_map_range(Ipa(RAM), 4), Err(GuardError::Memory));
    assert_eq!(space.guard_map_range(Ipa(0x2000_0000), 1 << 60), Ok(RANGE_LIMIT));
    assert_eq!(space.guard_map_range(Ipa((1 << 40) - 0x2000), u64::MAX), Ok(2));
    let top = Ipa(u64::MAX - 0xfff);
    assert_eq!(space.guard_map_range(top, 2), Err(GuardError::OutOfRange));
    assert_eq!(space.guard_unmap_range(Ipa(RAM - 0x2000), 4), Ok(2));
    assert_eq!(space.guard_unmap_range(Ipa(0x1000_0000), 9), Ok(4));
    let first = Ipa(0x1000_0000);
    assert_eq!(space.guard_unmap_range(first, 9), Err(GuardError::NotGuarded));
    assert_eq!(space.guard_unmap_range(first, 0), Err(GuardError::EmptyRange));
    assert!(!space.is_guarded(Ipa(RAM)));
}

#[test]
fn r61_a_reset_drops_marks_and_applies_the_static_ones() {
    for (word, enrolled) in [(NORMAL, false), (PROTECTED, true)] {
        let vm = Vm::new(word);
        vm.space.enroll().unwrap();
        vm.space.guard_map(Ipa(CONSOLE), None).unwrap();
        vm.space.guard_unmap(Ipa(PRE_GUARDED)).unwrap();
        vm.space.reset().unwrap();
        assert_eq!(vm.space.is_enrolled(), enrolled);
        assert!(!vm.space.is_guarded(Ipa(CONSOLE)));
        assert!(vm.space.is_guarded(Ipa(PRE_GUARDED)));
    }
}

#[test]
fn an_assigned_device_is_mapped_when_it_is_guarded() {
    let vm = Vm::new(PROTECTED);
    assert_eq!(vm.space.map_device(Ipa(DEVICE)), Err(DeviceError::NotGuarded));
    vm.space.guard_map(Ipa(DEVICE + 0x1000), None).unwrap();
    let walk = vm.oracle(DEVICE + 0x1010).unwrap();
    assert_eq!((walk.pa, walk.memattr, walk.execute), (DEVICE_PA + 0x1010, 1, false));
    assert!(vm.oracle(DEVICE).is_err());
    vm.machine.settle();
    vm.machine.take_ops();
    vm.space.guard_unmap(Ipa(DEVICE + 0x1000)).unwrap();
    assert!(vm.oracle(DEVICE + 0x1000).is_err());
    let ipa = Ipa(DEVICE + 0x1000);
    assert_eq!(vm.machine.take_ops(), [Op::Invalidate { ipa, bytes: 0x1000, leaf: 0x1000 }]);
    vm.machine.settle();
    // The caller may ask for another type.
    let kind = DeviceType::NonGatheringNonReorderingNoEarly;
    vm.space.guard_map(ipa, Some(kind)).unwrap();
    assert_eq!(vm.oracle(ipa.0).map(|walk| walk.memattr), Ok(0));
}

/// Row 63: nothing turns a guarded granule into memory before UNMAP.
#[test]
fn r63_marks_keep_memory_out() {
    let vm = Vm::new(PROTECTED);
    let hole = 0x0c00_0000;
    vm.space.guard_map(Ipa(hole), None).unwrap();
    assert!(vm.space.populate(Ipa(hole), || false).is_err());
    assert!(vm.space.load(Ipa(hole), &[1, 2, 3, 4]).is_err());
    assert!(vm.space.share(Ipa(hole), || false).is_err());
    assert!(vm.space.is_guarded(Ipa(hole)));
    assert!(vm.oracle(hole).is_err());
}

#[test]
fn enrolling_unmaps_devices_that_were_only_touched() {
    let vm = Vm::new(NORMAL);
    vm.space.map_device(Ipa(DEVICE + 8)).unwrap();
    vm.space.map_device(Ipa(DEVICE + 8)).unwrap();
    assert_eq!(vm.oracle(DEVICE).map(|walk| walk.pa), Ok(DEVICE_PA));
    assert!(!vm.space.is_guarded(Ipa(DEVICE)));
    assert_eq!(vm.space.map_device(Ipa(CONSOLE)), Err(DeviceError::NotAssigned));
    vm.space.enroll().unwrap();
    vm.machine.settle();
    assert!(vm.oracle(DEVICE).is_err());
    assert_eq!(vm.space.map_device(Ipa(DEVICE)), Err(DeviceError::NotGuarded));
    vm.space.guard_map(Ipa(DEVICE), None).unwrap();
    vm.space.map_device(Ipa(DEVICE)).unwrap();
    assert_eq!(vm.oracle(DEVICE).map(|walk| walk.pa), Ok(Pa(DEVICE_PA).0));
}
