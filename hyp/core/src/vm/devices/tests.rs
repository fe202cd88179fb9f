//! The short cut to emulated devices against the whole road.

use std::sync::Arc;
use std::vec::Vec;

use super::*;
use crate::addr::Va;
use crate::esr::{Cause, Width};
use crate::events::Reason;
use crate::fault::{Fault, Kind, Verdict, judge};
use crate::features::Features;
use crate::memory::Populated;
use crate::psci::Start;
use crate::testing::vm::{self, CONSOLE, DEVICE, GIC, PRE_GUARDED, RAM};
use crate::vgic::GicVersion;

const PROTECTED: u64 = 0x8000_0000;

fn machine(word: u64) -> Vm<&'static crate::testing::FakeMachine> {
    let space = Arc::into_inner(vm::Vm::new(word).space).unwrap();
    let start = Start { entry: RAM, context: 0, big_endian: false };
    Vm::new(space, Features::empty(), 1, GicVersion::V3, 5, start)
}

/// What a fault for another reason finds: a page that is mapped by now, for these uses.
#[test]
fn memory_may_be_written_and_executed_and_a_device_not_executed() {
    let vm = machine(PROTECTED);
    assert_eq!(vm.leaf(Ipa(RAM), Use::Read), LeafState::Absent { is_open: false });
    assert_eq!(vm.space.populate(Ipa(RAM), || false), Ok(Populated::Mapped));
    vm.space.guard_map(Ipa(DEVICE), None).unwrap();
    for (page, needed, state) in [
        (RAM, Use::Read, LeafState::Permits),
        (RAM, Use::Write, LeafState::Permits),
        (RAM, Use::Fetch, LeafState::Permits),
        (DEVICE, Use::Read, LeafState::Permits),
        (DEVICE, Use::Write, LeafState::Permits),
        (DEVICE, Use::Fetch, LeafState::Denies),
        (CONSOLE, Use::Read, LeafState::Absent { is_open: false }),
    ] {
        assert_eq!(vm.leaf(Ipa(page), needed), state, "{page:#x} {needed:?}");
    }
}

/// Row 72: the guest's tables may put any page behind the distributor's first one.
#[test]
fn row_72_no_register_lies_across_two_pages() {
    let vm = machine(PROTECTED);
    for page in [GIC, GIC + 0x1000] {
        vm.space.guard_map(Ipa(page), None).unwrap();
    }
    for (offset, width, is_served) in [
        (0xff8, Width::Double, true),
        (0xffc, Width::Word, true),
        (0xffc, Width::Double, false),
        (0xffd, Width::Word, false),
        (0xfff, Width::Half, false),
        (0xfff, Width::Byte, true),
    ] {
        let direction = Direction::Read;
        let access = Access::new(direction, width, 1, false, true);
        let fault = Fault {
            ipa: Ipa(GIC + offset),
            va: Va(GIC + offset),
            cause: Cause::Translation { level: 3 },
            kind: Kind::Data { direction, access: Some(access) },
            is_fetch: false,
        };
        match judge(&vm, &fault) {
            Verdict::Emulate { .. } => assert!(is_served, "{offset:#x}"),
            Verdict::Abort { reason, .. } => {
                assert_eq!((reason, is_served), (Reason::NoDevice, false), "{offset:#x}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_open_device_is_where_the_road_ends() {
    for word in [0, PROTECTED] {
        let vm = machine(word);
        let pages = [GIC, GIC + 0xf000, GIC + 0x1_0000, CONSOLE, DEVICE, PRE_GUARDED, RAM, 0];
        for guarded in [None, Some(GIC), Some(GIC + 0xf000), Some(CONSOLE)] {
            if let Some(page) = guarded {
                vm.space.enroll().unwrap();
                vm.space.guard_map(Ipa(page), None).unwrap();
            }
            let mut opened = Vec::new();
            let mut refused = 0;
            for ipa in pages.iter().flat_map(|page| [0, 1, 4, 8, 0xffc, 0xfff].map(|at| page + at))
            {
                for (width, direction) in [
                    (Width::Byte, Direction::Write),
                    (Width::Word, Direction::Read),
                    (Width::Double, Direction::Write),
                ] {
                    let access = Access::new(direction, width, 1, false, true);
                    let fault = Fault {
                        ipa: Ipa(ipa),
                        va: Va(ipa),
                        cause: Cause::Translation { level: 3 },
                        kind: Kind::Data { direction, access: Some(access) },
                        is_fetch: false,
                    };
                    let verdict = judge(&vm, &fault);
                    let is_unguarded =
                        matches!(verdict, Verdict::Abort { reason: Reason::Unguarded, .. });
                    let is_aligned = ipa % width.bytes() == 0;
                    refused += u32::from(is_aligned && is_unguarded);
                    let at = vm.space.register(Ipa(ipa));
                    if let Verdict::Emulate { device, access: found } = verdict {
                        assert_eq!((Some((device, true)), found), (at, access), "{ipa:#x}");
                        opened.push(ipa & !0xfff);
                    } else if is_aligned {
                        assert!(at.is_none_or(|(_, is_open)| !is_open), "{ipa:#x}");
                    }
                }
            }
            opened.dedup();
            assert_eq!(refused == 0, word == 0 && guarded.is_none());
            let expected: &[u64] = match (guarded, word) {
                (None, PROTECTED) => &[],
                (None, _) => &[GIC, GIC + 0xf000, CONSOLE],
                (Some(GIC), _) => &[GIC],
                (Some(CONSOLE), _) => &[GIC, GIC + 0xf000, CONSOLE],
                (Some(_), _) => &[GIC, GIC + 0xf000],
            };
            assert_eq!(opened, expected, "{word:#x} {guarded:x?}");
        }
    }
}
