//! Edits of tables against a list of ranges and the oracle's walker.

use std::collections::BTreeSet;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::addr::{BLOCK_1G, BLOCK_2M, Ipa, PAGE_SIZE, Pa};
use crate::memory::{IpaRange, PaRange};
use crate::ports::TableMemory;
use crate::testing::{FakeMachine, Op, oracle};

const VMID: u8 = 7;

struct Bench<'m> {
    machine: &'m FakeMachine,
    tables: Tables,
    pool: TablePool,
}

impl<'m> Bench<'m> {
    fn new(machine: &'m FakeMachine, ipa_bits: u32) -> Self {
        let geometry = Geometry::new(ipa_bits).unwrap();
        let vmid = Vmid::new(VMID).unwrap();
        let frames = machine.frames();
        let tables = Tables::new(frames.base(), geometry, vmid);
        for root in tables.roots(&machine) {
            root.unwrap().clear();
        }
        let rest = PaRange::between(Pa(frames.base().0 + geometry.root_bytes()), frames.end());
        let start = match geometry.start() {
            Level::L0 => 0,
            Level::L1 => 1,
            Level::L2 | Level::L3 => 2,
        };
        machine.watch(frames.base(), ipa_bits, start, vmid);
        Self { machine, tables, pool: TablePool::new(rest, 1000, 1000) }
    }

    fn edit(&mut self) -> Editor<'_, &'m FakeMachine> {
        Editor::new(self.tables, &self.machine, &mut self.pool)
    }

    fn oracle(&self, ipa: u64) -> Result<oracle::Translation, oracle::Fault> {
        let read = |pa| self.machine.read_entry(pa);
        oracle::translate(self.tables.geometry().vtcr(48), self.tables.vttbr(), ipa, &read)
    }

    fn map(&mut self, ipa: u64, pa: u64, size: u64) -> Result<(), EditError> {
        let range = IpaRange::new(Ipa(ipa), size).unwrap();
        self.edit().map(range, Pa(pa), Attributes::RAM, PageState::Owned, Purpose::Memory)
    }

    fn unmap(&mut self, ipa: u64, size: u64) -> Result<(), EditError> {
        self.edit().unmap(IpaRange::new(Ipa(ipa), size).unwrap(), Purpose::Memory)
    }
}

/// Ranges that are mapped: first address, end, physical address.
#[derive(Debug, Default)]
struct Model(Vec<(u64, u64, u64)>);

impl Model {
    fn map(&mut self, ipa: u64, pa: u64, size: u64) -> bool {
        let free = self.0.iter().all(|(base, end, _)| *end <= ipa || ipa + size <= *base);
        if free {
            self.0.push((ipa, ipa + size, pa));
        }
        free
    }

    fn unmap(&mut self, ipa: u64, size: u64) {
        let cut = |(base, end, pa): (u64, u64, u64)| {
            let below = (base, end.min(ipa), pa);
            let from = base.max(ipa + size);
            let above = (from, end, pa.wrapping_add(from.wrapping_sub(base)));
            [below, above].into_iter().filter(|(base, end, _)| base < end)
        };
        self.0 = self.0.drain(..).flat_map(cut).collect();
    }

    fn translate(&self, ipa: u64) -> Option<u64> {
        let (base, _, pa) = self.0.iter().find(|(base, end, _)| (*base..*end).contains(&ipa))?;
        Some(pa + (ipa - base))
    }

    fn borders(&self) -> impl Iterator<Item = u64> {
        let around = |border: u64| [border.wrapping_sub(PAGE_SIZE), border, border + PAGE_SIZE];
        self.0.iter().flat_map(move |(base, end, _)| around(*base).into_iter().chain(around(*end)))
    }
}

/// A size or distance of some pages, blocks and gibibytes.
fn extent() -> impl Strategy<Value = u64> {
    (0u64..2, 0u64..4, prop_oneof![Just(0u64), 0u64..4])
        .prop_map(|(gib, mib, pages)| gib * BLOCK_1G + mib * BLOCK_2M + pages * PAGE_SIZE)
}

