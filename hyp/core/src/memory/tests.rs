//! Address spaces: random histories against the model, population, reset, loading.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::addr::{BLOCK_2M, Ipa, PAGE_SIZE, Pa};
use crate::bus::Device;
use crate::guard::GuardError;
use crate::share::ShareError;
use crate::stage2::{Leaf, PageState};
use crate::testing::model::Model;
use crate::testing::oracle::Fault;
use crate::testing::vm::{
    CONSOLE, DEVICE, DEVICE_PA, GIC, HIGH, HIGH_PA, PRE_GUARDED, RAM, RAM_PA, Space, Vm, layout,
    range, window,
};
use crate::testing::{Entry, FakeMachine, Op};

#[derive(Debug, Clone)]
enum Step {
    Store(u64, u8),
    Touch(u64, u8),
    Enroll,
    Map(u64),
    Unmap(u64),
    MapRange(u64, u64),
    UnmapRange(u64, u64),
    Share(u64),
    Unshare(u64),
    Relinquish(u64),
    Reset,
}

/// Addresses at borders and some that no call may take.
fn address() -> impl Strategy<Value = u64> {
    let page = |base: u64, pages: u64| (0..pages).prop_map(move |n| base + n * PAGE_SIZE);
    prop_oneof![
        4 => page(RAM, 4),
        2 => page(RAM + BLOCK_2M - 2 * PAGE_SIZE, 4),
        1 => page(RAM + 2 * BLOCK_2M - PAGE_SIZE, 2),
        1 => page(HIGH, 2),
        4 => page(CONSOLE - PAGE_SIZE, 3),
        2 => page(GIC, 2),
        3 => page(DEVICE - PAGE_SIZE, 4),
        2 => page(PRE_GUARDED - PAGE_SIZE, 3),
        1 => page(RAM - 2 * PAGE_SIZE, 3),
        1 => prop_oneof![
            Just(0),
            Just(0x10_0000_0000),
            Just(u64::MAX - 0xfff),
            Just(1 << 40),
            Just((1 << 40) - PAGE_SIZE),
            Just(CONSOLE + 8),
            Just(RAM + 4),
        ],
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let count = prop_oneof![0u64..5, Just(600), Just(1 << 60)];
    prop_oneof![
        3 => (address(), 1u8..).prop_map(|(ipa, value)| Step::Store(ipa, value)),
        2 => (address(), 0u8..8).prop_map(|(ipa, pieces)| Step::Touch(ipa, pieces)),
        1 => Just(Step::Enroll),
        4 => address().prop_map(Step::Map),
        3 => address().prop_map(Step::Unmap),
        1 => (address(), count.clone()).prop_map(|(ipa, count)| Step::MapRange(ipa, count)),
        1 => (address(), count).prop_map(|(ipa, count)| Step::UnmapRange(ipa, count)),
        4 => address().prop_map(Step::Share),
        3 => address().prop_map(Step::Unshare),
        3 => address().prop_map(Step::Relinquish),
        1 => Just(Step::Reset),
    ]
}

/// Touches `ipa` with an interrupt after each `pieces` looks.
fn touch(vm: &Vm, ipa: u64, pieces: u8) -> bool {
    for _ in 0..64 {
        let mut looks = 0;
        let interrupted = || {
            looks += 1;
            looks > pieces
        };
        match vm.space.populate(Ipa(ipa), interrupted) {
            Ok(Populated::Mapped) => return true,
            Ok(Populated::Interrupted) => {}
            Ok(Populated::Busy) => panic!("nobody else is there"),
            Err(MemoryError::NotMemory) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no end to populating {ipa:#x}");
}

fn apply(vm: &Vm, model: &mut Model, step: &Step) {
    let space = &vm.space;
    match *step {
        Step::Store(ipa, value) => {
            if touch(vm, ipa, 255) {
                let pa = vm.oracle(ipa).unwrap().pa & !0xfff;
                vm.machine.poke(Pa(pa), value);
            }
            model.store(ipa, value);
        }
        Step::Touch(ipa, pieces) => assert_eq!(touch(vm, ipa, pieces), model.touch(ipa)),
        Step::Enroll => {
            space.enroll().unwrap();
            model.enroll();
        }
        Step::Map(ipa) => assert_eq!(space.guard_map(Ipa(ipa), None).is_ok(), model.map(ipa)),
        Step::Unmap(ipa) => assert_eq!(space.guard_unmap(Ipa(ipa)).is_ok(), model.unmap(ipa)),
        Step::MapRange(ipa, count) => {
            let done = space.guard_map_range(Ipa(ipa), count).unwrap_or(0);
            assert_eq!(done, model.map_range(ipa, count));
        }
        Step::UnmapRange(ipa, count) => {
            let done = space.guard_unmap_range(Ipa(ipa), count).unwrap_or(0);
            assert_eq!(done, model.unmap_range(ipa, count));
        }
        Step::Share(ipa) => {
            assert_eq!(space.share(Ipa(ipa), || false).is_ok(), model.share(ipa));
        }
        Step::Unshare(ipa) => assert_eq!(space.unshare(Ipa(ipa)).is_ok(), model.unshare(ipa)),
        Step::Relinquish(ipa) => {
            assert_eq!(space.relinquish(Ipa(ipa)).is_ok(), model.relinquish(ipa));
        }
        Step::Reset => {
            space.reset().unwrap();
            model.reset();
        }
    }
    vm.machine.settle();
}

fn real(ipa: u64) -> u64 {
    if ipa >= HIGH { ipa - HIGH + HIGH_PA } else { ipa - RAM + RAM_PA }
}

/// Compares what the architecture and the lock-free readers see at `ipa` with the model.
fn compare(vm: &Vm, model: &Model, ipa: u64) {
    let page = ipa & !0xfff;
    let walked = vm.oracle(ipa);
    assert_eq!(vm.space.is_enrolled(), model.enrolled);
    assert_eq!(vm.space.is_memory(Ipa(ipa)), model.is_memory(ipa));
    assert_eq!(vm.space.is_guarded(Ipa(ipa)), model.marks.contains(&page), "{ipa:#x}");
    if let Some(page) = model.pages.get(&page) {
        let walked = walked.unwrap();
        assert_eq!(walked.pa, real(ipa));
        assert!(walked.read && walked.write && walked.execute && walked.memattr == 15);
        assert_eq!(walked.software, u64::from(page.shared));
        assert_eq!(vm.machine.peek(Pa(walked.pa & !0xfff)), page.value);
        let Leaf::Valid(mapping) = vm.space.lookup(Ipa(ipa)) else { panic!("{ipa:#x}") };
        let state = if page.shared { PageState::SharedOwned } else { PageState::Owned };
        assert_eq!((mapping.pa, mapping.state), (Pa(real(ipa)), state));
    } else if model.marks.contains(&page) && (DEVICE..DEVICE + 0x2000).contains(&page) {
        let walked = walked.unwrap();
        assert_eq!(walked.pa, ipa - DEVICE + DEVICE_PA);
        assert!(walked.read && walked.write && !walked.execute && walked.memattr == 1);
    } else {
        assert!(matches!(walked, Err(Fault::Translation { .. })), "{ipa:#x}: {walked:?}");
        let guarded = model.marks.contains(&page);
        let leaf = if guarded { Leaf::Guarded } else { Leaf::Empty };
        assert_eq!(vm.space.lookup(Ipa(ipa)), leaf, "{ipa:#x}");
    }
}

fn run(word: u64, steps: &[Step]) {
    let vm = Vm::new(word);
    let bits = vm.space.vm_type().ipa_bits();
    let memory = vec![RAM..RAM + 2 * BLOCK_2M, HIGH..HIGH + BLOCK_2M];
    let protected = vm.space.is_protected();
    let mut model = Model::new(protected, bits, memory, BTreeSet::from([PRE_GUARDED]));
    let mut points: BTreeSet<u64> = [RAM, HIGH, CONSOLE, GIC, DEVICE, PRE_GUARDED].into();
    for step in steps {
        apply(&vm, &mut model, step);
        match *step {
            Step::Store(ipa, _)
            | Step::Touch(ipa, _)
            | Step::Map(ipa)
            | Step::Unmap(ipa)
            | Step::MapRange(ipa, _)
            | Step::UnmapRange(ipa, _)
            | Step::Share(ipa)
            | Step::Unshare(ipa)
            | Step::Relinquish(ipa) => {
                points.extend([ipa, ipa.wrapping_sub(PAGE_SIZE), ipa.saturating_add(PAGE_SIZE)]);
            }
            Step::Enroll | Step::Reset => {}
        }
        for point in &points {
            compare(&vm, &model, *point);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_history_ends_as_in_the_model(
        word in prop_oneof![Just(0u64), Just(0x20), Just(0x30), Just(0x8000_0000), Just(0x8000_0030)],
        steps in proptest::collection::vec(step(), 1..24),
    ) {
        run(word, &steps);
    }
}

#[test]
fn a_block_is_zeroed_told_and_then_mapped() {
    let vm = Vm::new(0x8000_0000);
    vm.touch(RAM + 0x1234);
    vm.machine.settle();
    let ops = vm.machine.take_ops();
    let zeroes = (0..32).map(|n| Op::Zero { pa: Pa(RAM_PA + n * 0x1_0000), bytes: 0x1_0000 });
    let expected: Vec<Op> = zeroes.chain([Op::SynchronizeFetches, Op::Publish]).collect();
    assert_eq!(ops, expected);
    assert_eq!(vm.oracle(RAM).unwrap().level, 2);
    assert!(vm.machine.is_zero(Pa(RAM_PA + BLOCK_2M - PAGE_SIZE)));
    assert!(matches!(vm.oracle(RAM + BLOCK_2M), Err(Fault::Translation { .. })));
}

#[test]
fn an_interrupt_stops_the_work_and_nothing_is_done_twice() {
    let vm = Vm::new(0);
    let mut stops = 0;
    while vm.space.populate(Ipa(RAM), || true).unwrap() == Populated::Interrupted {
        assert_eq!(vm.space.lookup(Ipa(RAM)), Leaf::Empty);
        stops += 1;
    }
    assert_eq!(stops, 31);
    let ops = vm.machine.take_ops();
    let zeroes: BTreeSet<u64> = ops
        .iter()
        .filter_map(|op| if let Op::Zero { pa, .. } = op { Some(pa.0) } else { None })
        .collect();
    assert_eq!((zeroes.len(), ops.len()), (32, 34));
}

#[test]
fn blocks_that_were_set_aside_do_not_crowd_each_other_out() {
    let mut layout = layout(0);
    layout.memory = MemoryMap::new();
    layout.memory.insert(Ipa(RAM), Pa(RAM_PA), 40 * BLOCK_2M).unwrap();
    let vm = Vm::with(layout);
    for _ in 0..40 {
        for block in 0..40 {
            let _ = vm.space.populate(Ipa(RAM + block * BLOCK_2M), || true).unwrap();
        }
    }
    for block in 0..40 {
        vm.touch(RAM + block * BLOCK_2M);
        vm.machine.settle();
    }
}

#[test]
fn vcpus_that_touch_one_block_zero_it_once() {
    let vm = Vm::new(0);
    let busy = AtomicUsize::new(0);
    thread::scope(|scope| {
        for cpu in 0..4u64 {
            let (vm, busy) = (&vm, &busy);
            scope.spawn(move || {
                loop {
                    match vm.space.populate(Ipa(RAM + cpu * PAGE_SIZE), || cpu == 0).unwrap() {
                        Populated::Mapped => break,
                        Populated::Busy => _ = busy.fetch_add(1, Ordering::Relaxed),
                        Populated::Interrupted => thread::yield_now(),
                    }
                }
            });
        }
    });
    vm.machine.settle();
    let ops = vm.machine.take_ops();
    assert_eq!(ops.iter().filter(|op| matches!(op, Op::Zero { .. })).count(), 32);
    assert_eq!(vm.oracle(RAM + PAGE_SIZE).map(|walk| walk.pa), Ok(RAM_PA + PAGE_SIZE));
}

#[test]
fn vcpus_at_odds_leave_the_tables_whole() {
    let vm = Vm::new(0x8000_0000);
    let mapped = AtomicUsize::new(0);
    let shared = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for page in 0..24 {
                    let ipa = Ipa(CONSOLE + page * BLOCK_2M / 4);
                    mapped.fetch_add(
                        usize::from(vm.space.guard_map(ipa, None).is_ok()),
                        Ordering::Relaxed,
                    );
                    let ipa = Ipa(RAM + page * PAGE_SIZE);
                    let answer = loop {
                        match vm.space.share(ipa, || false) {
                            Err(ShareError::Again) => {}
                            answer => break answer,
                        }
                    };
                    shared.fetch_add(usize::from(answer.is_ok()), Ordering::Relaxed);
                    assert!(vm.space.is_guarded(Ipa(CONSOLE)));
                }
            });
        }
    });
    vm.machine.settle();
    // Marking again is success for each (row 62); a page is shared by exactly one.
    assert_eq!((mapped.into_inner(), shared.into_inner()), (4 * 24, 24));
    for page in 0..24 {
        assert_eq!(vm.space.lookup(Ipa(CONSOLE + page * BLOCK_2M / 4)), Leaf::Guarded);
        assert_eq!(vm.oracle(RAM + page * PAGE_SIZE).unwrap().software, 1);
    }
    assert_eq!(vm.oracle(RAM + 24 * PAGE_SIZE).unwrap().software, 0);
}

#[test]
fn a_reader_without_the_lock_sees_the_page_or_nothing() {
    let vm = Vm::new(0x8000_0000);
    let watched = RAM + 7 * PAGE_SIZE;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                match vm.space.lookup(Ipa(watched + 8)) {
                    Leaf::Valid(mapping) => {
                        assert_eq!(mapping.pa, Pa(RAM_PA + 7 * PAGE_SIZE + 8));
                        assert_eq!(mapping.state, PageState::Owned);
                    }
                    Leaf::Empty => {}
                    Leaf::Guarded => panic!("memory is never guarded"),
                }
            }
        });
        vm.touch(watched);
        for _ in 0..20 {
            // The first time this splits the block; then it unmaps and maps the neighbour.
            vm.space.share(Ipa(RAM), || false).unwrap();
            vm.space.relinquish(Ipa(RAM + PAGE_SIZE)).unwrap();
            vm.touch(RAM + PAGE_SIZE);
            vm.space.unshare(Ipa(RAM)).unwrap();
        }
        done.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    vm.machine.settle();
}

