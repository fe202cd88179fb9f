//! The Cadence UART of Zynq and ZynqMP.

use tock_registers::interfaces::{Readable, Writeable};

use super::mmio::{Mmio, Registers};
use super::port::Port;
use super::registers::cadence::{Block, CR, FIFO, INTERRUPTS, SR};

/// A Cadence UART.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cadence(Registers<Block>);

impl Cadence {
    /// The UART whose registers these are; `None` where they are too few.
    pub(super) fn new(mapped: Mmio) -> Option<Self> {
        mapped.registers(0).map(Self)
    }
}

impl Port for Cadence {
    fn take_over(&mut self) {
        self.0.idr.write(INTERRUPTS::ALL::SET);
        self.0.isr.write(INTERRUPTS::ALL::SET);
        // Each byte that is received counts.
        self.0.rtrig.set(1);
        // With both disable bits off.
        self.0.cr.write(CR::RXEN::SET + CR::TXEN::SET);
    }

    fn room(self) -> usize {
        usize::from(!self.0.sr.is_set(SR::TFUL))
    }

    fn push(self, byte: u8) {
        self.0.fifo.set(u32::from(byte));
    }

    fn pull(self) -> Option<u8> {
        if self.0.sr.is_set(SR::REMPTY) {
            // The interrupt stays until it is told that the FIFO was read. Whatever came in between
            // is there before the FIFO is looked at again.
            self.0.isr.write(INTERRUPTS::RTRIG::SET);
            if self.0.sr.is_set(SR::REMPTY) {
                return None;
            }
        }
        let [byte, ..] = self.0.fifo.read(FIFO::DATA).to_le_bytes();
        Some(byte)
    }

    fn is_idle(self) -> bool {
        let status = self.0.sr.extract();
        status.is_set(SR::TEMPTY) && !status.is_set(SR::TACTIVE)
    }

    fn set_interrupts(self, receive: bool, transmit: bool) {
        let bits = |receive, transmit| {
            INTERRUPTS::RTRIG.val(u32::from(receive)) + INTERRUPTS::TEMPTY.val(u32::from(transmit))
        };
        self.0.idr.write(bits(!receive, !transmit));
        self.0.ier.write(bits(receive, transmit));
    }

    fn acknowledge(self) {
        self.0.isr.set(self.0.imr.get() & INTERRUPTS::TEMPTY::SET.mask());
    }
}
