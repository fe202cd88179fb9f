//! Nodes that nobody needs do not stop the boot, whatever they say, and do not hide those that are needed.

use super::tests::{blob, cells, node, range};
use super::*;
use crate::addr::Pa;
use crate::tree::TreeError;
use dtoolkit::model::DeviceTreeNode;
use std::format;
use std::vec::Vec;

/// A UART that the root's cells, one and one, fit.
fn uart(address: u32) -> DeviceTreeNode {
    let name = format!("serial@{address:x}");
    node(&name, [("compatible", b"arm,pl011\0"), ("reg", &cells([address, 0x1000]))], Vec::new())
}

/// A tree with cells of one and one; `stdout-path` comes last.
fn tree(mut children: Vec<DeviceTreeNode>, stdout: Option<&[u8]>) -> Vec<u8> {
    if let Some(stdout) = stdout {
        children.push(node("chosen", [("stdout-path", stdout)], Vec::new()));
    }
    let one = cells([1]);
    blob(node("", [("#address-cells", &one[..]), ("#size-cells", &one)], children))
}

/// PCI: addresses of three cells (IEEE 1275, PCI bus binding), such as a UART on a card has.
fn pci(children: Vec<DeviceTreeNode>) -> DeviceTreeNode {
    node(
        "pcie@40000000",
        [("#address-cells", &cells([3])[..]), ("#size-cells", &cells([2]))],
        children,
    )
}

fn base(machine: &Machine<'_>) -> Option<u64> {
    machine.console.as_ref().map(|console| console.registers.base().get())
}

#[test]
fn a_uart_that_cannot_be_reached_matters_only_if_it_is_named() {
    let reg = cells([0x800, 0, 0, 0, 0x100]);
    let on_card = || {
        let serial = [("compatible", &b"ns16550a\0"[..]), ("reg", &reg)];
        pci(std::vec![node("serial@1,0", serial, Vec::new())])
    };
    let odd =
        || node("serial@5", [("compatible", &b"arm,pl011\0"[..]), ("reg", &[1, 2, 3])], Vec::new());
    let wraps = || {
        let reg = cells([u32::MAX, u32::MAX, 2, 0]);
        let serial =
            node("serial@6", [("compatible", &b"arm,pl011\0"[..]), ("reg", &reg)], Vec::new());
        let two = cells([2]);
        node(
            "bus",
            [("#address-cells", &two[..]), ("#size-cells", &two), ("ranges", b"")],
            std::vec![serial],
        )
    };
    let all = || std::vec![on_card(), odd(), wraps(), uart(0x1000)];
    for stdout in [None, Some(&b"/serial@1000\0"[..])] {
        assert_eq!(base(&Machine::from_tree(&tree(all(), stdout)).unwrap()), Some(0x1000));
    }
    for (path, name) in [
        (&b"/pcie@40000000/serial@1,0\0"[..], "serial@1,0"),
        (b"/serial@5:115200\0", "serial@5"),
        (b"/bus/serial@6\0", "serial@6"),
    ] {
        let blob = tree(all(), Some(path));
        let error = Machine::from_tree(&blob).unwrap_err();
        let TreeError::Content { node, property: "reg", .. } = error else { panic!("{error}") };
        assert_eq!(format!("{node}"), name);
        assert!(Machine::salvage(&blob).is_some());
    }
}

#[test]
fn the_named_uart_is_found_behind_any_number_of_others() {
    let crowd = || (1..40).map(|n| uart(n * 0x1000)).collect::<Vec<_>>();
    assert_eq!(base(&Machine::from_tree(&tree(crowd(), None)).unwrap()), Some(0x1000));
    assert_eq!(
        base(&Machine::from_tree(&tree(crowd(), Some(b"/serial@27000\0"))).unwrap()),
        Some(0x2_7000)
    );
    // By an alias, and with /chosen and /aliases in front.
    let mut children = std::vec![
        node("aliases", [("serial3", b"/serial@26000\0")], Vec::new()),
        node("chosen", [("stdout-path", b"serial3:9600n8\0")], Vec::new()),
    ];
    children.extend(crowd());
    // What is there once stays there once.
    let memory = [("device_type", &b"memory\0"[..]), ("reg", &cells([0x8000_0000, 0x1000]))];
    children.push(node("memory@80000000", memory, Vec::new()));
    let tree = tree(children, None);
    let machine = Machine::from_tree(&tree).unwrap();
    assert_eq!(base(&machine), Some(0x2_6000));
    assert_eq!(machine.memory[..], [range(0x8000_0000, 0x1000)]);
}