#[test]
fn a_payload_is_loaded_between_zeroes() {
    let vm = Vm::new(0);
    let payload: Vec<u8> = (0..BLOCK_2M + 0x1800).map(|n| (n % 251) as u8 + 1).collect();
    let start = RAM + 0x1f_e400;
    vm.space.load(Ipa(start), &payload).unwrap();
    vm.machine.settle();
    for (offset, byte) in [(0, 1), (0xbff, (0xbff % 251) as u8 + 1)] {
        assert_eq!(vm.machine.peek(Pa(RAM_PA + 0x1f_e400 + offset)), byte);
    }
    let last = payload.len() as u64 - 1;
    assert_eq!(vm.machine.peek(Pa(real(start + last))), *payload.last().unwrap());
    // Around it there is nothing of what was there before.
    assert_eq!(vm.machine.peek(Pa(RAM_PA + 0x1f_e3ff)), 0);
    assert_eq!(vm.machine.peek(Pa(real(start + last + 1))), 0);
    for page in [0, 0x1f_d000] {
        assert!(vm.machine.is_zero(Pa(RAM_PA + page)));
    }
    // The middle was not zeroed first.
    let ops = vm.machine.take_ops();
    let zeroed: u64 =
        ops.iter().map(|op| if let Op::Zero { bytes, .. } = op { *bytes } else { 0 }).sum();
    assert_eq!(zeroed, 0x1f_f000 + 0x1000);
    let mut back = vec![0; payload.len()];
    vm.space.read(Ipa(start), &mut back).unwrap();
    assert_eq!(back, payload);
    // A second piece in a block that is there leaves the first alone.
    vm.space.load(Ipa(RAM), &[9; 16]).unwrap();
    assert_eq!(vm.machine.peek(Pa(RAM_PA)), 9);
    assert_eq!(vm.machine.peek(Pa(RAM_PA + 0x1f_e400)), 1);
    assert_eq!(vm.space.load(Ipa(RAM + 2 * BLOCK_2M - 1), &[1, 2]), Err(MemoryError::NotMemory));
    assert_eq!(vm.space.read(Ipa(HIGH), &mut [0]), Err(MemoryError::NotPopulated));
}

