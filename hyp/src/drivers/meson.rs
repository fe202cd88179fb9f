//! The UART of Amlogic's Meson family.

use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

use super::mmio::{Mmio, Registers};
use super::port::Port;
use super::registers::meson::{Block, CONTROL, LEVELS, RFIFO, STATUS};

/// An Amlogic UART.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meson(Registers<Block>);

impl Meson {
    /// The UART whose registers these are; `None` where they are too few.
    pub(super) fn new(mapped: Mmio) -> Option<Self> {
        mapped.registers(0).map(Self)
    }
}

impl Port for Meson {
    fn take_over(&mut self) {
        self.set_interrupts(false, false);
        self.0.levels.write(LEVELS::RX.val(1) + LEVELS::TX.val(1));
        let on = CONTROL::TX_EN::SET + CONTROL::RX_EN::SET + CONTROL::TWO_WIRE::SET;
        self.0.control.modify(on + CONTROL::CLEAR_ERR::SET);
        self.0.control.modify(CONTROL::CLEAR_ERR::CLEAR);
    }

    fn room(self) -> usize {
        usize::from(!self.0.status.is_set(STATUS::TX_FULL))
    }

    fn push(self, byte: u8) {
        self.0.wfifo.set(u32::from(byte));
    }

    fn pull(self) -> Option<u8> {
        if self.0.status.is_set(STATUS::RX_EMPTY) {
            return None;
        }
        let [byte, ..] = self.0.rfifo.read(RFIFO::DATA).to_le_bytes();
        Some(byte)
    }

    fn is_idle(self) -> bool {
        let status = self.0.status.extract();
        status.is_set(STATUS::TX_EMPTY) && !status.is_set(STATUS::TX_BUSY)
    }

    fn set_interrupts(self, receive: bool, transmit: bool) {
        self.0.control.modify(
            CONTROL::RX_INT.val(u32::from(receive)) + CONTROL::TX_INT.val(u32::from(transmit)),
        );
    }

    fn acknowledge(self) {
        // An interrupt is a pulse: it has ended.
    }
}
