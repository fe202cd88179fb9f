//! The machine's PL011 (PrimeCell UART, DDI 0183, r1p5), which carries the console.
//!
//! Only moves bytes between the FIFOs and its caller. Keeps the baud rate that firmware chose.

use super::mmio::Mmio;

const DR: usize = 0x00;
const FR: usize = 0x18;
const LCR_H: usize = 0x2c;
const CR: usize = 0x30;
const IFLS: usize = 0x34;
const IMSC: usize = 0x38;
const MIS: usize = 0x40;
const ICR: usize = 0x44;

/// FR: the transmitter works on a byte, its FIFO is full, nothing was received.
const FR_BUSY: u32 = 1 << 3;
const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;
/// LCR_H: 8 bits a character, FIFOs on.
const LCR_H_8N1_FIFO: u32 = (0b11 << 5) | (1 << 4);
/// CR: receiver, transmitter and UART on.
const CR_ON: u32 = (1 << 9) | (1 << 8) | 1;
/// Interrupts: receive level, transmit level, receive timeout.
const INT_RX: u32 = 1 << 4;
const INT_TX: u32 = 1 << 5;
const INT_RT: u32 = 1 << 6;
const INT_ALL: u32 = 0x7ff;
/// How often a state is looked at before waiting for it is given up: a UART that is not there
/// must not stop the machine. Generous for a full FIFO at 9600 baud.
const PATIENCE: u32 = 10_000_000;

/// A PL011.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pl011(Mmio);

impl Pl011 {
    /// Bytes of the register block.
    pub(crate) const SIZE: u64 = 0x1000;

    /// Takes the UART over from firmware: lets it finish, then FIFOs on and interrupts off.
    pub(crate) fn new(registers: Mmio) -> Self {
        let uart = Self(registers);
        uart.wait_idle();
        // LCR_H may only change while the UART is off (DDI 0183, 3.3.7).
        registers.write32(IMSC, 0);
        registers.write32(CR, 0);
        registers.write32(LCR_H, LCR_H_8N1_FIFO);
        registers.write32(IFLS, 0);
        registers.write32(ICR, INT_ALL);
        registers.write32(CR, CR_ON);
        uart
    }

    /// Whether the transmit FIFO takes a byte.
    pub(crate) fn has_room(self) -> bool {
        self.0.read32(FR) & FR_TXFF == 0
    }

    /// Sends one byte, waiting for room.
    pub(crate) fn put(self, byte: u8) {
        for _ in 0..PATIENCE {
            if self.has_room() {
                break;
            }
            crate::arch::cpu::yield_now();
        }
        self.0.write32(DR, u32::from(byte));
    }

    /// Takes one byte that was received. Errors of the line are not told apart.
    pub(crate) fn try_get(self) -> Option<u8> {
        if self.0.read32(FR) & FR_RXFE != 0 {
            return None;
        }
        Some((self.0.read32(DR) & 0xff) as u8)
    }

    /// Waits until the last byte is on the wire.
    pub(crate) fn wait_idle(self) {
        for _ in 0..PATIENCE {
            if self.0.read32(FR) & FR_BUSY == 0 {
                return;
            }
            crate::arch::cpu::yield_now();
        }
    }

    /// Chooses the interrupts: always for received bytes if `receive`, and when the transmit FIFO
    /// drains below its level if `transmit`.
    pub(crate) fn set_interrupts(self, receive: bool, transmit: bool) {
        let receive = if receive { INT_RX | INT_RT } else { 0 };
        let transmit = if transmit { INT_TX } else { 0 };
        self.0.write32(IMSC, receive | transmit);
    }

    /// Acknowledges every interrupt that is pending and enabled, except for received bytes. Before
    /// FIFOs are served, so that what happens meanwhile is not lost.
    ///
    /// The receive interrupts end when the FIFO is read (DDI 0183, 3.4). Acknowledged while bytes
    /// stay there, because the guest cannot take more, they would not come back for those bytes.
    pub(crate) fn acknowledge(self) {
        self.0.write32(ICR, self.0.read32(MIS) & !(INT_RX | INT_RT));
    }
}
