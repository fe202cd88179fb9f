//! Consoles, and memory beside devices.

use super::*;

#[test]
fn a_console_without_driver_is_named_beside_the_drivers() {
    let other = |name: &str, compatible: &str| {
        Node::new(name)
            .with("compatible", compatible)
            .with("reg", cells([0xfe30_0000, 0x1000]).as_slice())
    };
    let chosen = Node::new("chosen").with("stdout-path", "/serial@fe300000:115200n8");
    let strange = other("serial@fe300000", "maker,strange-uart");
    let tree = board(&[[0, 0x8000_0000]], true, vec![chosen, strange]);
    let report = checked(&tree, None, |_| {});
    let (text, remedy) = remedies(&report)[0];
    for word in ["/serial@fe300000", "maker,strange-uart", "arm,pl011", "ns16550a"] {
        assert!(text.contains(word), "{text}");
    }
    // The board has another one that would do.
    assert!(remedy.contains("fdt set /chosen stdout-path /serial`"), "{remedy}");
    let stdout = report.machine.stdout.as_ref().unwrap();
    assert_eq!(stdout.compatible, ["maker,strange-uart"]);
    // Nothing is named, and there is none.
    let at = tree.windows(10).position(|bytes| bytes == b"arm,pl011\0").unwrap();
    let mut without = tree.clone();
    without[at..at + 9].copy_from_slice(b"arm,pl099");
    let report = checked(&without, None, |_| {});
    assert!(remedies(&report)[0].1.starts_with("none: "), "{:?}", report.findings);
}

#[test]
fn memory_over_registers_stops_with_both_places() {
    let soc = Node::new("soc")
        .with("#address-cells", 1_u32)
        .with("#size-cells", 1_u32)
        .with("ranges", [0_u32, 0, 0xc000_0000, 0x1000_0000].as_slice())
        .child(Node::new("mmc@1000").with("reg", [0x1000_u32, 0x100].as_slice()))
        .child(
            Node::new("off@2000000")
                .with("status", "disabled")
                .with("reg", [0x200_0000_u32, 0x100].as_slice()),
        );
    let tree = board(&[], true, vec![soc]);
    let bank = |base: u64, size: u64| {
        let bank = PaRange::new(Pa(base), size).unwrap();
        let report = checked_with(&tree, None, &[bank], |_| {});
        report
            .findings
            .iter()
            .filter(|one| one.cause.is_some())
            .map(|one| one.text.clone())
            .collect()
    };
    let fine: Vec<String> = bank(0x4000_0000, 0x4000_0000);
    assert!(fine.is_empty(), "{fine:?}");
    for (base, size, words) in [
        (0xf900_0000, 0x10_0000, ["0xf9000000-0xf90fffff", "the GIC at 0xf9010000"]),
        (0xfe00_0000, 0x100_0000, ["0xfe000000-0xfeffffff", "the console at 0xfe201000"]),
        (0xc000_0000, 0x10_0000, ["0xc0000000-0xc00fffff", "/soc/mmc@1000 at 0xc0001000"]),
    ] {
        let found: Vec<String> = bank(base, size);
        assert!(words.iter().all(|word| found[0].contains(word)), "{found:?}");
    }
    // A device that is off has no registers, and what nobody gets harms nobody.
    assert!(bank(0xc200_0000, 0x1000_0000 - 0x200_0000).is_empty());
    let tree = board(&[[0xf900_0000, 0x70_0000]], true, vec![reserved(0xf900_0000, 0x20_0000)]);
    assert!(checked(&tree, None, |_| {}).boots);
}

#[test]
fn memory_given_by_hand_replaces_the_trees() {
    let bank = PaRange::new(Pa(0x1000_0000), 0x1000_0000).unwrap();
    let report = checked_with(&zcu102(), None, &[bank], |_| {});
    assert_eq!(report.machine.memory, [Span { from: 0x1000_0000, to: 0x2000_0000 }]);
    assert!(
        report.findings.iter().any(|one| one.text.contains("replace")),
        "{:?}",
        report.findings
    );
    let mut subject = Subject::read(VIRT_V2).unwrap();
    let twice =
        subject.complete_memory(&Loads::default(), &[bank, bank], false, &mut Report::default());
    assert!(twice.unwrap_err().to_string().contains("overlap"));
    let empty = checked(&board(&[[0x4000_0000, 0]], true, Vec::new()), None, |_| {});
    assert!(stops(&empty)[0].contains("size 0"), "{:?}", empty.findings);
}

/// A bus whose addresses have no cells, in a tree that is otherwise sound.
#[test]
fn a_bus_without_addresses_ends_the_look() {
    let inner = Node::new("inner").with("ranges", 1_u32);
    let bus = |node: Node| node.with("#address-cells", 0_u32).with("#size-cells", 0_u32);
    let outer = bus(Node::new("outer")).flag("ranges").child(bus(inner).child(Node::new("device")));
    assert!(checked(&board(&[[0, 0x8000_0000]], true, vec![outer]), None, |_| {}).boots);
}

#[test]
fn assumed_memory_lies_where_no_device_is() {
    let device = Node::new("dma@0").with("reg", cells([0, 0x1000, 0x4000_0000, 0x1000]).as_slice());
    let tree = board(&[], true, vec![device]);
    let mut subject = Subject::read(&tree).unwrap();
    let mut report = Report::default();
    subject.complete_memory(&Loads::default(), &[], true, &mut report).unwrap();
    assert_eq!(subject.machine.memory[0].base(), Pa(0x8000_0000));
    assert!(report.findings[0].text.contains("1 GiB where no device is"));
}
