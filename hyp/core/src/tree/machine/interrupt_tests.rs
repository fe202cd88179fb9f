//! Ways of the console's and the timers' interrupts to the GIC.

use super::tests::{blob, cells, node};
use super::*;
use dtoolkit::model::{DeviceTreeNode, DeviceTreeProperty};
use std::vec::Vec;

/// `node` with another property.
fn with(mut node: DeviceTreeNode, name: &str, value: &[u8]) -> DeviceTreeNode {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
    node
}

/// A GIC whose phandle is 1.
fn gic() -> DeviceTreeNode {
    let properties = [
        ("compatible", &b"arm,gic-400\0"[..]),
        ("#interrupt-cells", &cells([3])),
        ("phandle", &cells([1])),
        ("reg", &cells([0, 0x1000, 0x1000, 0, 0x2000, 0x2000])),
    ];
    node("interrupt-controller@1000", properties, Vec::new())
}

/// A UART without interrupts.
fn uart() -> DeviceTreeNode {
    let properties = [("compatible", &b"arm,pl011\0"[..]), ("reg", &cells([0, 0x9_0000, 0x1000]))];
    node("serial@90000", properties, Vec::new())
}

/// A bus that passes addresses on; specifiers below it have `width` cells.
fn nexus(name: &str, width: u32, children: Vec<DeviceTreeNode>) -> DeviceTreeNode {
    let properties = [
        ("#address-cells", &cells([2])[..]),
        ("#size-cells", &cells([1])),
        ("ranges", b""),
        ("#interrupt-cells", &cells([width])),
    ];
    node(name, properties, children)
}

/// The console's interrupt on a machine with the GIC as everybody's interrupt parent.
fn interrupt(children: Vec<DeviceTreeNode>) -> Option<u32> {
    let properties = [
        ("#address-cells", &cells([2])[..]),
        ("#size-cells", &cells([1])),
        ("interrupt-parent", &cells([1])),
    ];
    let blob = blob(node("", properties, children));
    Machine::from_tree(&blob).unwrap().console.unwrap().interrupt
}

/// Arm's Foundation and FVP models, Versatile Express: a bus between, no `interrupt-parent` but the
/// root's, which the nexus cuts off (Devicetree Specification, 2.4.1). With their GICv3, which has a child,
/// a unit address of one cell stands before its specifiers.
#[test]
fn a_motherboard_has_a_map_to_the_gic() {
    let bus = |child| {
        node(
            "iofpga-bus@3",
            [("#address-cells", &cells([2])[..]), ("#size-cells", &cells([1])), ("ranges", b"")],
            std::vec![child],
        )
    };
    let number = |n: u32| bus(with(uart(), "interrupts", &cells([n])));
    let mask = cells([0, 0, 0x3f]);
    for address_cells in [None, Some(0), Some(1), Some(2)] {
        let gic = match address_cells {
            Some(cells) => with(gic(), "#address-cells", &u32::to_be_bytes(cells)),
            None => gic(),
        };
        let map: Vec<u32> = (0..43)
            .flat_map(|n| {
                let unit = [0; 2].into_iter().take(address_cells.unwrap_or(0) as usize);
                [0, 0, n, 1].into_iter().chain(unit).chain([0, n + 0x20, 4]).collect::<Vec<_>>()
            })
            .collect();
        let map: Vec<u8> = map.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        let board = |n, mask| {
            let bus = nexus("bus@8000000", 1, std::vec![number(n)]);
            with(with(bus, "interrupt-map-mask", mask), "interrupt-map", &map)
        };
        let read = |n, mask| interrupt(std::vec![board(n, mask), gic.clone()]);
        assert_eq!(read(5, &mask), Some(32 + 0x25), "{address_cells:?}");
        // What the mask takes away does not matter; without it, each bit does; what is not in the map
        // leads nowhere.
        assert_eq!(read(0x45, &mask), Some(32 + 0x25));
        assert_eq!(read(0x45, &[0xff; 12]), None);
        assert_eq!(read(43, &mask), None);
    }
}