#[test]
fn a_reset_leaves_nothing_behind() {
    for word in [0, 0x8000_0000] {
        let vm = Vm::new(word);
        let fresh = vm.machine.entries();
        let used = vm.space.table_use();
        for _ in 0..25 {
            vm.space.enroll().unwrap();
            vm.touch(RAM);
            vm.machine.poke(Pa(RAM_PA), 0x77);
            vm.space.share(Ipa(RAM), || false).unwrap();
            vm.space.guard_map(Ipa(DEVICE), None).unwrap();
            vm.space.guard_map(Ipa(0), None).unwrap();
            vm.space.guard_unmap(Ipa(PRE_GUARDED)).unwrap();
            let _ = vm.space.populate(Ipa(HIGH), || true).unwrap();
            vm.space.reset().unwrap();
            vm.machine.settle();
        }
        // The tables may lie elsewhere in the pool; what they say is the same.
        let places = |entries: Vec<Entry>| -> Vec<_> {
            entries.into_iter().map(|entry| (entry.ipa, entry.level)).collect()
        };
        assert_eq!(places(vm.machine.entries()), places(fresh));
        assert_eq!(vm.space.table_use(), used);
        assert_eq!(vm.space.is_enrolled(), word != 0);
        assert!(vm.space.is_guarded(Ipa(PRE_GUARDED)) && !vm.space.is_guarded(Ipa(0)));
        vm.touch(RAM);
        assert!(vm.machine.is_zero(Pa(RAM_PA)));
        // A block that was being zeroed is begun anew.
        let _ = vm.space.populate(Ipa(HIGH), || true).unwrap();
        vm.machine.poke(Pa(HIGH_PA), 0x55);
        vm.space.reset().unwrap();
        vm.touch(HIGH);
        assert!(vm.machine.is_zero(Pa(HIGH_PA)));
    }
}