/// How far off what is mapped may lie: mostly so that blocks fit.
fn distance() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0), 2 => Just(BLOCK_2M), 1 => Just(PAGE_SIZE)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn ranges_are_mapped_and_unmapped_as_in_the_model(
        bits in prop_oneof![Just(33u32), Just(40), Just(48)],
        steps in proptest::collection::vec((any::<bool>(), extent(), extent(), distance()), 1..12),
    ) {
        let machine = FakeMachine::new(96 * PAGE_SIZE);
        let mut bench = Bench::new(&machine, bits);
        let mut model = Model::default();
        let mut points: BTreeSet<u64> = BTreeSet::from([0, (1 << bits) - PAGE_SIZE]);
        for (map, ipa, size, physical) in steps {
            let pa = 0x80_0000_0000 + ipa + physical;
            if map {
                let before = machine.entries();
                match bench.map(ipa, pa, size) {
                    Ok(()) => prop_assert!(size == 0 || model.map(ipa, pa, size)),
                    Err(EditError::Occupied) => {
                        prop_assert!(!model.map(ipa, pa, size));
                        prop_assert_eq!(machine.entries(), before);
                    }
                    Err(EditError::NoTables) => prop_assert_eq!(machine.entries(), before),
                    Err(error) => return Err(TestCaseError::fail(std::format!("{error}"))),
                }
            } else {
                bench.unmap(ipa, size).unwrap();
                model.unmap(ipa, size);
            }
            machine.settle();
            points.extend(model.borders());
            points.extend([ipa, ipa + size]);
            for point in points.iter().copied().filter(|point| point >> bits == 0) {
                let expected = model.translate(point);
                let found = bench.oracle(point);
                prop_assert_eq!(found.ok().map(|found| found.pa), expected);
                let read = bench.tables.lookup(&&machine, Ipa(point));
                match (read, found) {
                    (Leaf::Valid(mapping), Ok(found)) => {
                        prop_assert_eq!(mapping.pa.0, found.pa);
                        prop_assert_eq!(mapping.size, 1 << (12 + 9 * (3 - found.level)));
                        prop_assert!(found.read && found.write && found.execute);
                        prop_assert_eq!(found.memattr, 15);
                    }
                    (Leaf::Empty, Err(oracle::Fault::Translation { entry: 0, .. })) => {}
                    other => return Err(TestCaseError::fail(std::format!("{other:?}"))),
                }
            }
        }
    }
}

#[test]
fn the_largest_leaves_that_fit_are_used() {
    let machine = FakeMachine::new(32 * PAGE_SIZE);
    let mut bench = Bench::new(&machine, 40);
    bench.map(BLOCK_1G - BLOCK_2M, 5 * BLOCK_1G - BLOCK_2M, 2 * BLOCK_1G + PAGE_SIZE).unwrap();
    let levels =
        [(BLOCK_1G - BLOCK_2M, 2), (BLOCK_1G, 1), (2 * BLOCK_1G, 2), (3 * BLOCK_1G - BLOCK_2M, 3)];
    for (ipa, level) in levels {
        assert_eq!(bench.oracle(ipa).unwrap().level, level, "{ipa:#x}");
    }
    // A physical address that is less aligned gives smaller leaves.
    bench.map(8 * BLOCK_1G, PAGE_SIZE, BLOCK_2M).unwrap();
    assert_eq!(bench.oracle(8 * BLOCK_1G).unwrap().level, 3);
}

#[test]
fn a_split_breaks_before_it_makes() {
    let machine = FakeMachine::new(16 * PAGE_SIZE);
    let mut bench = Bench::new(&machine, 40);
    bench.map(BLOCK_1G, BLOCK_1G, BLOCK_1G).unwrap();
    machine.take_ops();
    let page = Ipa(BLOCK_1G + 3 * BLOCK_2M + 5 * PAGE_SIZE);
    bench.edit().set_state(page, PageState::Owned, PageState::SharedOwned).unwrap();
    machine.settle();
    let block = page.0 & !(BLOCK_2M - 1);
    let expected = [
        Op::Invalidate { ipa: Ipa(BLOCK_1G), bytes: BLOCK_1G, leaf: BLOCK_1G },
        Op::Publish,
        Op::Invalidate { ipa: Ipa(block), bytes: BLOCK_2M, leaf: BLOCK_2M },
        Op::Publish,
    ];
    assert_eq!(machine.take_ops(), expected);
    assert_eq!(bench.oracle(page.0).map(|found| (found.pa, found.software)), Ok((page.0, 1)));
    let other = bench.oracle(page.0 + PAGE_SIZE).unwrap();
    assert_eq!((other.pa, other.software, other.level), (page.0 + PAGE_SIZE, 0, 3));
    assert_eq!(bench.oracle(block + BLOCK_2M).unwrap().level, 2);
    // The page's own state changes without any maintenance.
    bench.edit().set_state(page, PageState::SharedOwned, PageState::Owned).unwrap();
    machine.settle();
    assert_eq!(machine.take_ops(), []);
}

