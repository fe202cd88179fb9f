//! The ioremap hooks: what is guarded after any sequence of them.

use std::collections::BTreeSet;

use guest_shim::fake::{FakeHypervisor, Quirks};
use guest_shim::{
    Dialect, Error, Guard, IoremapGuard, MmioGuardedHypervisor, MmioRegion, Place, Services,
};
use proptest::prelude::*;

const PAGE: u64 = 4096;
const UART: u64 = 0x900_0000;
const RAM: u64 = 0x4000_0000;

type Hooks<'s, 'f, const N: usize> = IoremapGuard<Guard<&'s &'f FakeHypervisor>, [Place; N]>;

fn hooks<'s, 'f, const N: usize>(services: &'s Services<&'f FakeHypervisor>) -> Hooks<'s, 'f, N> {
    IoremapGuard::new(services.mmio_guard().unwrap(), PAGE, [Place::FREE; N]).unwrap()
}

fn found(fake: &FakeHypervisor) -> Services<&FakeHypervisor> {
    discover(fake, Dialect::Pkvm)
}

fn discover(fake: &FakeHypervisor, dialect: Dialect) -> Services<&FakeHypervisor> {
    Services::discover(fake, dialect).unwrap()
}

#[test]
fn every_granule_that_a_region_touches_is_guarded() {
    let fake = FakeHypervisor::new(Quirks::default());
    let services = found(&fake);
    let mut hooks: Hooks<4> = hooks(&services);
    // The tail of an unaligned region is what mainline guests before 7.2 forget.
    hooks.ioremap(UART + 0xff0, 0x20).unwrap();
    assert_eq!(fake.guarded(), [UART, UART + PAGE]);
    assert!(hooks.is_tracked(UART + PAGE));
    hooks.iounmap(UART + 0xff0, 0x20).unwrap();
    assert_eq!(fake.guarded(), []);
}

#[test]
fn overlapping_regions_hold_each_other() {
    let fake = FakeHypervisor::new(Quirks::default());
    let services = found(&fake);
    let mut hooks: Hooks<4> = hooks(&services);
    hooks.ioremap(UART, 3 * PAGE).unwrap();
    hooks.ioremap(UART + PAGE, PAGE).unwrap();
    hooks.ioremap(UART, 3 * PAGE).unwrap();
    hooks.iounmap(UART, 3 * PAGE).unwrap();
    assert_eq!(fake.guarded().len(), 3, "the same region is still mapped once");
    let calls = fake.calls().len();
    hooks.ioremap(UART, PAGE).unwrap();
    hooks.iounmap(UART, PAGE).unwrap();
    assert_eq!(fake.calls().len(), calls, "the hypervisor hears of first and last users only");
    hooks.iounmap(UART, 3 * PAGE).unwrap();
    assert_eq!(fake.guarded(), [UART + PAGE]);
    hooks.iounmap(UART + PAGE, PAGE).unwrap();
    assert_eq!(fake.guarded(), []);
}

#[test]
fn an_early_region_stays() {
    let fake = FakeHypervisor::new(Quirks::default());
    let services = found(&fake);
    let mut hooks: Hooks<4> = hooks(&services);
    hooks.map_early(UART, PAGE).unwrap();
    hooks.ioremap(UART, 2 * PAGE).unwrap();
    hooks.iounmap(UART, 2 * PAGE).unwrap();
    assert_eq!(fake.guarded(), [UART]);
    hooks.iounmap(UART, PAGE).unwrap();
    assert_eq!(fake.guarded(), [UART], "no ioremap was made for this one");
}

#[test]
fn a_refusal_leaves_everything_as_it_was() {
    let fake = FakeHypervisor::new(Quirks::default());
    let services = found(&fake);
    let mut hooks: Hooks<4> = hooks(&services);
    hooks.ioremap(RAM - 2 * PAGE, PAGE).unwrap();
    let refused = hooks.ioremap(RAM - 3 * PAGE, 4 * PAGE);
    assert!(matches!(refused, Err(Error::InvalidParameter(_))), "{refused:?}");
    assert_eq!(fake.guarded(), [RAM - 2 * PAGE]);
    assert!(matches!(hooks.ioremap(UART, 0), Err(Error::Region { .. })));
    assert!(matches!(hooks.ioremap(u64::MAX - 5, 7), Err(Error::Region { .. })));
    assert_eq!(fake.guarded(), [RAM - 2 * PAGE]);
}

#[test]
fn parts_of_a_mapping_may_go() {
    let fake = FakeHypervisor::new(Quirks { range_limit: Some(8), ..Quirks::default() });
    let services = found(&fake);
    let mut hooks: Hooks<4> = hooks(&services);
    hooks.ioremap(UART, 5 * PAGE).unwrap();
    hooks.ioremap(UART + 2 * PAGE, PAGE).unwrap();
    hooks.iounmap(UART + PAGE, 3 * PAGE).unwrap();
    assert_eq!(fake.guarded(), [UART, UART + 2 * PAGE, UART + 4 * PAGE]);
    hooks.iounmap(UART, 5 * PAGE).unwrap();
    assert_eq!(fake.guarded(), []);
    hooks.iounmap(UART, 5 * PAGE).unwrap();
}