#[test]
fn marks_cannot_use_up_what_memory_needs() {
    let vm = Vm::new(0x8000_0000);
    let mut marked = 0;
    let refused = (0..).map(|n| Ipa(0x1_0000_0000 + n * BLOCK_2M)).find_map(|ipa| {
        let answer = vm.space.guard_map(ipa, None);
        marked += u64::from(answer.is_ok());
        answer.err()
    });
    assert!(matches!(refused, Some(GuardError::NoTables)));
    assert_eq!(vm.space.table_use().marks, MARK_TABLES);
    // A table of level 2 for each 512 of level 3, and those of the page guarded at the start.
    assert_eq!(marked, MARK_TABLES - 3);
    // What is marked stays marked and can be marked again; its neighbours have a table.
    vm.space.guard_map(Ipa(0x1_0000_0000), None).unwrap();
    vm.space.guard_map(Ipa(0x1_0000_1000), None).unwrap();
    for extent in [RAM, RAM + BLOCK_2M, HIGH] {
        vm.space.share(Ipa(extent), || false).unwrap();
        vm.space.relinquish(Ipa(extent + PAGE_SIZE)).unwrap();
    }
    vm.machine.settle();
}

#[test]
fn tables_start_small() {
    let mut layout = layout(0);
    layout.memory = MemoryMap::new();
    layout.memory.insert(Ipa(RAM), Pa(RAM_PA), 1 << 30).unwrap();
    // 2 MiB and 8 KiB for each GiB, besides the root and the marks.
    let (bytes, align) = layout.table_bytes().unwrap();
    let gib = (2 << 20) + (8 << 10);
    assert!(bytes - MARK_TABLES * PAGE_SIZE - align <= gib, "{bytes:#x}");
    layout.memory.insert(Ipa(0x1_0000_0000), Pa(1 << 34), 63 << 30).unwrap();
    let (bytes, _) = layout.table_bytes().unwrap();
    assert!(bytes - MARK_TABLES * PAGE_SIZE - align <= 64 * gib, "{bytes:#x}");
}

