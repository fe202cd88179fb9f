//! Machines as QEMU describes them, and odd but legal trees that boards have.

use super::super::tests::{VIRT_GICV2, VIRT_GICV3};
use super::*;
use crate::addr::Pa;
use crate::tree::NodeName;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use std::string::ToString;
use std::vec::Vec;

pub(super) fn range(base: u64, size: u64) -> PaRange {
    PaRange::new(Pa(base), size).unwrap()
}

/// A node from name, properties and children.
pub(super) fn node<const P: usize>(
    name: &str,
    properties: [(&str, &[u8]); P],
    children: Vec<DeviceTreeNode>,
) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new_unchecked(name);
    for (name, value) in properties {
        node.add_property(DeviceTreeProperty::new_unchecked(name, value));
    }
    children.into_iter().for_each(|child| node.add_child(child));
    node
}

pub(super) fn cells<const N: usize>(cells: [u32; N]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}

pub(super) fn blob(root: DeviceTreeNode) -> Vec<u8> {
    let mut tree = DeviceTree::new();
    tree.root = root;
    tree.to_dtb()
}

#[test]
fn qemu_virt_with_gicv3() {
    let machine = Machine::from_tree(VIRT_GICV3).unwrap();
    assert_eq!(machine.memory(), Ok(&[range(0x4000_0000, 0x2000_0000)][..]));
    assert!(machine.reserved.is_empty());
    let expected: Vec<_> =
        (0..4).map(|mpidr| Cpu { mpidr, enable_method: EnableMethod::Psci }).collect();
    assert_eq!(machine.cpus[..], expected[..]);
    assert_eq!(machine.psci(), Ok(PsciConduit::Smc));
    let Ok(Gic::V3(gic)) = machine.gic() else { panic!("{:?}", machine.gic) };
    assert_eq!(gic.distributor, range(0x0800_0000, 0x1_0000));
    assert_eq!(gic.redistributors[..], [range(0x080a_0000, 0xf6_0000)]);
    assert_eq!(gic.translators[..], [range(0x0808_0000, 0x2_0000)]);
    assert_eq!((gic.stride, gic.maintenance), (None, Some(25)));
    let timers = Timers {
        physical: Some(30),
        virtual_: Some(27),
        hyp_physical: Some(26),
        hyp_virtual: None,
    };
    assert_eq!(machine.timers, timers);
    let console = Console {
        kind: ConsoleKind::Pl011,
        registers: range(0x0900_0000, 0x1000),
        interrupt: Some(33),
    };
    assert_eq!(machine.console, Some(console));
    assert_eq!((machine.bootargs, machine.initrd), ("", None));
    let seed = machine.rng_seed.unwrap();
    assert_eq!(seed.bytes.len(), 32);
    assert_eq!(seed.bytes, &VIRT_GICV3[seed.at..seed.at + 32]);
    assert_eq!(machine.kaslr_seed.unwrap().bytes.len(), 8);
    assert_eq!(machine.tree_size, VIRT_GICV3.len());
    assert_eq!(machine.model, "linux,dummy-virt");
}

#[test]
fn qemu_virt_with_gicv2() {
    let machine = Machine::from_tree(VIRT_GICV2).unwrap();
    let expected = GicV2 {
        distributor: range(0x0800_0000, 0x1_0000),
        cpu_interface: range(0x0801_0000, 0x1_0000),
        hypervisor: Some(range(0x0803_0000, 0x1_0000)),
        virtual_cpu: Some(range(0x0804_0000, 0x1_0000)),
        maintenance: Some(25),
    };
    assert_eq!(machine.gic(), Ok(&Gic::V2(expected)));
    let without = GicV2 { virtual_cpu: None, ..expected };
    let mut machine = machine;
    machine.gic = Some(Gic::V2(without));
    assert_eq!(machine.gic(), Err(MachineError::NoGicVirtualization));
}

/// QEMU's virt, a Raspberry Pi 4, a ZynqMP.
#[test]
fn a_cpu_interface_is_two_neighbouring_pages() {
    for (frame, pages) in [
        (range(0x0804_0000, 0x1_0000), range(0x0804_0000, 0x2000)),
        (range(0xff84_6000, 0x2000), range(0xff84_6000, 0x2000)),
        (range(0xf906_0000, 0x2_0000), range(0xf906_f000, 0x2000)),
    ] {
        assert_eq!(GicV2::interface_pages(frame), pages);
    }
}