/// The name that trees had before (`drivers/of/base.c`, `of_alias_scan`).
#[test]
fn the_old_name_of_stdout_path_counts_where_there_is_no_new_one() {
    let with = |properties: &[(&str, &[u8])]| {
        let mut chosen = node("chosen", [], Vec::new());
        for (name, value) in properties {
            chosen.add_property(dtoolkit::model::DeviceTreeProperty::new_unchecked(*name, *value));
        }
        let blob = tree(std::vec![uart(0x1000), uart(0x2000), uart(0x3000), chosen], None);
        base(&Machine::from_tree(&blob).unwrap())
    };
    let old: (&str, &[u8]) = ("linux,stdout-path", b"/serial@2000\0");
    let new: (&str, &[u8]) = ("stdout-path", b"/serial@3000\0");
    assert_eq!(with(&[old]), Some(0x2000));
    assert_eq!(with(&[old, new]), Some(0x3000));
    assert_eq!(with(&[new, old]), Some(0x3000));
}

#[test]
fn cells_matter_only_to_what_they_measure() {
    let eight = cells([0, 2]);
    let foreign =
        |name, inside| node(name, [("#address-cells", &eight[..]), ("#size-cells", b"x")], inside);
    let of_foreign =
        foreign("i2c@10000", std::vec![node("sensor@1", [("reg", &cells([1]))], Vec::new())]);
    let blob = tree(std::vec![of_foreign, uart(0x1000)], None);
    assert_eq!(base(&Machine::from_tree(&blob).unwrap()), Some(0x1000));
    // Memory is needed.
    let memory = [("device_type", &b"memory\0"[..]), ("reg", &cells([0, 0x1000]))];
    let memory = node("memory@0", memory, Vec::new());
    let blob = super::tests::blob(foreign("", std::vec![memory]));
    let text = format!("{}", Machine::from_tree(&blob).unwrap_err());
    assert!(text.contains("memory@0") && text.contains("#address-cells"), "{text}");
    // What is not to be given away has to be understood.
    let reserved = foreign(
        "reserved-memory",
        std::vec![node("tee", [("reg", &cells([0, 0x1000]))], Vec::new())],
    );
    let blob = tree(std::vec![reserved], None);
    assert!(Machine::from_tree(&blob).is_err());
}

#[test]
fn the_first_gic_that_can_be_used_is_taken() {
    let gic = |name, reg: &[u8]| {
        node(name, [("compatible", &b"arm,gic-400\0"[..]), ("reg", reg)], Vec::new())
    };
    let broken = || pci(std::vec![gic("gic@0", &cells([0, 0, 0, 0, 0x1000]))]);
    let frames = |base: u32| cells([base, 0x1000, base + 0x2000, 0x2000]);
    let sound = gic("gic@1000", &frames(0x1000));
    let blob = tree(std::vec![broken(), sound, gic("gic@8000", &frames(0x8000))], None);
    let Some(Gic::V2(found)) = Machine::from_tree(&blob).unwrap().gic else { panic!() };
    assert_eq!(found.distributor.base(), Pa(0x1000));
    // It is the only one.
    let error = Machine::from_tree(&tree(std::vec![broken()], None)).unwrap_err();
    assert!(format!("{error}").contains("gic@0"), "{error}");
}

/// A redistributor has two frames of 64 KiB (IHI0069, 12.10), and the stride between two is a multiple of
/// one frame (`arm,gic-v3.yaml`).
#[test]
fn a_stride_that_no_redistributor_has_is_refused() {
    let read = |stride: &[u8]| {
        let properties = [
            ("compatible", &b"arm,gic-v3\0"[..]),
            ("reg", &cells([0x800_0000, 0x1_0000, 0x80a_0000, 0x10_0000])),
            ("redistributor-stride", stride),
        ];
        let tree = tree(std::vec![node("gic@8000000", properties, Vec::new())], None);
        Machine::from_tree(&tree).map(|machine| {
            let Some(Gic::V3(gic)) = machine.gic else { panic!() };
            gic.stride
        })
    };
    for stride in [0x2_0000, 0x3_0000, 0x4_0000, 0x100_0000] {
        assert_eq!(read(&cells([stride])), Ok(Some(stride.into())));
        assert_eq!(read(&cells([0, stride])), Ok(Some(stride.into())));
    }
    let wrong = [
        &cells([0])[..],
        &cells([0, 0]),
        &cells([0x1_0000]),
        &cells([0x2_1000]),
        &cells([1, 1]),
        &[],
        &[2],
    ];
    for stride in wrong {
        let error = read(stride).unwrap_err();
        let expected = TreeError::content(
            b"gic@8000000",
            "redistributor-stride",
            "is not a multiple of 64 KiB, of at least 128 KiB",
        );
        assert_eq!(error, expected, "{stride:x?}");
    }
}
