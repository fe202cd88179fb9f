//! Discovery against hosts of all kinds.

use guest_shim::fake::{FakeHypervisor, Quirks};
use guest_shim::{Dialect, DiscoveryError, Features, Services};

fn discover(quirks: Quirks) -> Result<Services<FakeHypervisor>, DiscoveryError> {
    let dialect = if quirks.is_list_2021 { Dialect::List2021 } else { Dialect::Pkvm };
    Services::discover(FakeHypervisor::new(quirks), dialect)
}

#[test]
fn the_chain_goes_as_linux_goes_it() {
    let fake = FakeHypervisor::new(Quirks::default());
    Services::discover(&fake, Dialect::Pkvm).unwrap();
    let ids: Vec<u32> = fake.calls().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [0x8400_0000, 0x8400_000a, 0x8000_0000, 0x8600_ff01, 0x8600_0000]);
    assert_eq!(fake.calls()[1].1, [0x8000_0000, 0, 0]);
}

#[test]
fn a_firmware_layer_enters_in_the_middle() {
    let fake = FakeHypervisor::new(Quirks::default());
    Services::after_firmware(&fake, Dialect::Pkvm, 0x1_0002).unwrap();
    let ids: Vec<u32> = fake.calls().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [0x8600_ff01, 0x8600_0000]);
    let before = fake.calls().len();
    assert_eq!(
        Services::after_firmware(&fake, Dialect::Pkvm, 0x1_0000).err(),
        Some(DiscoveryError::NoSmccc(0x1_0000))
    );
    assert_eq!(fake.calls().len(), before, "nothing is called under SMCCC 1.0");
}

#[test]
fn each_missing_link_is_named() {
    let not_supported = u64::MAX;
    for (quirks, want) in [
        (Quirks { psci_version: 2, ..Quirks::default() }, DiscoveryError::NoPsci(2)),
        (
            Quirks { psci_version: not_supported, ..Quirks::default() },
            DiscoveryError::NoPsci(not_supported),
        ),
        (
            Quirks { smccc_version: not_supported, ..Quirks::default() },
            DiscoveryError::NoSmccc(not_supported),
        ),
        (
            Quirks { smccc_version: 0xffff_ffff, ..Quirks::default() },
            DiscoveryError::NoSmccc(0xffff_ffff),
        ),
        (
            Quirks { uid: [u32::MAX, 0, 0, 0], ..Quirks::default() },
            DiscoveryError::OtherHypervisor([u32::MAX, 0, 0, 0]),
        ),
    ] {
        assert_eq!(discover(quirks).err(), Some(want));
    }
}

#[test]
fn offers_follow_the_feature_bits() {
    let android = discover(Quirks::default()).unwrap();
    assert!(android.mmio_guard().is_some_and(|g| g.is_complete() && !g.has_range()));
    assert!(android.mem_sharing().is_some_and(|s| !s.has_range()));

    let ranges = discover(Quirks { range_limit: Some(8), ..Quirks::default() }).unwrap();
    assert!(ranges.mmio_guard().is_some_and(|g| g.has_range()));

    let mainline = discover(Quirks { map_only: true, ..Quirks::default() }).unwrap();
    assert!(mainline.mmio_guard().is_some_and(|g| !g.is_complete()));
    assert!(mainline.mem_sharing().is_some());

    let list = discover(Quirks { is_list_2021: true, ..Quirks::default() }).unwrap();
    assert!(list.mmio_guard().is_some_and(|g| g.is_complete()));
    assert!(list.mem_sharing().is_none(), "numbers 2 to 4 are the guard's in this dialect");
}

#[test]
fn feature_bits_cover_four_words() {
    let features = Features::new([0xffd, 0, 0x3, 0x8000_0000]);
    let set: Vec<u16> = (0..=u16::MAX).filter(|n| features.has(*n)).collect();
    assert_eq!(set, [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 64, 65, 127]);
}

#[test]
fn a_host_of_the_other_dialect_is_not_called_by_its_numbers() {
    for range_limit in [None, Some(8)] {
        let fake = FakeHypervisor::new(Quirks { range_limit, ..Quirks::default() });
        let services = Services::discover(&fake, Dialect::List2021).unwrap();
        let before = fake.calls().len();
        assert!(services.mmio_guard().is_none() && services.mem_sharing().is_none());
        assert_eq!(fake.calls().len(), before);
    }
    // The other way round nothing but the guard's own numbers tells: 7 is not announced.
    let list = FakeHypervisor::new(Quirks { is_list_2021: true, ..Quirks::default() });
    let services = Services::discover(&list, Dialect::Pkvm).unwrap();
    assert!(services.mmio_guard().is_none());
}