/// Narrow cells, buses with offset windows, aliases, `interrupts-extended`, a spin table: the
/// shape of a Raspberry Pi's or ZynqMP's tree.
#[test]
fn a_board_with_buses_and_aliases() {
    let one = cells([1]);
    let soc = node(
        "soc",
        [
            ("compatible", b"simple-bus\0"),
            ("#address-cells", &one),
            ("#size-cells", &one),
            (
                "ranges",
                &cells([0x7e00_0000, 0, 0xfe00_0000, 0x0180_0000, 0x4000_0000, 4, 0, 0x80_0000]),
            ),
        ],
        std::vec![
            node(
                "interrupt-controller@40041000",
                [
                    ("compatible", b"arm,gic-400\0"),
                    ("#interrupt-cells", &cells([3])),
                    ("phandle", &cells([5])),
                    (
                        "reg",
                        &cells([
                            0x4004_1000,
                            0x1000,
                            0x4004_2000,
                            0x2000,
                            0x4004_4000,
                            0x2000,
                            0x4004_6000,
                            0x2000,
                        ]),
                    ),
                    ("interrupts", &cells([1, 9, 0xf04])),
                ],
                std::vec![],
            ),
            node(
                "serial@7e201000",
                [
                    ("compatible", b"arm,pl011\0arm,primecell\0"),
                    ("reg", &cells([0x7e20_1000, 0x200])),
                    ("interrupts-extended", &cells([5, 0, 121, 4])),
                ],
                std::vec![],
            ),
            node(
                "serial@7e201400",
                [
                    ("compatible", b"arm,pl011\0arm,primecell\0"),
                    ("reg", &cells([0x7e20_1400, 0x200])),
                    ("interrupts-extended", &cells([6, 0, 5, 0, 122, 4])),
                ],
                std::vec![],
            ),
            // Behind a bus that passes nothing on.
            node(
                "hidden",
                [],
                std::vec![node(
                    "serial@0",
                    [("compatible", b"arm,pl011\0"), ("reg", &cells([0, 0, 0x1000]))],
                    std::vec![],
                )],
            ),
        ],
    );
    let root = node(
        "",
        [("#address-cells", &cells([2])), ("#size-cells", &one), ("interrupt-parent", &cells([5]))],
        std::vec![
            node("aliases", [("serial0", b"/soc/serial@7e201400\0")], std::vec![]),
            node(
                "chosen",
                [
                    ("stdout-path", b"serial0:115200n8\0"),
                    ("bootargs", b"console=x postern.log=info postern.log=debug postern.logs=1\0"),
                    ("linux,initrd-start", &cells([0x0800_0000])),
                    ("linux,initrd-end", &cells([0, 0x0900_0000])),
                ],
                std::vec![],
            ),
            soc,
            node(
                "cpus",
                [("#address-cells", &one), ("#size-cells", &cells([0]))],
                std::vec![
                    node(
                        "cpu@0",
                        [
                            ("device_type", b"cpu\0"),
                            ("reg", &cells([0])),
                            ("enable-method", b"spin-table\0"),
                            ("cpu-release-addr", &cells([0, 0xd8])),
                        ],
                        std::vec![],
                    ),
                    node(
                        "cpu@100",
                        [
                            ("device_type", b"cpu\0"),
                            ("reg", &cells([0x100])),
                            ("status", b"fail-overheated\0"),
                        ],
                        std::vec![],
                    ),
                    node("l2-cache", [], std::vec![]),
                ],
            ),
            node(
                "memory@40000000",
                [
                    ("device_type", b"memory\0"),
                    ("reg", &cells([0, 0x8000_0000, 0x1000, 0, 0x4000_0000, 0x2000_0000])),
                ],
                std::vec![],
            ),
            node(
                "memory@0",
                [
                    ("device_type", b"memory\0"),
                    ("reg", &cells([0, 0, 0x3b40_0000, 0, 0x6000_0000, 0x100, 0, 0, 0])),
                ],
                std::vec![],
            ),
            node(
                "secure-memory@70000000",
                [
                    ("device_type", b"memory\0"),
                    ("reg", &cells([0, 0x7000_0000, 0x10_0000])),
                    ("status", b"disabled\0"),
                    ("secure-status", b"okay\0"),
                ],
                std::vec![],
            ),
            node(
                "reserved-memory",
                [("#address-cells", &cells([2])), ("#size-cells", &one), ("ranges", b"")],
                std::vec![
                    node(
                        "atf@0",
                        [("reg", &cells([0, 0x1000, 0x2000])), ("no-map", b"")],
                        std::vec![],
                    ),
                    node("cma", [("size", &cells([0x100_0000]))], std::vec![]),
                    node(
                        "pool@8000",
                        [("reg", &cells([0, 0x8000, 0x1000])), ("reusable", b"")],
                        std::vec![],
                    ),
                ],
            ),
            node(
                "timer",
                [
                    ("compatible", b"arm,armv8-timer\0"),
                    ("interrupts", &cells([1, 11, 8, 1, 14, 8])),
                    ("interrupt-names", b"virt\0phys\0"),
                ],
                std::vec![],
            ),
        ],
    );
    let blob = blob(root);
    let machine = Machine::from_tree(&blob).unwrap();
    let banks =
        [range(0, 0x3b40_0000), range(0x4000_0000, 0x2000_0100), range(0x8000_0000, 0x1000)];
    assert_eq!(machine.memory[..], banks);
    let reserved = [(0x1000, 0x2000, true), (0x8000, 0x1000, false)]
        .map(|(base, size, no_map)| Reserved { range: range(base, size), no_map });
    assert_eq!(machine.reserved[..], reserved);
    for (base, size, forbidden) in [
        (0x0fff, 1, false),
        (0x0fff, 2, true),
        (0x2fff, 0x4000, true),
        (0x3000, 0x4000, false),
        // Reserved, but not from being mapped.
        (0x8000, 0x1000, false),
    ] {
        let found = machine.forbidden(range(base, size));
        assert_eq!(found, forbidden.then(|| range(0x1000, 0x2000)), "{base:#x} {size:#x}");
    }
    let spin = EnableMethod::SpinTable(Pa(0xd8));
    assert_eq!(machine.cpus[..], [Cpu { mpidr: 0, enable_method: spin }]);
    let Some(Gic::V2(gic)) = machine.gic else { panic!("{:?}", machine.gic) };
    assert_eq!(gic.distributor, range(0x4_0004_1000, 0x1000));
    assert_eq!(gic.virtual_cpu, Some(range(0x4_0004_6000, 0x2000)));
    let console = machine.console.unwrap();
    assert_eq!((console.kind, console.registers), (ConsoleKind::Pl011, range(0xfe20_1400, 0x200)));
    // Its first interrupt goes to another controller.
    assert_eq!(console.interrupt, None);
    assert_eq!((machine.timers.virtual_, machine.timers.physical), (Some(27), Some(30)));
    assert_eq!(machine.timers.hyp_physical, None);
    assert_eq!(machine.boot_argument("log"), Some("debug"));
    assert_eq!(machine.boot_argument("protected"), None);
    assert_eq!(machine.unknown_boot_argument(&["log", "logs"]), None);
    assert_eq!(machine.unknown_boot_argument(&["log"]), Some("postern.logs=1"));
    assert_eq!(machine.initrd, Some(range(0x0800_0000, 0x0100_0000)));
    assert_eq!(machine.psci(), Err(MachineError::NoPsci));
}

