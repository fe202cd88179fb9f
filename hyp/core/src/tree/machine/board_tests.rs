//! Trees in the shape of boards' own.

use super::tests::{blob, cells, node, range};
use super::*;
use crate::addr::Pa;
use dtoolkit::model::DeviceTreeProperty;
use std::vec::Vec;

/// ZynqMP: the root has cells of its own, the bus passes addresses on unchanged, frames of the GIC
/// are repeated, the second bank lies above 32 GiB.
#[test]
fn zynqmp() {
    let two = cells([2]);
    let gic = node(
        "interrupt-controller@f9010000",
        [
            ("compatible", b"arm,gic-400\0"),
            ("#interrupt-cells", &cells([3])),
            (
                "reg",
                &cells([
                    0,
                    0xf901_0000,
                    0,
                    0x1_0000,
                    0,
                    0xf902_0000,
                    0,
                    0x2_0000,
                    0,
                    0xf904_0000,
                    0,
                    0x2_0000,
                    0,
                    0xf906_0000,
                    0,
                    0x2_0000,
                ]),
            ),
            ("interrupt-parent", &cells([5])),
            ("interrupts", &cells([1, 9, 0xf04])),
            ("phandle", &cells([5])),
        ],
        std::vec![],
    );
    let serial = node(
        "serial@ff000000",
        [
            ("compatible", b"xlnx,zynqmp-uart\0cdns,uart-r1p12\0"),
            ("status", b"okay\0"),
            ("interrupt-parent", &cells([5])),
            ("interrupts", &cells([0, 0x15, 4])),
            ("reg", &cells([0, 0xff00_0000, 0, 0x1000])),
        ],
        std::vec![],
    );
    let bus = node(
        "axi",
        [
            ("compatible", b"simple-bus\0"),
            ("#address-cells", &two),
            ("#size-cells", &two),
            ("ranges", b""),
        ],
        std::vec![gic, serial],
    );
    let memory = node(
        "memory@0",
        [
            ("device_type", b"memory\0"),
            ("reg", &cells([0, 0, 0, 0x8000_0000, 8, 0, 0, 0x8000_0000])),
        ],
        std::vec![],
    );
    let aliases = node("aliases", [("serial0", b"/axi/serial@ff000000\0")], std::vec![]);
    let chosen = node("chosen", [("stdout-path", b"serial0:115200n8\0")], std::vec![]);
    let root = node(
        "",
        [("#address-cells", &two), ("#size-cells", &two)],
        std::vec![bus, aliases, chosen, memory],
    );
    let blob = blob(root);
    let machine = Machine::from_tree(&blob).unwrap();
    assert_eq!(machine.memory[..], [range(0, 0x8000_0000), range(0x8_0000_0000, 0x8000_0000)]);
    let console = Console {
        kind: ConsoleKind::Cadence,
        registers: range(0xff00_0000, 0x1000),
        interrupt: Some(53),
    };
    assert_eq!(machine.console, Some(console));
    let Ok(Gic::V2(gic)) = machine.gic() else { panic!("{:?}", machine.gic) };
    assert_eq!((gic.maintenance, gic.hypervisor), (Some(25), Some(range(0xf904_0000, 0x2_0000))));
    let interface = GicV2::interface_pages(gic.virtual_cpu.unwrap());
    assert_eq!(interface, range(0xf906_f000, 0x2000));
}

