use std::vec::Vec;

use super::*;

const GICD: u64 = 0x800_0000;
const UART: u64 = 0x900_0000;
const PAGE: u64 = PAGE_SIZE;

fn entry(base: u64, pages: u64, device: Device) -> Entry {
    Entry { ipa: IpaRange::new(Ipa(base), pages * PAGE).unwrap(), device }
}

fn bus() -> Bus {
    Bus::new(&[entry(GICD, 2, Device::DISTRIBUTOR), entry(UART, 1, Device::Console)])
}

#[test]
fn each_address_has_the_register_of_who_answers_there() {
    let bus = bus();
    for (ipa, register) in [
        (0, None),
        (GICD - 1, None),
        (GICD, Some((Device::DISTRIBUTOR, 0))),
        (GICD + 2 * PAGE - 1, Some((Device::DISTRIBUTOR, 2 * PAGE - 1))),
        (GICD + 2 * PAGE, None),
        (UART - 1, None),
        (UART + 0x18, Some((Device::Console, 0x18))),
        (UART + PAGE, None),
        (u64::MAX, None),
    ] {
        let register = register.map(|(device, offset)| Register { device, offset });
        assert_eq!(bus.find(Ipa(ipa)).map(|found| found.register), register, "{ipa:#x}");
    }
}

#[test]
fn a_flag_is_one_pages_own() {
    let pages = [GICD, GICD + PAGE, UART];
    let bus = bus();
    let guarded = || -> Vec<u64> {
        let is_guarded = |ipa: &u64| bus.find(Ipa(*ipa)).unwrap().is_guarded;
        pages.into_iter().filter(is_guarded).collect()
    };
    assert_eq!(guarded(), []);
    for page in pages {
        bus.set_guarded(Ipa(page + 0x123), true);
        // Nobody answers there, and nobody's flag is meant.
        bus.set_guarded(Ipa(page + 0x400_0000), true);
        assert_eq!(guarded(), [page]);
        bus.set_guarded(Ipa(page), false);
        assert_eq!(guarded(), []);
    }
    for page in pages {
        bus.set_guarded(Ipa(page), true);
    }
    assert_eq!(guarded(), pages);
    bus.clear();
    assert_eq!(guarded(), []);
}

#[test]
fn the_first_entry_answers_and_what_is_too_much_does_not() {
    let most = MAX_PAGES as u64;
    let bus = Bus::new(&[
        entry(UART, 1, Device::Console),
        entry(UART, 1, Device::DISTRIBUTOR),
        entry(GICD, most, Device::REDISTRIBUTORS),
    ]);
    let device = |ipa| bus.find(Ipa(ipa)).map(|found| found.register.device);
    assert_eq!(device(UART), Some(Device::Console));
    assert_eq!(device(GICD + (most - 2) * PAGE - 1), Some(Device::REDISTRIBUTORS));
    assert_eq!(device(GICD + (most - 2) * PAGE), None);
    let entries = [0, 1, 2, 3, 4].map(|n| entry(GICD + n * PAGE, 1, Device::Console));
    let bus = Bus::new(&entries);
    let answers = |n: &u64| bus.find(Ipa(GICD + n * PAGE)).is_some();
    assert_eq!((0..5).filter(answers).count(), MAX_ENTRIES);
}
