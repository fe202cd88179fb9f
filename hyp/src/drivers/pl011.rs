//! The PL011 (PrimeCell UART, DDI 0183, r1p5).

use tock_registers::interfaces::{Readable, Writeable};

use super::mmio::{Mmio, Registers};
use super::port::Port;
use super::registers::pl011::{Block, CR, DR, FR, INTERRUPTS, LCR_H};

/// A PL011.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pl011(Registers<Block>);

impl Pl011 {
    /// The UART whose registers these are; `None` where they are too few.
    pub(super) fn new(mapped: Mmio) -> Option<Self> {
        mapped.registers(0).map(Self)
    }
}

impl Port for Pl011 {
    fn take_over(&mut self) {
        // LCR_H may only change while the UART is off (DDI 0183, 3.3.7).
        self.0.imsc.set(0);
        self.0.cr.set(0);
        self.0.lcr_h.write(LCR_H::WLEN::Bits8 + LCR_H::FEN::SET);
        // The lowest levels of both FIFOs.
        self.0.ifls.set(0);
        self.0.icr.write(INTERRUPTS::ALL::SET);
        self.0.cr.write(CR::RXE::SET + CR::TXE::SET + CR::UARTEN::SET);
    }

    fn room(self) -> usize {
        usize::from(!self.0.fr.is_set(FR::TXFF))
    }

    fn push(self, byte: u8) {
        self.0.dr.set(u32::from(byte));
    }

    fn pull(self) -> Option<u8> {
        if self.0.fr.is_set(FR::RXFE) {
            return None;
        }
        let [byte, ..] = self.0.dr.read(DR::DATA).to_le_bytes();
        Some(byte)
    }

    fn is_idle(self) -> bool {
        !self.0.fr.is_set(FR::BUSY)
    }

    fn set_interrupts(self, receive: bool, transmit: bool) {
        let receive = u32::from(receive);
        self.0.imsc.write(
            INTERRUPTS::RX.val(receive)
                + INTERRUPTS::RT.val(receive)
                + INTERRUPTS::TX.val(u32::from(transmit)),
        );
    }

    fn acknowledge(self) {
        // The receive interrupts end when the FIFO is read (DDI 0183, 3.4).
        let received = INTERRUPTS::RX::SET + INTERRUPTS::RT::SET;
        self.0.icr.set(self.0.mis.get() & !received.mask());
    }
}
