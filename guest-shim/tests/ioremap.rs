//! The ioremap hooks: what is guarded after any sequence of them.

use std::collections::BTreeSet;

use guest_shim::fake::{FakeHypervisor, Quirks};
use guest_shim::{Dialect, Error, Guard, IoremapGuard, MmioGuardedHypervisor, Services};
use proptest::prelude::*;

const PAGE: u64 = 4096;
const UART: u64 = 0x900_0000;
const RAM: u64 = 0x4000_0000;

type Hooks<'s, 'f, const N: usize> = IoremapGuard<Guard<&'s &'f FakeHypervisor>, N>;

fn hooks<'s, 'f, const N: usize>(services: &'s Services<&'f FakeHypervisor>) -> Hooks<'s, 'f, N> {
    IoremapGuard::new(services.mmio_guard().unwrap(), PAGE).unwrap()
}

fn found(fake: &FakeHypervisor) -> Services<&FakeHypervisor> {
    Services::discover(fake, Dialect::Pkvm).unwrap()
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
fn a_full_table_guards_and_takes_nothing_back() {
    let fake = FakeHypervisor::new(Quirks::default());
    let services = found(&fake);
    let mut hooks: Hooks<2> = hooks(&services);
    for n in 0..3 {
        hooks.ioremap(UART + n * PAGE, PAGE).unwrap();
    }
    assert_eq!(fake.guarded().len(), 3);
    hooks.iounmap(UART, PAGE).unwrap();
    hooks.iounmap(UART + 2 * PAGE, PAGE).unwrap();
    assert_eq!(fake.guarded().len(), 3, "what a forgotten region covers must stay");
    let mut full: Hooks<1> = IoremapGuard::new(services.mmio_guard().unwrap(), PAGE).unwrap();
    full.ioremap(UART, PAGE).unwrap();
    assert_eq!(full.map_early(UART + 8 * PAGE, PAGE), Err(Error::TooManyRegions));
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
        let hooks = IoremapGuard::<_, 4>::from_command_line(&services, command_line, PAGE).unwrap();
        assert_eq!((hooks.is_some(), fake.is_enrolled()), (want, want), "{command_line:?}");
    }
}

#[test]
fn a_host_that_cannot_be_enrolled_is_an_error() {
    let fake = FakeHypervisor::new(Quirks { map_only: true, ..Quirks::default() });
    let services = found(&fake);
    let got = IoremapGuard::<_, 4>::from_command_line(&services, "ioremap_guard", PAGE);
    assert!(matches!(got, Err(Error::NotSupported(_))));
    let fake = FakeHypervisor::new(Quirks { granule: 65536, ..Quirks::default() });
    let services = found(&fake);
    let got = IoremapGuard::<_, 4>::from_command_line(&services, "ioremap_guard", PAGE);
    assert!(matches!(got, Err(Error::Granule(65536))));
    assert_eq!(
        IoremapGuard::<_, 4>::new(services.mmio_guard().unwrap(), 65536).map(|_| ()),
        Ok(()),
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
    Stray(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let region = || (0..24_u64 * PAGE, 1..6 * PAGE);
    prop_oneof![
        4 => region().prop_map(|(base, size)| Step::Map(base, size)),
        4 => (0..16_usize).prop_map(Step::Unmap),
        1 => region().prop_map(|(base, size)| Step::Early(base, size)),
        1 => region().prop_map(|(base, size)| Step::Stray(base, size)),
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
    ) {
        let fake = FakeHypervisor::new(Quirks { range_limit, quota, ..Quirks::default() });
        let services = found(&fake);
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
                // Regions that cover the same granules are one to the hooks.
                Step::Stray(base, size) => {
                    let same = |&(b, s): &(u64, u64)| granules(b, s).eq(granules(base, size));
                    if !mapped.iter().any(same) {
                        hooks.iounmap(base, size).unwrap();
                    }
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
    let mut hooks: IoremapGuard<_, 2> = IoremapGuard::new(guard, PAGE).unwrap();
    hooks.ioremap(UART, PAGE).unwrap();
    assert_eq!(fake.guarded(), [UART]);
}