/// i.MX 8M Plus: buses within buses, of which only the outermost has a window, cells narrower than
/// the root's, reserved memory that is disabled.
#[test]
fn imx8mp() {
    let (one, two) = (cells([1]), cells([2]));
    let bus = |name: &str, children| {
        node(
            name,
            [
                ("compatible", &b"fsl,aips-bus\0simple-bus\0"[..]),
                ("#address-cells", &one),
                ("#size-cells", &one),
                ("ranges", b""),
            ],
            children,
        )
    };
    let serial = node(
        "serial@30890000",
        [
            ("compatible", b"fsl,imx8mp-uart\0fsl,imx6q-uart\0"),
            ("reg", &cells([0x3089_0000, 0x1_0000])),
            ("interrupts", &cells([0, 0x1b, 4])),
        ],
        std::vec![],
    );
    let gic = node(
        "interrupt-controller@38800000",
        [
            ("compatible", b"arm,gic-v3\0"),
            ("reg", &cells([0x3880_0000, 0x1_0000, 0x3888_0000, 0xc_0000])),
            ("#interrupt-cells", &cells([3])),
            ("interrupts", &cells([1, 9, 4])),
            ("phandle", &one),
        ],
        std::vec![],
    );
    let soc = node(
        "soc@0",
        [
            ("compatible", b"fsl,imx8mp-soc\0simple-bus\0"),
            ("#address-cells", &one),
            ("#size-cells", &one),
            ("ranges", &cells([0, 0, 0, 0x3e00_0000])),
        ],
        std::vec![bus("bus@30800000", std::vec![bus("spba-bus@30800000", std::vec![serial])]), gic],
    );
    let reserved = |name: &str, base, status: &[u8]| {
        node(
            name,
            [("reg", &cells([0, base, 0, 0x10_0000])[..]), ("no-map", b""), ("status", status)],
            std::vec![],
        )
    };
    let reserved_memory = node(
        "reserved-memory",
        [("#address-cells", &two), ("#size-cells", &two), ("ranges", b"")],
        std::vec![
            reserved("dsp@92400000", 0x9240_0000, b"disabled\0"),
            reserved("vdev0vring0@942f0000", 0x942f_0000, b"okay\0"),
        ],
    );
    let path = b"/soc@0/bus@30800000/spba-bus@30800000/serial@30890000\0";
    let root = node(
        "",
        [("#address-cells", &two), ("#size-cells", &two), ("interrupt-parent", &one)],
        std::vec![node("chosen", [("stdout-path", &path[..])], std::vec![]), reserved_memory, soc,],
    );
    let blob = blob(root);
    let machine = Machine::from_tree(&blob).unwrap();
    let console = Console {
        kind: ConsoleKind::Imx,
        registers: range(0x3089_0000, 0x1_0000),
        interrupt: Some(59),
    };
    assert_eq!(machine.console, Some(console));
    let Ok(Gic::V3(gic)) = machine.gic() else { panic!("{:?}", machine.gic) };
    assert_eq!(gic.redistributors[..], [range(0x3888_0000, 0xc_0000)]);
    let expected = Reserved { range: range(0x942f_0000, 0x10_0000), no_map: true };
    assert_eq!(machine.reserved[..], [expected]);
}