#[test]
fn a_layout_that_contradicts_itself_is_refused() {
    let machine: &'static FakeMachine =
        std::boxed::Box::leak(std::boxed::Box::new(FakeMachine::new(300 << 12)));
    let make = |change: fn(&mut SpaceLayout)| {
        let mut layout = layout(0x20);
        change(&mut layout);
        Space::new(machine, layout, machine.frames()).map(|_| ())
    };
    assert_eq!(make(|_| ()), Ok(()));
    let over = make(|layout| layout.memory.insert(Ipa(1 << 32), Pa(1 << 35), BLOCK_2M).unwrap());
    assert_eq!(over, Err(SpaceError::OutOfRange { range: range(1 << 32, BLOCK_2M), bits: 32 }));
    assert_eq!(
        make(|layout| layout.guarded.push(range(RAM, 0x1000))),
        Err(SpaceError::OnMemory(range(RAM, 0x1000)))
    );
    assert_eq!(
        make(|layout| layout.guarded.push(range(0x100, 0x1000))),
        Err(SpaceError::Unaligned(range(0x100, 0x1000)))
    );
    assert_eq!(
        make(|layout| layout.bus.push(window(DEVICE, 0x1000, Device::Console))),
        Err(SpaceError::Overlap(range(DEVICE, 0x1000)))
    );
    assert_eq!(
        make(|layout| layout.bus.push(window(0xc00_0000, 512 << 12, Device::Console))),
        Err(SpaceError::TooManyPages(512))
    );
    let small = PaRange::new(machine.frames().base(), 0x1_0000).unwrap();
    assert!(matches!(Space::new(machine, layout(0), small), Err(SpaceError::Tables { .. })));
    let odd = PaRange::between(Pa(FakeMachine::TABLES + 0x1000), machine.frames().end());
    assert!(matches!(Space::new(machine, layout(0), odd), Err(SpaceError::Tables { .. })));
}
