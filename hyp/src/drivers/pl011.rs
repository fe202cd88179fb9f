//! The PL011 (PrimeCell UART, DDI 0183, r1p5), and the part of it that BSA demands of a Generic UART (DEN 0094,
//! "Generic UART"): the same but for the line's settings, levels and the switch, which are fixed.

use tock_registers::interfaces::{Readable, Writeable};

use super::mmio::{Mmio, Registers};
use super::port::Port;
use super::registers::pl011::{Block, CR, DR, FR, INTERRUPTS, LCR_H};

/// A PL011.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pl011 {
    registers: Registers<Block>,
    /// A Generic UART: registers from LCR_H to IFLS may be missing.
    is_generic: bool,
}

impl Pl011 {
    /// The UART whose registers these are; `None` where they are too few.
    pub(super) fn new(mapped: Mmio) -> Option<Self> {
        Some(Self { registers: mapped.registers(0)?, is_generic: false })
    }

    /// The Generic UART whose registers these are; `None` where they are too few.
    pub(super) fn generic(mapped: Mmio) -> Option<Self> {
        Some(Self { is_generic: true, ..Self::new(mapped)? })
    }
}

impl Port for Pl011 {
    fn take_over(&mut self) {
        self.registers.imsc.set(0);
        if self.is_generic {
            self.registers.icr.write(INTERRUPTS::ALL::SET);
            return;
        }
        // LCR_H may only change while the UART is off (DDI 0183, 3.3.7).
        self.registers.cr.set(0);
        self.registers.lcr_h.write(LCR_H::WLEN::Bits8 + LCR_H::FEN::SET);
        // The lowest levels of both FIFOs.
        self.registers.ifls.set(0);
        self.registers.icr.write(INTERRUPTS::ALL::SET);
        self.registers.cr.write(CR::RXE::SET + CR::TXE::SET + CR::UARTEN::SET);
    }

    fn room(self) -> usize {
        usize::from(!self.registers.fr.is_set(FR::TXFF))
    }

    fn push(self, byte: u8) {
        self.registers.dr.set(u32::from(byte));
    }

    fn pull(self) -> Option<u8> {
        if self.registers.fr.is_set(FR::RXFE) {
            return None;
        }
        let [byte, ..] = self.registers.dr.read(DR::DATA).to_le_bytes();
        Some(byte)
    }

    fn is_idle(self) -> bool {
        !self.registers.fr.is_set(FR::BUSY)
    }

    fn set_interrupts(self, receive: bool, transmit: bool) {
        let receive = u32::from(receive);
        self.registers.imsc.write(
            INTERRUPTS::RX.val(receive)
                + INTERRUPTS::RT.val(receive)
                + INTERRUPTS::TX.val(u32::from(transmit)),
        );
    }

    fn acknowledge(self) {
        // The receive interrupts end when the FIFO is read (DDI 0183, 3.4).
        let received = INTERRUPTS::RX::SET + INTERRUPTS::RT::SET;
        self.registers.icr.set(self.registers.mis.get() & !received.mask());
    }
}