#[test]
fn full_storage_guards_and_takes_nothing_back() {
    let fake = FakeHypervisor::new(Quirks::default());
    let services = found(&fake);
    let mut hooks: Hooks<2> = hooks(&services);
    for n in 0..3 {
        hooks.ioremap(UART + 2 * n * PAGE, PAGE).unwrap();
    }
    assert!(hooks.keeps_everything());
    assert_eq!(fake.guarded().len(), 3);
    hooks.iounmap(UART, PAGE).unwrap();
    hooks.iounmap(UART + 4 * PAGE, PAGE).unwrap();
    assert_eq!(fake.guarded().len(), 3, "what a forgotten mapping covers must stay");
}

#[test]
fn what_was_guarded_before_there_were_counts_stays() {
    let fake = FakeHypervisor::new(Quirks::default());
    let services = found(&fake);
    let mut early: Hooks<0> = hooks(&services);
    early.map_early(UART, PAGE).unwrap();
    let mut later = early.move_to([Place::FREE; 8]).unwrap();
    later.ioremap(UART, PAGE).unwrap();
    later.iounmap(UART, PAGE).unwrap();
    assert_eq!(fake.guarded(), [UART]);
}

#[test]
fn storage_may_move_and_keeps_its_counts() {
    let fake = FakeHypervisor::new(Quirks::default());
    let services = found(&fake);
    let mut early: Hooks<2> = hooks(&services);
    early.map_early(UART, PAGE).unwrap();
    early.ioremap(UART + PAGE, PAGE).unwrap();
    let early = early.move_to([Place::FREE; 1]).expect_err("too small");
    let mut places = [Place::FREE; 8];
    let mut later = early.move_to(&mut places[..]).expect("large enough");
    assert!(!later.keeps_everything());
    later.iounmap(UART, 2 * PAGE).unwrap();
    assert_eq!(fake.guarded(), [UART]);
}

#[test]
fn large_regions_go_in_ranges() {
    let fake = FakeHypervisor::new(Quirks { range_limit: Some(512), ..Quirks::default() });
    let services = found(&fake);
    let mut hooks: Hooks<4> = hooks(&services);
    let before = fake.calls().len();
    hooks.ioremap(0x1000_0000, 4096 * PAGE).unwrap();
    assert_eq!(fake.calls().len() - before, 8);
    assert_eq!(fake.guarded().len(), 4096);
    hooks.iounmap(0x1000_0000, 4096 * PAGE).unwrap();
    assert_eq!(fake.calls().len() - before, 16);
    assert_eq!(fake.guarded(), []);
}

const CONSOLE: Option<MmioRegion> = Some(MmioRegion { base: UART, size: 0x40 });

#[test]
fn the_command_line_decides_about_enrolment() {
    let quirks = Quirks { starts_enrolled: false, ..Quirks::default() };
    for (command_line, want) in [
        ("console=ttyAMA0 ioremap_guard quiet", true),
        ("ioremap_guard", true),
        ("console=ttyAMA0", false),
        ("no_ioremap_guard ioremap_guard=off xioremap_guard", false),
        ("", false),
    ] {
        let fake = FakeHypervisor::new(quirks);
        let services = found(&fake);
        let storage = [Place::FREE; 4];
        let console = || CONSOLE.filter(|_| want);
        let hooks =
            IoremapGuard::from_command_line(&services, command_line, PAGE, storage, console);
        let is_there = hooks.unwrap().is_some();
        assert_eq!((is_there, fake.is_enrolled()), (want, want), "{command_line:?}");
        assert_eq!(fake.guarded().len(), usize::from(want));
    }
}

#[test]
fn the_console_is_looked_up_before_and_guarded_right_after_the_enrolment() {
    for (dialect, is_list_2021, enroll, map) in [
        (Dialect::Pkvm, false, 0xc600_0006, 0xc600_0007),
        (Dialect::List2021, true, 0xc600_0003, 0xc600_0004),
    ] {
        let quirks = Quirks { starts_enrolled: false, is_list_2021, ..Quirks::default() };
        let fake = FakeHypervisor::new(quirks);
        let services = discover(&fake, dialect);
        let guard = services.mmio_guard().unwrap();
        let look_up = || {
            assert!(!fake.is_enrolled(), "may still print");
            CONSOLE
        };
        let mut hooks = IoremapGuard::enrol(guard, PAGE, [Place::FREE; 4], look_up).unwrap();
        let calls: Vec<_> = fake.calls().into_iter().map(|(id, x)| (id, x[0])).collect();
        assert_eq!(calls[calls.len() - 2..], [(enroll, 0), (map, UART)]);
        hooks.ioremap(UART, PAGE).unwrap();
        hooks.iounmap(UART, PAGE).unwrap();
        assert_eq!(fake.guarded(), [UART], "the driver took over and left again");
    }
}