/// A map whose mask asks for the unit address, as PCI's do, and leads to a second nexus.
#[test]
fn maps_lead_through_each_other() {
    let device = |parent: u32| {
        let uart = with(uart(), "interrupts", &cells([1]));
        with(uart, "interrupt-parent", &cells([parent]))
    };
    let first = |to: u32| {
        let map = [0, 0x8_0000, 1, to, 0, 3, 0, 0, 0x9_0000, 1, to, 7, 8, 0];
        let map: Vec<u8> = map.iter().flat_map(|cell: &u32| cell.to_be_bytes()).collect();
        let nexus = with(nexus("first", 1, Vec::new()), "phandle", &cells([8]));
        let nexus = with(nexus, "interrupt-map-mask", &cells([u32::MAX, 0xffff_0000, 7]));
        with(nexus, "interrupt-map", &map)
    };
    // All bits count without a mask.
    let second = with(nexus("second", 1, Vec::new()), "phandle", &cells([9]));
    let second =
        with(second, "interrupt-map", &cells([0, 3, 0, 1, 0, 50, 4, 7, 8, 0, 1, 0, 60, 4]));
    let read = |to, parent| interrupt(std::vec![first(to), second.clone(), gic(), device(parent)]);
    assert_eq!(read(9, 8), Some(92));
    // To whom there is not, and in a circle.
    assert_eq!(read(6, 8), None);
    let circle = with(nexus("circle", 1, Vec::new()), "phandle", &cells([8]));
    let circle = with(circle, "interrupt-map-mask", &cells([0, 0, 0]));
    let circle = with(circle, "interrupt-map", &cells([0, 0, 0, 8, 0, 0, 1]));
    assert_eq!(interrupt(std::vec![circle, gic(), device(8)]), None);
    // A map that is cut short.
    for cut in 0..13 {
        let short = with(nexus("short", 1, Vec::new()), "phandle", &cells([8]));
        let map = cells([0, 0, 0, 1, 0, 0, 4]);
        let short = with(
            with(short, "interrupt-map-mask", &cells([0, 0, 0])),
            "interrupt-map",
            &map[..2 * cut],
        );
        assert_eq!(interrupt(std::vec![short, gic(), device(8)]), None, "{cut}");
    }
}

/// The nearest node above that takes interrupts is the parent of those that name none; one in between
/// that names another goes there (Linux's `of_irq_find_parent`).
#[test]
fn who_is_below_another_controller_does_not_speak_to_the_gic() {
    let below = |child| nexus("expander@20", 3, std::vec![child]);
    let uart = || with(uart(), "interrupts", &cells([0, 5, 4]));
    assert_eq!(interrupt(std::vec![gic(), below(uart())]), None);
    assert_eq!(
        interrupt(std::vec![gic(), below(with(uart(), "interrupt-parent", &cells([1])))]),
        Some(37)
    );
    assert_eq!(interrupt(std::vec![gic(), uart()]), Some(37));
    // The root has no word for them either.
    let blob = blob(node(
        "",
        [("#address-cells", &cells([2])[..]), ("#size-cells", &cells([1]))],
        std::vec![gic(), uart()],
    ));
    assert_eq!(Machine::from_tree(&blob).unwrap().console.unwrap().interrupt, None);
}

#[test]
fn a_list_may_speak_to_several_controllers() {
    let other = |name, phandle: u32, width: u32| {
        with(nexus(name, width, Vec::new()), "phandle", &cells([phandle]))
    };
    let read = |list: &[u8], names: &[u8]| {
        let timer = node(
            "timer",
            [("compatible", &b"arm,armv8-timer\0"[..]), ("interrupts-extended", list)],
            Vec::new(),
        );
        let timer = if names.is_empty() { timer } else { with(timer, "interrupt-names", names) };
        let all = std::vec![timer, gic(), other("gpio", 7, 2), other("pdc", 8, 1)];
        let blob = blob(node(
            "",
            [("#address-cells", &cells([2])[..]), ("#size-cells", &cells([1]))],
            all,
        ));
        Machine::from_tree(&blob).unwrap().timers
    };
    let list = cells([7, 1, 2, 8, 9, 1, 1, 2, 4, 1, 1, 5, 4]);
    let timers = read(&list, b"");
    let all = (timers.physical, timers.virtual_, timers.hyp_physical, timers.hyp_virtual);
    assert_eq!(all, (None, Some(18), Some(21), None));
    assert_eq!(read(&list, b"x\0y\0hyp-phys\0virt\0").hyp_physical, Some(18));
    // Nobody knows how long an entry for nobody is.
    assert_eq!(read(&cells([6, 1, 2, 1, 1, 2, 4]), b""), Timers::default());
}

