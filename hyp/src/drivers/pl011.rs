//! The machine's PL011 (PrimeCell UART, DDI 0183, r1p5), which carries the console.
//!
//! Only moves bytes between the FIFOs and its caller. Keeps the baud rate that firmware chose.

use tock_registers::interfaces::{Readable, Writeable};

use super::mmio::{Mmio, Registers};
use super::registers::pl011::{Block, CR, DR, FR, INTERRUPTS, LCR_H};

/// How often a state is looked at before waiting for it is given up: a UART that is not there
/// must not stop the machine. Generous for a full FIFO at 9600 baud.
const PATIENCE: u32 = 10_000_000;

/// A PL011.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pl011(Registers<Block>);

impl Pl011 {
    /// Bytes of the register block.
    pub(crate) const SIZE: u64 = 0x1000;

    /// Takes the UART over from firmware: lets it finish, then FIFOs on and interrupts off. `None`
    /// where the mapping is too small for one.
    pub(crate) fn new(mapped: Mmio) -> Option<Self> {
        let registers = mapped.registers::<Block>(0)?;
        let uart = Self(registers);
        uart.wait_idle();
        // LCR_H may only change while the UART is off (DDI 0183, 3.3.7).
        registers.imsc.set(0);
        registers.cr.set(0);
        registers.lcr_h.write(LCR_H::WLEN::Bits8 + LCR_H::FEN::SET);
        // The lowest levels of both FIFOs.
        registers.ifls.set(0);
        registers.icr.write(INTERRUPTS::ALL::SET);
        registers.cr.write(CR::RXE::SET + CR::TXE::SET + CR::UARTEN::SET);
        Some(uart)
    }

    /// Whether the transmit FIFO takes a byte.
    pub(crate) fn has_room(self) -> bool {
        !self.0.fr.is_set(FR::TXFF)
    }

    /// Sends one byte, waiting for room.
    pub(crate) fn put(self, byte: u8) {
        for _ in 0..PATIENCE {
            if self.has_room() {
                break;
            }
            crate::arch::cpu::yield_now();
        }
        self.0.dr.set(u32::from(byte));
    }

    /// Takes one byte that was received. Errors of the line are not told apart.
    pub(crate) fn try_get(self) -> Option<u8> {
        if self.0.fr.is_set(FR::RXFE) {
            return None;
        }
        let [byte, ..] = self.0.dr.read(DR::DATA).to_le_bytes();
        Some(byte)
    }

    /// Waits until the last byte is on the wire.
    pub(crate) fn wait_idle(self) {
        for _ in 0..PATIENCE {
            if !self.0.fr.is_set(FR::BUSY) {
                return;
            }
            crate::arch::cpu::yield_now();
        }
    }

    /// Chooses the interrupts: always for received bytes if `receive`, and when the transmit FIFO
    /// drains below its level if `transmit`.
    pub(crate) fn set_interrupts(self, receive: bool, transmit: bool) {
        let receive = u32::from(receive);
        self.0.imsc.write(
            INTERRUPTS::RX.val(receive)
                + INTERRUPTS::RT.val(receive)
                + INTERRUPTS::TX.val(u32::from(transmit)),
        );
    }

    /// Acknowledges every interrupt that is pending and enabled, except for received bytes. Before
    /// FIFOs are served, so that what happens meanwhile is not lost.
    ///
    /// The receive interrupts end when the FIFO is read (DDI 0183, 3.4). Acknowledged while bytes
    /// stay there, because the guest cannot take more, they would not come back for those bytes.
    pub(crate) fn acknowledge(self) {
        let received = INTERRUPTS::RX::SET + INTERRUPTS::RT::SET;
        self.0.icr.set(self.0.mis.get() & !received.mask());
    }
}