#[test]
fn an_impossible_console_is_found_before_it_is_too_late() {
    let fake = FakeHypervisor::new(Quirks { starts_enrolled: false, ..Quirks::default() });
    let services = found(&fake);
    let nowhere = || Some(MmioRegion { base: UART, size: 0 });
    let got = IoremapGuard::enrol(services.mmio_guard().unwrap(), PAGE, [], nowhere);
    assert!(matches!(got, Err(Error::Region { .. })));
    assert!(!fake.is_enrolled());
    let got = IoremapGuard::enrol(services.mmio_guard().unwrap(), PAGE, [], || None);
    assert!(fake.is_enrolled() && got.is_ok() && fake.guarded().is_empty());
}

#[test]
fn mainline_guests_guard_their_console_without_enrolment() {
    let fake = FakeHypervisor::new(Quirks { map_only: true, ..Quirks::default() });
    let services = found(&fake);
    let mut hooks: Hooks<1> = hooks(&services);
    assert_eq!(hooks.map_early_console(|| None), Ok(false));
    assert_eq!(hooks.map_early_console(|| CONSOLE), Ok(true));
    assert_eq!(fake.guarded(), [UART]);
}

#[test]
fn a_host_that_cannot_be_enrolled_is_an_error() {
    let asked = |quirks| {
        let fake = FakeHypervisor::new(quirks);
        let services = found(&fake);
        IoremapGuard::from_command_line(&services, "ioremap_guard", PAGE, [], || CONSOLE)
            .map(|hooks| hooks.is_some())
    };
    let got = asked(Quirks { map_only: true, ..Quirks::default() });
    assert!(matches!(got, Err(Error::NotSupported(_))));
    let large = Quirks { granule: 65536, ..Quirks::default() };
    assert!(matches!(asked(large), Err(Error::Granule(65536))));
    let fake = FakeHypervisor::new(large);
    let services = found(&fake);
    assert!(
        IoremapGuard::new(services.mmio_guard().unwrap(), 65536, []).is_ok(),
        "a guest with pages of that size can use it"
    );
}

#[test]
fn hosts_whose_unmap_does_nothing_are_fine() {
    let fake = FakeHypervisor::new(Quirks { unmap_does_nothing: true, ..Quirks::default() });
    let services = found(&fake);
    let mut hooks: Hooks<4> = hooks(&services);
    hooks.ioremap(UART, PAGE).unwrap();
    hooks.iounmap(UART, PAGE).unwrap();
    assert_eq!(fake.guarded(), [UART]);
}

#[derive(Debug, Clone)]
enum Step {
    Map(u64, u64),
    /// Unmaps the n-th of what is mapped.
    Unmap(usize),
    Early(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let region = || (0..24_u64 * PAGE, 1..6 * PAGE);
    prop_oneof![
        4 => region().prop_map(|(base, size)| Step::Map(base, size)),
        4 => (0..16_usize).prop_map(Step::Unmap),
        1 => region().prop_map(|(base, size)| Step::Early(base, size)),
    ]
}

fn granules(base: u64, size: u64) -> impl Iterator<Item = u64> {
    (base / PAGE..=(base + size - 1) / PAGE).map(|n| n * PAGE)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What is guarded is the union of what is mapped, whatever the order and the host.
    #[test]
    fn guarded_is_what_is_mapped(
        steps in proptest::collection::vec(step(), 1..40),
        range_limit in proptest::option::of(1..5_u64),
        quota in prop_oneof![Just(usize::MAX), 1..20_usize],
        dialect in prop_oneof![Just(Dialect::Pkvm), Just(Dialect::List2021)],
    ) {
        let is_list_2021 = dialect == Dialect::List2021;
        let quirks = Quirks { range_limit, quota, is_list_2021, ..Quirks::default() };
        let fake = FakeHypervisor::new(quirks);
        let services = discover(&fake, dialect);
        let mut hooks: Hooks<64> = hooks(&services);
        let mut mapped: Vec<(u64, u64)> = Vec::new();
        let mut early: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Map(base, size) => {
                    if hooks.ioremap(base, size).is_ok() {
                        mapped.push((base, size));
                    }
                }
                Step::Early(base, size) => {
                    if hooks.map_early(base, size).is_ok() {
                        early.push((base, size));
                    }
                }
                Step::Unmap(n) if !mapped.is_empty() => {
                    let (base, size) = mapped.swap_remove(n % mapped.len());
                    hooks.iounmap(base, size).unwrap();
                }
                Step::Unmap(_) => {}
            }
            let want: BTreeSet<u64> =
                mapped.iter().chain(&early).flat_map(|&(base, size)| granules(base, size)).collect();
            prop_assert_eq!(fake.guarded(), want.into_iter().collect::<Vec<_>>());
        }
    }
}

/// The hooks take any implementation of the trait, not only ours.
#[test]
fn hooks_work_through_a_reference() {
    let fake = FakeHypervisor::new(Quirks::default());
    let services = found(&fake);
    let guard: &dyn MmioGuardedHypervisor = &services.mmio_guard().unwrap();
    let mut hooks = IoremapGuard::new(guard, PAGE, vec![Place::FREE; 2]).unwrap();
    hooks.ioremap(UART, PAGE).unwrap();
    assert_eq!(fake.guarded(), [UART]);
}