/// i.MX 8M Quad: everybody speaks to the power controller, which speaks to the GIC.
#[test]
fn a_power_controller_hands_interrupts_on() {
    let gpc = |compatible: &[u8]| {
        let gpc = with(nexus("gpc@303a0000", 3, Vec::new()), "phandle", &cells([9]));
        with(with(gpc, "compatible", compatible), "interrupt-parent", &cells([1]))
    };
    let uart =
        || with(with(uart(), "interrupts", &cells([0, 26, 4])), "interrupt-parent", &cells([9]));
    assert_eq!(interrupt(std::vec![gpc(b"fsl,imx8mq-gpc\0"), gic(), uart()]), Some(58));
    assert_eq!(interrupt(std::vec![gpc(b"vendor,expander\0"), gic(), uart()]), None);
}

/// dtc before version 1.4 wrote `linux,phandle`, alone or beside `phandle`.
#[test]
fn the_old_name_of_phandle_counts() {
    let old_gic = || {
        let properties = [
            ("compatible", &b"arm,gic-400\0"[..]),
            ("#interrupt-cells", &cells([3])),
            ("linux,phandle", &cells([1])),
            ("reg", &cells([0, 0x1000, 0x1000, 0, 0x2000, 0x2000])),
        ];
        node("interrupt-controller@1000", properties, Vec::new())
    };
    let serial = || with(uart(), "interrupts", &cells([0, 5, 4]));
    assert_eq!(interrupt(std::vec![old_gic(), serial()]), Some(37));
    assert_eq!(interrupt(std::vec![with(gic(), "linux,phandle", &cells([1])), serial()]), Some(37));
    // A nexus, too.
    let bus = with(nexus("bus", 1, Vec::new()), "linux,phandle", &cells([4]));
    let bus = with(
        with(bus, "interrupt-map", &cells([0, 0, 2, 1, 0, 9, 4])),
        "interrupt-map-mask",
        &cells([0, 0, 3]),
    );
    let serial = with(with(uart(), "interrupts", &cells([6])), "interrupt-parent", &cells([4]));
    assert_eq!(interrupt(std::vec![bus, old_gic(), serial]), Some(41));
}

/// Timers in the order of the binding: secure, physical, virtual, of EL2 (`arm,arch_timer.yaml`). The first
/// are those of Qualcomm's SoCs, the second X-Gene's.
#[test]
fn timers_may_have_other_interrupts() {
    let read = |list: &[[u32; 3]], maintenance: Option<u32>| {
        let list: Vec<u8> = list.iter().flatten().flat_map(|cell| cell.to_be_bytes()).collect();
        let timer = [("compatible", &b"arm,armv8-timer\0"[..]), ("interrupts", &list[..])];
        let timer = with(node("timer", timer, Vec::new()), "interrupt-parent", &cells([1]));
        let gic = match maintenance {
            Some(ppi) => with(gic(), "interrupts", &cells([1, ppi, 4])),
            None => gic(),
        };
        let properties = [("#address-cells", &cells([2])[..]), ("#size-cells", &cells([1]))];
        let blob = blob(node("", properties, std::vec![timer, gic]));
        Machine::from_tree(&blob).unwrap().ppis()
    };
    let ppi = |n: u32| [1, n, 0xf08];
    let ppis = |maintenance, hyp_timer, virtual_timer, physical_timer| {
        Ok(Ppis { maintenance, hyp_timer, virtual_timer, physical_timer })
    };
    assert_eq!(read(&[1, 2, 3, 0].map(ppi), Some(9)), ppis(25, 16, 19, 18));
    assert_eq!(read(&[0, 13, 14, 15].map(ppi), Some(9)), ppis(25, 31, 30, 29));
    assert_eq!(read(&[13, 14, 11, 10].map(ppi), None), ppis(25, 26, 27, 30));
    // What is not listed is as usual, unless another has taken it.
    assert_eq!(read(&[], None), Ok(Ppis::USUAL));
    assert_eq!(read(&[13, 8, 7].map(ppi), None), ppis(25, 26, 23, 24));
    assert_eq!(read(&[13, 14, 10].map(ppi), None), Err(MachineError::TimerShared));
    assert_eq!(read(&[13, 14, 9, 10].map(ppi), None), Err(MachineError::TimerShared));
    assert_eq!(read(&[13, 14, 9, 10].map(ppi), Some(11)), ppis(27, 26, 25, 30));
    assert_eq!(read(&[13, 11, 11, 10].map(ppi), Some(9)), Err(MachineError::TimerShared));
    assert_eq!(read(&[ppi(13), [0, 5, 4], ppi(11), ppi(10)], None), Err(MachineError::TimerNoPpi));
}
