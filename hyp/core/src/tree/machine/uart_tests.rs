//! Which UART is the console, and how its registers lie.

use super::tests::{blob, cells, node, range};
use super::*;
use crate::tree::NodeName;
use dtoolkit::model::DeviceTreeNode;
use std::vec::Vec;

/// A machine with a GIC, `/chosen` that names `stdout`, and these UARTs.
fn machine_with(stdout: &[u8], uarts: Vec<DeviceTreeNode>) -> Vec<u8> {
    let mut children = std::vec![
        node("chosen", [("stdout-path", stdout)], std::vec![]),
        node(
            "gic",
            [
                ("compatible", b"arm,gic-400\0"),
                ("#interrupt-cells", &cells([3])),
                ("phandle", &cells([7])),
                ("reg", &cells([0, 0x1000, 0x1000, 0, 0x2000, 0x2000])),
            ],
            std::vec![],
        ),
    ];
    children.extend(uarts);
    blob(node(
        "",
        [
            ("#address-cells", &cells([2])),
            ("#size-cells", &cells([1])),
            ("interrupt-parent", &cells([7])),
        ],
        children,
    ))
}

/// A UART at `serial@<name>` with SPI 5.
fn uart<const P: usize>(
    name: &str,
    address: u32,
    compatible: &[u8],
    more: [(&str, &[u8]); P],
) -> DeviceTreeNode {
    let mut properties: Vec<(&str, Vec<u8>)> = std::vec![
        ("compatible", compatible.to_vec()),
        ("reg", cells([0, address, 0x100])),
        ("interrupts", cells([0, 5, 4])),
    ];
    properties.extend(more.map(|(name, value)| (name, value.to_vec())));
    let mut uart = node(name, [], std::vec![]);
    for (name, value) in properties {
        uart.add_property(dtoolkit::model::DeviceTreeProperty::new_unchecked(name, value));
    }
    uart
}

fn console_of(uart: DeviceTreeNode) -> Option<Console> {
    Machine::from_tree(&machine_with(b"/serial@1000\0", std::vec![uart])).unwrap().console
}

#[test]
fn each_compatible_has_its_driver() {
    let words = RegisterSpacing { shift: 2, words: true };
    let ns16550 = ConsoleKind::Ns16550(words);
    let lpuart = |first, big_endian| ConsoleKind::Lpuart(LpuartLayout { first, big_endian });
    for (compatible, kind) in [
        (&b"arm,pl011\0arm,primecell\0"[..], ConsoleKind::Pl011),
        // HiSilicon D05.
        (b"arm,sbsa-uart\0", ConsoleKind::Sbsa),
        // ZynqMP, Zynq.
        (b"xlnx,zynqmp-uart\0cdns,uart-r1p12\0", ConsoleKind::Cadence),
        (b"xlnx,xuartps\0cdns,uart-r1p8\0", ConsoleKind::Cadence),
        (b"fsl,imx8mp-uart\0fsl,imx6q-uart\0", ConsoleKind::Imx),
        (b"fsl,imx8mm-uart\0fsl,imx6q-uart\0fsl,imx21-uart\0", ConsoleKind::Imx),
        (b"brcm,bcm2835-aux-uart\0", ConsoleKind::Bcm2835Aux),
        // Words, of which the nodes say nothing.
        (b"mediatek,mt8183-uart\0mediatek,mt6577-uart\0", ns16550),
        (b"ti,am64-uart\0ti,am654-uart\0", ns16550),
        (b"ti,j721e-uart\0ti,am654-uart\0", ns16550),
        (b"ti,am654-uart\0", ns16550),
        (b"nvidia,tegra210-uart\0nvidia,tegra20-uart\0", ns16550),
        // GXBB, G12A, A1, and two that name nothing older than S4.
        (b"amlogic,meson-gx-uart\0amlogic,meson-ao-uart\0", ConsoleKind::Meson),
        (
            b"amlogic,meson-g12a-uart\0amlogic,meson-gx-uart\0amlogic,meson-ao-uart\0",
            ConsoleKind::Meson,
        ),
        (b"amlogic,meson-a1-uart\0amlogic,meson-ao-uart\0", ConsoleKind::Meson),
        (b"amlogic,a4-uart\0amlogic,meson-s4-uart\0", ConsoleKind::Meson),
        (b"amlogic,t7-uart\0amlogic,meson-s4-uart\0", ConsoleKind::Meson),
        // BAUD is the fifth register of i.MX's, the first of Layerscape's.
        (b"fsl,imx8qm-lpuart\0fsl,imx8qxp-lpuart\0", lpuart(0x10, false)),
        (b"fsl,imx93-lpuart\0fsl,imx8ulp-lpuart\0fsl,imx7ulp-lpuart\0", lpuart(0x10, false)),
        (b"fsl,imx8ulp-lpuart\0fsl,imx7ulp-lpuart\0", lpuart(0x10, false)),
        (b"fsl,ls1028a-lpuart\0", lpuart(0, false)),
        (b"fsl,ls1021a-lpuart\0", lpuart(0, true)),
        (b"qcom,geni-debug-uart\0", ConsoleKind::Geni),
        (b"marvell,armada-3700-uart\0", ConsoleKind::Armada),
    ] {
        let console = console_of(uart("serial@1000", 0x1000, compatible, [])).unwrap();
        let expected = Console { kind, registers: range(0x1000, 0x100), interrupt: Some(37) };
        assert_eq!(console, expected, "{}", compatible.escape_ascii());
    }
    let spaced = |shift: u32, width: u32| {
        let more = [("reg-shift", &cells([shift])[..]), ("reg-io-width", &cells([width])[..])];
        let compatible = b"rockchip,rk3399-uart\0snps,dw-apb-uart\0";
        console_of(uart("serial@1000", 0x1000, compatible, more)).unwrap().kind
    };
    let unsupported = ConsoleKind::Unsupported(NodeName::new(b"/serial@1000"));
    assert_eq!(spaced(2, 4), ConsoleKind::Ns16550(words));
    assert_eq!(spaced(2, 1), ConsoleKind::Ns16550(RegisterSpacing { shift: 2, words: false }));
    assert_eq!(spaced(0, 1), ConsoleKind::Ns16550(RegisterSpacing { shift: 0, words: false }));
    // Not aligned, too far apart, no such access: no driver, rather than a wrong register.
    assert_eq!(spaced(1, 4), unsupported);
    assert_eq!(spaced(3, 1), unsupported);
    assert_eq!(spaced(2, 2), unsupported);
}