#[test]
fn a_boot_argument_is_found_in_a_tree_that_breaks_off() {
    let find = |tree: &'static [u8]| salvaged_argument(tree, "nonce");
    assert_eq!(find(b"\xd0\0bootargs\0postern.nonce=1f postern.log=x\0\xff"), Some("1f"));
    assert_eq!(find(b"postern.nonce=1f postern.nonce=2e\0"), Some("2e"));
    for none in [&b""[..], b"postern.nonce", b"postern.nonce=1f", b"postern.nonces=1f\0"] {
        assert_eq!(find(none), None);
    }
}

#[test]
fn a_boot_argument_without_a_value_is_unknown() {
    let bare = |bootargs| Machine { bootargs, ..Machine::default() };
    let unknown = |bootargs| bare(bootargs).unknown_boot_argument(&["log"]);
    assert_eq!(unknown("console=x postern.log=x postern.log"), Some("postern.log"));
    for fine in ["", "postern", "log=1 nopostern.x=1", "postern.log="] {
        assert_eq!(unknown(fine), None, "{fine}");
    }
}

/// A one-node change to a tree that is otherwise fine.
fn with_child(child: DeviceTreeNode) -> Vec<u8> {
    blob(node(
        "",
        [("#address-cells", &cells([2])), ("#size-cells", &cells([2]))],
        std::vec![child],
    ))
}

#[test]
fn impossible_values_name_node_and_property() {
    let memory = |reg: &[u8]| {
        let tree =
            with_child(node("memory@0", [("device_type", b"memory\0"), ("reg", reg)], std::vec![]));
        Machine::from_tree(&tree).unwrap_err().to_string()
    };
    let text = memory(&cells([0, 1, 2]));
    assert!(text.contains("memory@0") && text.contains("reg"), "{text}");
    assert!(memory(&cells([u32::MAX, 0, 1, 0])).contains("wraps"));
    let banks: Vec<u32> = (0..17).flat_map(|bank| [bank, 0, 0, 0x1000]).collect();
    let banks: Vec<u8> = banks.iter().flat_map(|cell| cell.to_be_bytes()).collect();
    assert!(memory(&banks).contains("more than 16 memory banks"));
    let initrd = with_child(node(
        "chosen",
        [("linux,initrd-start", &cells([8])), ("linux,initrd-end", &cells([8]))],
        std::vec![],
    ));
    assert!(Machine::from_tree(&initrd).unwrap_err().to_string().contains("linux,initrd-end"));
    let gic = with_child(node("gic", [("compatible", b"arm,gic-v3\0")], std::vec![]));
    let expected = crate::tree::TreeError::content(b"gic", "reg", "does not list the frames");
    assert_eq!(Machine::from_tree(&gic).unwrap_err(), expected);
}

