//! Values of `compatible` that are known, and what each asks for.

use super::parts::{ConsoleKind, LpuartLayout, RegisterSpacing};
use super::properties::{Key, Properties};

/// What a device is driven by.
#[derive(Clone, Copy)]
pub(super) enum Driver {
    GicV3,
    GicV3Its,
    GicV2,
    Timer,
    Psci,
    Pl011,
    Sbsa,
    Cadence,
    Imx,
    Bcm2835Aux,
    /// A 16550 whose registers lie as its node says.
    Ns16550,
    /// A 16550 whose registers are words of 32 bits, whatever its node says.
    Ns16550Words,
    Meson,
    /// An LPUART that begins with four registers about itself.
    Lpuart,
    /// One that does not.
    LpuartOld,
    /// One that does not, of big-endian registers.
    LpuartBigEndian,
    Geni,
    Armada,
}

/// The table; [`driver`] rules others out by their first letter. The bindings are the files of the parts.
///
/// A table, because the compiler makes a comparison that it knows one side of into a row of its own instructions.
static KNOWN: [(&[u8], Driver); 42] = [
    (b"arm,gic-v3", Driver::GicV3),
    (b"arm,gic-v3-its", Driver::GicV3Its),
    (b"arm,gic-400", Driver::GicV2),
    (b"arm,cortex-a15-gic", Driver::GicV2),
    (b"arm,cortex-a7-gic", Driver::GicV2),
    (b"arm,armv8-timer", Driver::Timer),
    (b"arm,armv7-timer", Driver::Timer),
    (b"arm,psci", Driver::Psci),
    (b"arm,psci-0.2", Driver::Psci),
    (b"arm,psci-1.0", Driver::Psci),
    (b"arm,pl011", Driver::Pl011),
    (b"arm,sbsa-uart", Driver::Sbsa),
    (b"cdns,uart-r1p8", Driver::Cadence),
    (b"cdns,uart-r1p12", Driver::Cadence),
    (b"xlnx,xuartps", Driver::Cadence),
    (b"fsl,imx6q-uart", Driver::Imx),
    (b"fsl,imx21-uart", Driver::Imx),
    (b"brcm,bcm2835-aux-uart", Driver::Bcm2835Aux),
    (b"ns8250", Driver::Ns16550),
    (b"ns16450", Driver::Ns16550),
    (b"ns16550", Driver::Ns16550),
    (b"ns16550a", Driver::Ns16550),
    (b"snps,dw-apb-uart", Driver::Ns16550),
    // `mediatek,uart.yaml`, `8250_omap.yaml`, Linux's `8250_tegra.c`: the node does not say how they lie.
    (b"mediatek,mt6577-uart", Driver::Ns16550Words),
    (b"ti,am654-uart", Driver::Ns16550Words),
    (b"nvidia,tegra20-uart", Driver::Ns16550Words),
    (b"amlogic,meson-uart", Driver::Meson),
    (b"amlogic,meson-ao-uart", Driver::Meson),
    (b"amlogic,meson6-uart", Driver::Meson),
    (b"amlogic,meson8-uart", Driver::Meson),
    (b"amlogic,meson8b-uart", Driver::Meson),
    (b"amlogic,meson-gx-uart", Driver::Meson),
    (b"amlogic,meson-g12a-uart", Driver::Meson),
    (b"amlogic,meson-s4-uart", Driver::Meson),
    (b"amlogic,meson-a1-uart", Driver::Meson),
    (b"fsl,imx7ulp-lpuart", Driver::Lpuart),
    (b"fsl,imx8ulp-lpuart", Driver::Lpuart),
    (b"fsl,imx8qxp-lpuart", Driver::Lpuart),
    (b"fsl,ls1028a-lpuart", Driver::LpuartOld),
    (b"fsl,ls1021a-lpuart", Driver::LpuartBigEndian),
    (b"qcom,geni-debug-uart", Driver::Geni),
    (b"marvell,armada-3700-uart", Driver::Armada),
];

/// Values of `compatible` of the UARTs that there is a driver for.
pub fn uart_compatibles() -> impl Iterator<Item = &'static [u8]> {
    let is_uart = |driver: &Driver| {
        !matches!(
            driver,
            Driver::GicV3 | Driver::GicV3Its | Driver::GicV2 | Driver::Timer | Driver::Psci
        )
    };
    KNOWN.iter().filter(move |(_, driver)| is_uart(driver)).map(|(name, _)| *name)
}

/// What a device that is compatible with this is driven by.
pub(super) fn driver(compatible: &[u8]) -> Option<Driver> {
    if !matches!(
        compatible.first(),
        Some(b'a'..=b'c' | b'f' | b'm' | b'n' | b'q' | b's' | b't' | b'x')
    ) {
        return None;
    }
    KNOWN.iter().find(|(name, _)| *name == compatible).map(|(_, driver)| *driver)
}

impl Driver {
    /// The console that `node` would be; `None` where it is no UART, or one whose registers cannot be reached.
    pub(super) fn console(self, node: &Properties<'_>) -> Option<ConsoleKind> {
        let lpuart = |first, big_endian| ConsoleKind::Lpuart(LpuartLayout { first, big_endian });
        Some(match self {
            Self::GicV3 | Self::GicV3Its | Self::GicV2 | Self::Timer | Self::Psci => return None,
            Self::Pl011 => ConsoleKind::Pl011,
            Self::Sbsa => ConsoleKind::Sbsa,
            Self::Cadence => ConsoleKind::Cadence,
            Self::Imx => ConsoleKind::Imx,
            Self::Bcm2835Aux => ConsoleKind::Bcm2835Aux,
            Self::Ns16550 => ConsoleKind::Ns16550(spacing(node)?),
            Self::Ns16550Words => ConsoleKind::Ns16550(RegisterSpacing { shift: 2, words: true }),
            Self::Meson => ConsoleKind::Meson,
            Self::Lpuart => lpuart(LpuartLayout::BEHIND_IDENTITY, false),
            Self::LpuartOld => lpuart(0, false),
            Self::LpuartBigEndian => lpuart(0, true),
            Self::Geni => ConsoleKind::Geni,
            Self::Armada => ConsoleKind::Armada,
        })
    }
}

/// How the registers of a 16550 lie; without a word in the tree they are bytes in a row.
fn spacing(node: &Properties<'_>) -> Option<RegisterSpacing> {
    let shift = node.number(Key::RegShift).unwrap_or(0);
    let words = match node.number(Key::RegIoWidth) {
        None | Some(1) => false,
        Some(4) if shift == 2 => true,
        _ => return None,
    };
    (shift <= 2).then_some(RegisterSpacing { shift, words })
}
