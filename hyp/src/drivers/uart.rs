//! The machine's UART that carries the console, whichever it is.

use hyp_core::tree::machine::{Console, ConsoleKind};

use super::armada::Armada;
use super::cadence::Cadence;
use super::geni::Geni;
use super::imx::Imx;
use super::lpuart::Lpuart;
use super::meson::Meson;
use super::mmio::Mmio;
use super::ns16550::Ns16550;
use super::pl011::Pl011;
use super::port::Port;

/// How often a state is looked at before waiting for it is given up: a UART that is not there
/// must not stop the machine. Generous for a full FIFO at 9600 baud.
const PATIENCE: u32 = 10_000_000;

/// A UART.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Uart {
    /// PL011.
    Pl011(Pl011),
    /// Cadence.
    Cadence(Cadence),
    /// i.MX.
    Imx(Imx),
    /// 8250, 16550.
    Ns16550(Ns16550),
    /// Amlogic's.
    Meson(Meson),
    /// LPUART.
    Lpuart(Lpuart),
    /// Qualcomm's.
    Geni(Geni),
    /// Armada 37xx's.
    Armada(Armada),
}

/// Does something with the [`Port`], of whatever type.
macro_rules! with_port {
    ($uart:expr, $port:ident => $do:expr) => {
        match $uart {
            Uart::Pl011($port) => $do,
            Uart::Cadence($port) => $do,
            Uart::Imx($port) => $do,
            Uart::Ns16550($port) => $do,
            Uart::Meson($port) => $do,
            Uart::Lpuart($port) => $do,
            Uart::Geni($port) => $do,
            Uart::Armada($port) => $do,
        }
    };
}

impl Uart {
    /// Takes the UART over from firmware: lets it finish, then FIFOs on and interrupts off. `None`
    /// where there is no driver or the tree gives it too few bytes of registers.
    pub(crate) fn new(console: &Console, mapped: Mmio) -> Option<Self> {
        let mut uart = match console.kind {
            ConsoleKind::Pl011 => Self::Pl011(Pl011::new(mapped)?),
            ConsoleKind::Sbsa => Self::Pl011(Pl011::generic(mapped)?),
            ConsoleKind::Cadence => Self::Cadence(Cadence::new(mapped)?),
            ConsoleKind::Imx => Self::Imx(Imx::new(mapped)?),
            ConsoleKind::Ns16550(spacing) => Self::Ns16550(Ns16550::new(mapped, spacing)?),
            ConsoleKind::Bcm2835Aux => Self::Ns16550(Ns16550::mini(mapped)?),
            ConsoleKind::Meson => Self::Meson(Meson::new(mapped)?),
            ConsoleKind::Lpuart(layout) => Self::Lpuart(Lpuart::new(mapped, layout)?),
            ConsoleKind::Geni => Self::Geni(Geni::new(mapped)?),
            ConsoleKind::Armada => Self::Armada(Armada::new(mapped)?),
            ConsoleKind::Unsupported(_) => return None,
        };
        uart.wait_idle();
        with_port!(&mut uart, port => port.take_over());
        Some(uart)
    }

    /// Gives the transmit FIFO what it takes; `next` has no more when it says `None`.
    pub(crate) fn fill(&self, mut next: impl FnMut() -> Option<u8>) {
        with_port!(self, port => loop {
            let room = port.room();
            if room == 0 {
                return;
            }
            for _ in 0..room {
                if !injected!(console_takes_byte(), true) {
                    return;
                }
                let Some(byte) = next() else { return };
                port.push(byte);
            }
        });
    }

    /// Sends one byte, waiting for room.
    pub(crate) fn put(&self, byte: u8) {
        with_port!(self, port => {
            wait_for(|| port.room() > 0 && injected!(console_takes_byte(), true));
            port.push(byte);
        });
    }

    /// Takes one byte that was received.
    pub(crate) fn try_get(&self) -> Option<u8> {
        with_port!(self, port => port.pull())
    }

    /// Waits until the last byte is on the wire.
    pub(crate) fn wait_idle(&self) {
        with_port!(self, port => wait_for(|| port.is_idle()));
    }

    /// See [`Port::set_interrupts`].
    pub(crate) fn set_interrupts(&self, receive: bool, transmit: bool) {
        with_port!(self, port => port.set_interrupts(receive, transmit));
    }

    /// See [`Port::acknowledge`].
    pub(crate) fn acknowledge(&self) {
        with_port!(self, port => port.acknowledge());
    }
}

fn wait_for(state: impl Fn() -> bool) {
    for _ in 0..PATIENCE {
        if state() {
            return;
        }
        crate::arch::cpu::yield_now();
    }
}
