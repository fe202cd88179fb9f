//! Every edit of stage-2 tables, judged by a TLB that forgets nothing by itself.

mod entries;
mod hostile;
mod machine;
mod space;

use std::rc::Rc;

use hyp_core_interleaved::addr::{BLOCK_1G, BLOCK_2M, Ipa, PAGE_SIZE, Pa};
use hyp_core_interleaved::memory::{IpaRange, PaRange};
use hyp_core_interleaved::stage2::{
    Attributes, EditError, Editor, Geometry, PageState, Purpose, TablePool, Tables, Vmid,
};
use proptest::prelude::*;

use machine::{Mistake, Ports};
use space::{Step, Vm};

/// A step of a guest's and what it asks for.
fn step() -> impl Strategy<Value = Step> {
    let page = prop_oneof![
        // Two blocks and the second extent, a few pages of each.
        (0u64..2, 0u64..4)
            .prop_map(|(block, page)| space::RAM + block * BLOCK_2M + page * PAGE_SIZE),
        (508u64..512).prop_map(|page| space::HIGH + page * PAGE_SIZE),
    ];
    let device = (0u64..3).prop_map(|page| space::DEVICE + page * PAGE_SIZE);
    let anywhere = prop_oneof![
        4 => device.clone(),
        2 => (0u64..4).prop_map(|page| space::CONSOLE + page * PAGE_SIZE),
        1 => (0u64..40).prop_map(|gib| gib << 30),
        1 => page.clone(),
    ];
    prop_oneof![
        6 => page.clone().prop_map(Step::Touch),
        4 => page.clone().prop_map(Step::Share),
        3 => page.clone().prop_map(Step::Unshare),
        4 => page.prop_map(Step::Relinquish),
        4 => (anywhere.clone(), any::<bool>()).prop_map(|(at, other)| Step::Guard(at, other)),
        4 => anywhere.clone().prop_map(Step::Unguard),
        1 => (anywhere.clone(), 1u64..80).prop_map(|(at, count)| Step::GuardRange(at, count)),
        1 => (anywhere, 1u64..80).prop_map(|(at, count)| Step::UnguardRange(at, count)),
        2 => device.prop_map(Step::MapDevice),
        1 => Just(Step::Enroll),
        1 => any::<bool>().prop_map(Step::Reset),
        1 => Just(Step::Replace),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_guests_calls_break_before_they_make(
        protected: bool,
        is_late: bool,
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut vm = Vm::new(protected, is_late);
        for step in steps {
            if let Err(wrong) = vm.take(step) {
                return Err(TestCaseError::fail(format!("{step:x?}: {wrong}")));
            }
        }
        prop_assert!(vm.judged() > 0);
    }

    #[test]
    fn ranges_break_before_they_make(
        is_late: bool,
        steps in proptest::collection::vec((0u8..4, extent(), extent(), any::<bool>()), 1..10),
    ) {
        let mut bench = Bench::new(is_late, Mistake::None);
        for (what, ipa, size, apart) in steps {
            let _ = bench.take(what, ipa, size, apart);
            let answer = bench.ports.0.returned();
            prop_assert_eq!(answer, Ok(()), "{} {:#x} {:#x}", what, ipa, size);
        }
    }
}

/// A size or distance of some pages, blocks and gibibytes.
fn extent() -> impl Strategy<Value = u64> {
    (0u64..3, 0u64..4, prop_oneof![Just(0u64), 0u64..4])
        .prop_map(|(gib, mib, pages)| gib * BLOCK_1G + mib * BLOCK_2M + pages * PAGE_SIZE)
}

/// Tables without a VM, for the edits that no call of a guest's leads to.
struct Bench {
    ports: Ports,
    tables: Tables,
    pool: TablePool,
}

impl Bench {
    fn new(is_late: bool, mistake: Mistake) -> Self {
        let ports = Ports::new(64, is_late, mistake);
        let geometry = Geometry::new(40).unwrap();
        let tables = Tables::new(Pa(machine::TABLES), geometry, Vmid::new(7).unwrap());
        let first = Pa(machine::TABLES + geometry.root_bytes());
        let roots = geometry.root_bytes() / PAGE_SIZE;
        for root in 0..roots {
            use hyp_core_interleaved::ports::TableMemory;
            ports.table(Pa(machine::TABLES + root * PAGE_SIZE)).unwrap().clear();
        }
        let root = hostile::Root { pa: machine::TABLES, ipa_bits: 40, level: 1 };
        ports.0.run(7, root);
        let pool = TablePool::new(PaRange::between(first, ports.frames().end()), 1000, 1000);
        Self { ports, tables, pool }
    }

    fn take(&mut self, what: u8, ipa: u64, size: u64, apart: bool) -> Result<(), EditError> {
        let range = IpaRange::new(Ipa(ipa), size).unwrap();
        let pa = Pa(0x80_0000_0000 + ipa + if apart { BLOCK_2M } else { 0 });
        let mut editor = Editor::new(self.tables, &self.ports, &mut self.pool);
        match what {
            0 | 1 => editor.map(range, pa, Attributes::RAM, PageState::Owned, Purpose::Memory),
            2 => editor.unmap(range, Purpose::Memory),
            _ => editor.take_page(Ipa(ipa), PageState::Owned).map(|_| ()),
        }
    }
}

/// What shows each mistake that the ports can make: all steps that there are, and long ranges.
fn everything(is_late: bool, mistake: Mistake) -> Result<(), String> {
    let page = |n: u64| space::RAM + n * PAGE_SIZE;
    let mut vm = Vm::new(false, is_late);
    vm.make(mistake);
    for step in [
        Step::Touch(page(0)),
        Step::Touch(page(600)),
        Step::Share(page(1)),
        Step::Relinquish(page(2)),
        Step::Touch(page(2)),
        Step::MapDevice(space::DEVICE),
        Step::Enroll,
        Step::Guard(space::DEVICE, false),
        Step::Unguard(space::DEVICE),
        Step::Guard(space::DEVICE, true),
        Step::Guard(5 << 30, false),
        Step::Reset(true),
        Step::Touch(page(0)),
        Step::Replace,
        Step::Touch(page(0)),
    ] {
        vm.take(step).map_err(|wrong| format!("{step:x?}: {wrong}"))?;
    }
    let mut bench = Bench::new(is_late, mistake);
    bench.take(0, BLOCK_2M - 4 * PAGE_SIZE, 8 * PAGE_SIZE, false).map_err(|e| e.to_string())?;
    bench.take(2, BLOCK_2M - 3 * PAGE_SIZE, 6 * PAGE_SIZE, false).map_err(|e| e.to_string())?;
    bench.ports.0.returned()
}

#[test]
fn no_mistake_of_the_ports_goes_unnoticed() {
    for is_late in [false, true] {
        assert_eq!(everything(is_late, Mistake::None), Ok(()));
        for mistake in Mistake::ALL {
            let found = everything(is_late, mistake);
            assert!(found.is_err(), "{mistake:?} is not noticed");
        }
    }
}

/// Where one TLBI and DSB is not enough, the second is seen to be missing; elsewhere nobody asks for it.
#[test]
fn a_tlbi_that_must_be_repeated_is_missed() {
    for mistake in Mistake::LATE {
        assert_eq!(everything(false, mistake), Ok(()), "{mistake:?}");
        let found = everything(true, mistake);
        assert!(found.is_err(), "{mistake:?} is not noticed");
    }
}

/// The tables of a VM that is gone are still in the TLBs when its VMID is handed out again.
#[test]
fn a_vmid_is_clean_before_its_next_vm_runs() {
    let mut vm = Vm::new(true, true);
    for round in 0..3u64 {
        for page in 0..4 {
            vm.take(Step::Touch(space::RAM + page * BLOCK_2M / 2)).unwrap();
        }
        vm.take(Step::Share(space::RAM + round * PAGE_SIZE)).unwrap();
        vm.take(Step::Replace).unwrap();
    }
    vm.make(Mistake::NoVmid);
    vm.take(Step::Touch(space::RAM)).unwrap();
    assert!(vm.take(Step::Replace).is_err());
    assert_eq!(Rc::strong_count(&vm.ports().0), 3);
}