#[test]
fn only_a_shared_interrupt_serves_the_console() {
    let console = |interrupts: &[u8]| {
        let mut uart = uart("serial@1000", 0x1000, b"arm,pl011\0", []);
        uart.add_property(dtoolkit::model::DeviceTreeProperty::new_unchecked(
            "interrupts",
            interrupts,
        ));
        let console = console_of(uart).unwrap();
        (console.interrupt, console.shared_interrupt())
    };
    assert_eq!(console(&cells([0, 0, 4])), (Some(32), Some(32)));
    assert_eq!(console(&cells([0, 987, 4])), (Some(1019), Some(1019)));
    assert_eq!(console(&cells([1, 15, 4])), (Some(31), None));
    assert_eq!(console(&cells([1, 0, 4])), (Some(16), None));
    assert_eq!(console(b""), (None, None));
    // Edges (`arm,gic.yaml`: 1 and 2), of which EL2 would miss some; Meson's UARTs make those.
    assert_eq!(console(&cells([0, 193, 1])), (None, None));
    assert_eq!(console(&cells([0, 193, 2])), (None, None));
    assert_eq!(console(&cells([0, 193, 8])), (Some(225), Some(225)));
}

#[test]
fn a_16550_without_more_words_has_bytes_in_a_row_and_may_begin_later() {
    let console = console_of(uart("serial@1000", 0x1000, b"ns16550a\0", [])).unwrap();
    let bytes = ConsoleKind::Ns16550(RegisterSpacing { shift: 0, words: false });
    assert_eq!((console.kind, console.registers), (bytes, range(0x1000, 0x100)));
    let offset = |offset: u32| {
        let more = [("reg-offset", &cells([offset])[..])];
        console_of(uart("serial@1000", 0x1000, b"ns16550a\0", more)).unwrap().registers
    };
    assert_eq!(offset(0x40), range(0x1040, 0xc0));
    // Nothing is left to map, so there is no console.
    assert!(offset(0x100).is_empty() && offset(u32::MAX).is_empty());
}

#[test]
fn the_tree_chooses_among_several() {
    let uarts = || {
        std::vec![
            uart("serial@3000", 0x3000, b"vendor,odd-uart\0", []),
            uart("serial@1000", 0x1000, b"cdns,uart-r1p12\0", []),
            uart("serial@2000", 0x2000, b"arm,pl011\0", []),
        ]
    };
    let base = |stdout: &[u8]| {
        let console = Machine::from_tree(&machine_with(stdout, uarts())).unwrap().console.unwrap();
        (console.kind, console.registers.base().get())
    };
    assert_eq!(base(b"/serial@2000:115200n8\0"), (ConsoleKind::Pl011, 0x2000));
    assert_eq!(base(b"/serial@1000\0"), (ConsoleKind::Cadence, 0x1000));
    // Nothing is named: the first one with a driver.
    assert_eq!(base(b"\0"), (ConsoleKind::Cadence, 0x1000));
    // One without a driver is named: nothing is guessed.
    let odd = ConsoleKind::Unsupported(NodeName::new(b"/serial@3000"));
    assert_eq!(base(b"/serial@3000\0").0, odd);
}