/// Raspberry Pi 4 as Linux's tree has it: firmware is to fill the memory in, the first page is in
/// the reservation block, CPUs wait at a spin table, the mini UART is behind a window.
#[test]
fn raspberry_pi_4() {
    let one = cells([1]);
    let serial = node(
        "serial@7e215040",
        [
            ("compatible", b"brcm,bcm2835-aux-uart\0"),
            ("reg", &cells([0x7e21_5040, 0x40])),
            ("interrupts", &cells([0, 0x5d, 4])),
        ],
        std::vec![],
    );
    let soc = node(
        "soc",
        [
            ("compatible", b"simple-bus\0"),
            ("#address-cells", &one),
            ("#size-cells", &one),
            ("ranges", &cells([0x7e00_0000, 0, 0xfe00_0000, 0x180_0000])),
        ],
        std::vec![serial],
    );
    let cpu = |number: u32| {
        node(
            &std::format!("cpu@{number}"),
            [
                ("device_type", &b"cpu\0"[..]),
                ("reg", &cells([number])),
                ("enable-method", b"spin-table\0"),
                ("cpu-release-addr", &cells([0, 0xd8 + 8 * number])),
            ],
            std::vec![],
        )
    };
    let cpus = node(
        "cpus",
        [
            ("#address-cells", &one[..]),
            ("#size-cells", &cells([0])),
            ("enable-method", b"brcm,bcm2836-smp\0"),
        ],
        (0..4).map(cpu).collect(),
    );
    let memory =
        node("memory@0", [("device_type", b"memory\0"), ("reg", &cells([0, 0, 0]))], std::vec![]);
    let mut tree = dtoolkit::model::DeviceTree::new();
    tree.root = node(
        "",
        [("#address-cells", &cells([2])), ("#size-cells", &one)],
        std::vec![
            node("aliases", [("serial1", b"/soc/serial@7e215040\0")], std::vec![]),
            node("chosen", [("stdout-path", b"serial1:115200n8\0")], std::vec![]),
            memory,
            soc,
            cpus,
        ],
    );
    tree.memory_reservations.push(dtoolkit::memreserve::MemoryReservation::new(0, 0x1000));
    let blob = tree.to_dtb();
    let machine = Machine::from_tree(&blob).unwrap();
    assert_eq!(machine.memory(), Err(MachineError::NoMemory));
    assert_eq!(machine.psci(), Err(MachineError::NoPsci));
    assert_eq!(machine.reserved[..], [Reserved { range: range(0, 0x1000), no_map: false }]);
    let methods: Vec<_> = machine.cpus.iter().map(|cpu| cpu.enable_method).collect();
    assert_eq!(methods, [0xd8, 0xe0, 0xe8, 0xf0].map(|word| EnableMethod::SpinTable(Pa(word))));
    // There is no GIC in this tree to make sense of the interrupt.
    let console = Console {
        kind: ConsoleKind::Bcm2835Aux,
        registers: range(0xfe21_5040, 0x40),
        interrupt: None,
    };
    assert_eq!(machine.console, Some(console));
}

/// The root names a power controller whose interrupts a GIC takes, as i.MX 8M's does; boards write
/// the GIC's own `interrupt-parent` down, leave it out, or have none anywhere. The binding has one
/// reading: `interrupts` of a primary GIC is the maintenance interrupt (`arm,gic.yaml`).
#[test]
fn the_interrupt_of_a_gic_is_its_maintenance_interrupt() {
    let v2 = cells([0x1000, 0x1000, 0x2000, 0x2000, 0x4000, 0x2000, 0x6000, 0x2000]);
    let v3 = cells([0x1_0000, 0x1_0000, 0x8_0000, 0x4_0000]);
    for (compatible, reg) in [(&b"arm,gic-400\0"[..], &v2), (b"arm,gic-v3\0", &v3)] {
        for of_root in [Some(1), Some(9), None] {
            for own in [Some(1), None] {
                let mut gic = node(
                    "interrupt-controller@1000",
                    [
                        ("compatible", compatible),
                        ("#interrupt-cells", &cells([3])),
                        ("interrupts", &cells([1, 9, 4])),
                        ("phandle", &cells([1])),
                        ("reg", reg),
                    ],
                    std::vec![],
                );
                let cell = cells([1]);
                let mut root =
                    node("", [("#address-cells", &cell[..]), ("#size-cells", &cell)], std::vec![]);
                for (parent, of) in [(own, &mut gic), (of_root, &mut root)] {
                    if let Some(parent) = parent {
                        let value = cells([parent]);
                        of.add_property(DeviceTreeProperty::new_unchecked(
                            "interrupt-parent",
                            value,
                        ));
                    }
                }
                root.add_child(gic);
                let blob = blob(root);
                let maintenance = match Machine::from_tree(&blob).unwrap().gic {
                    Some(Gic::V2(gic)) => gic.maintenance,
                    Some(Gic::V3(gic)) => gic.maintenance,
                    None => None,
                };
                assert_eq!(maintenance, Some(25), "{of_root:?} {own:?}");
            }
        }
    }
}