#[test]
fn missing_parts_are_told_apart() {
    let psci = |compatible: &[u8], method: &[u8]| {
        let tree =
            with_child(node("psci", [("compatible", compatible), ("method", method)], std::vec![]));
        Machine::from_tree(&tree).unwrap().psci()
    };
    assert_eq!(psci(b"arm,psci-1.0\0arm,psci\0", b"smc\0"), Ok(PsciConduit::Smc));
    assert_eq!(psci(b"arm,psci\0", b"smc\0"), Err(MachineError::OldPsci));
    assert_eq!(psci(b"arm,psci-0.2\0", b"hvc\0"), Err(MachineError::PsciHvc));
    assert_eq!(psci(b"arm,psci-0.2\0", b"smc"), Err(MachineError::PsciMethod));
    let last = |method: &[u8], is_at_el2| {
        let psci = [("compatible", &b"arm,psci-1.0\0"[..]), ("method", method)];
        let tree = with_child(node("psci", psci, std::vec![]));
        Machine::from_tree(&tree).unwrap().last_conduit(is_at_el2)
    };
    for is_at_el2 in [false, true] {
        assert_eq!(last(b"smc\0", is_at_el2), Some(PsciConduit::Smc));
        assert_eq!(last(b"", is_at_el2), None);
    }
    assert_eq!((last(b"hvc\0", false), last(b"hvc\0", true)), (Some(PsciConduit::Hvc), None));
    let tree = with_child(node("chosen", [("stdout-path", b"/serial@0\0")], std::vec![]));
    let machine = Machine::from_tree(&tree).unwrap();
    assert_eq!(machine.memory(), Err(MachineError::NoMemory));
    assert_eq!(machine.gic(), Err(MachineError::NoGic));
    let kind = ConsoleKind::Unsupported(NodeName::new(b"/serial@0"));
    assert_eq!(machine.console.unwrap().kind, kind);
}

#[test]
fn disabled_devices_do_not_count() {
    let uart = |status: &[u8]| {
        with_child(node(
            "pl011@9040000",
            [
                ("compatible", b"arm,pl011\0"),
                ("reg", &cells([0, 0x0904_0000, 0, 0x1000])),
                ("status", status),
            ],
            std::vec![],
        ))
    };
    assert!(Machine::from_tree(&uart(b"disabled\0")).unwrap().console.is_none());
    let console = Machine::from_tree(&uart(b"okay\0")).unwrap().console.unwrap();
    assert_eq!(console.registers, range(0x0904_0000, 0x1000));
}

#[test]
fn the_console_of_a_damaged_tree_is_still_found() {
    assert!(Machine::salvage(&VIRT_GICV3[..100]).is_none());
    let console = Machine::from_tree(VIRT_GICV3).unwrap().console;
    // An impossible memory node: the size of `reg` is the third word of the property.
    let mut wrong = VIRT_GICV3.to_vec();
    let name = wrong.windows(7).position(|bytes| bytes == b"memory@").unwrap();
    let len = wrong[name..].windows(4).position(|bytes| bytes == [0, 0, 0, 16]).unwrap() + name;
    wrong[len + 8..len + 16].fill(0xff);
    let error = Machine::from_tree(&wrong).unwrap_err();
    assert!(error.to_string().contains("wraps"), "{error}");
    let salvaged = Machine::salvage(&wrong).unwrap();
    assert_eq!(salvaged.console, console);
    assert!(salvaged.memory.is_empty() && salvaged.psci().is_ok());
    // A tree that breaks off behind the console's node.
    let uart = crate::tree::Tree::new(VIRT_GICV3).unwrap().find(b"/pl011").unwrap();
    let mut cut = VIRT_GICV3.to_vec();
    let last = uart.properties().last().unwrap();
    let end = (last.at + last.value.len()).next_multiple_of(4);
    cut[end + 4..end + 8].fill(0xee);
    assert!(Machine::from_tree(&cut).is_err());
    assert_eq!(
        Machine::salvage(&cut).unwrap().console.unwrap().registers,
        console.unwrap().registers
    );
}