#[test]
fn an_unmapped_page_has_left_the_tlbs() {
    let machine = FakeMachine::new(16 * PAGE_SIZE);
    let mut bench = Bench::new(&machine, 40);
    bench.map(0, BLOCK_2M, 4 * PAGE_SIZE).unwrap();
    machine.take_ops();
    let pa = bench.edit().take_page(Ipa(2 * PAGE_SIZE), PageState::Owned).unwrap();
    assert_eq!(pa, Pa(BLOCK_2M + 2 * PAGE_SIZE));
    let gone = Op::Invalidate { ipa: Ipa(2 * PAGE_SIZE), bytes: PAGE_SIZE, leaf: PAGE_SIZE };
    assert_eq!(machine.take_ops(), [gone]);
    machine.settle();
}

#[test]
fn marks_are_no_business_of_the_tlbs_and_stay_when_a_range_is_unmapped() {
    let machine = FakeMachine::new(16 * PAGE_SIZE);
    let mut bench = Bench::new(&machine, 40);
    bench.edit().mark(Ipa(PAGE_SIZE)).unwrap();
    bench.map(2 * PAGE_SIZE, BLOCK_2M, PAGE_SIZE).unwrap();
    assert!(machine.take_ops().iter().all(|op| *op == Op::Publish));
    bench.unmap(0, BLOCK_1G).unwrap();
    assert_eq!(bench.tables.lookup(&&machine, Ipa(PAGE_SIZE)), Leaf::Guarded);
    // The walker of the architecture sees nothing.
    assert!(matches!(
        bench.oracle(PAGE_SIZE),
        Err(oracle::Fault::Translation { level: 3, entry }) if entry & 1 == 0 && entry != 0
    ));
    assert_eq!(bench.map(0, 0, BLOCK_2M), Err(EditError::Occupied));
    let pa = Pa(BLOCK_2M);
    let leaf = LeafEntry { pa, attributes: Attributes::RAM, state: PageState::Owned };
    let mapped = bench.edit().map_leaf(Ipa(PAGE_SIZE), Level::L3, leaf, Purpose::Memory);
    assert_eq!(mapped, Err(EditError::Occupied));
    bench.edit().clear_mark(Ipa(PAGE_SIZE)).unwrap();
    assert_eq!(bench.tables.lookup(&&machine, Ipa(PAGE_SIZE)), Leaf::Empty);
    machine.settle();
}

/// A change to the tables that takes frames.
type Change = fn(&mut Bench<'_>) -> Result<(), EditError>;

#[test]
fn running_out_of_frames_anywhere_changes_nothing() {
    let changes: [(Change, u64); 6] = [
        (|bench| bench.edit().mark(Ipa(17 * BLOCK_1G)), 3),
        (|bench| bench.map(20 * BLOCK_1G - PAGE_SIZE, 0, 2 * PAGE_SIZE), 4),
        (|bench| bench.map(512 * BLOCK_1G - PAGE_SIZE, 0, BLOCK_2M), 5),
        (|bench| bench.unmap(BLOCK_1G + PAGE_SIZE, BLOCK_1G / 2), 3),
        (|bench| bench.edit().take_page(Ipa(BLOCK_1G), PageState::Owned).map(|_| ()), 2),
        (
            |bench| {
                let (from, to) = (PageState::Owned, PageState::SharedOwned);
                bench.edit().set_state(Ipa(2 * BLOCK_1G - 1).page(), from, to)
            },
            2,
        ),
    ];
    for (number, (change, frames)) in changes.into_iter().enumerate() {
        let mut least = None;
        for left in 0..=frames {
            let machine = FakeMachine::new(32 * PAGE_SIZE);
            let mut bench = Bench::new(&machine, 48);
            bench.map(BLOCK_1G, BLOCK_1G, BLOCK_1G).unwrap();
            bench.pool.leave(left);
            machine.settle();
            machine.take_ops();
            let before = machine.entries();
            match change(&mut bench) {
                Ok(()) => {
                    least.get_or_insert(left);
                }
                Err(EditError::NoTables) => {
                    assert_eq!(machine.entries(), before, "change {number}, {left} frames");
                    assert_eq!(machine.take_ops(), []);
                }
                Err(error) => panic!("change {number}: {error}"),
            }
            machine.settle();
        }
        assert!(least.is_some(), "change {number} never succeeds");
    }
}

#[test]
fn damaged_tables_are_noticed() {
    let machine = FakeMachine::new(16 * PAGE_SIZE);
    let mut bench = Bench::new(&machine, 40);
    let port = &machine;
    let root = port.table(machine.frames().base()).unwrap();
    root.entry(3).unwrap().store(0xdead_b003, core::sync::atomic::Ordering::Release);
    assert_eq!(bench.edit().mark(Ipa(3 * BLOCK_1G)), Err(EditError::Damaged));
    assert_eq!(bench.tables.lookup(&&machine, Ipa(3 * BLOCK_1G)), Leaf::Empty);
}
