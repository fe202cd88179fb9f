//! The first UART of Armada 37xx.

use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

use super::mmio::{Mmio, Registers};
use super::port::Port;
use super::registers::armada::{Block, CTRL, RBR, STAT};

/// An Armada 37xx UART.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Armada(Registers<Block>);

impl Armada {
    /// The UART whose registers these are; `None` where they are too few.
    pub(super) fn new(mapped: Mmio) -> Option<Self> {
        mapped.registers(0).map(Self)
    }
}

impl Port for Armada {
    fn take_over(&mut self) {
        self.0.ctrl.modify(CTRL::INTERRUPTS::CLEAR);
    }

    fn room(self) -> usize {
        usize::from(!self.0.stat.is_set(STAT::TX_FIFO_FULL))
    }

    fn push(self, byte: u8) {
        self.0.tsh.set(u32::from(byte));
    }

    fn pull(self) -> Option<u8> {
        let data = || self.0.rbr.read(RBR::DATA);
        let [byte, ..] = self.0.stat.is_set(STAT::RX_READY).then(data)?.to_le_bytes();
        Some(byte)
    }

    fn is_idle(self) -> bool {
        let status = self.0.stat.extract();
        status.is_set(STAT::TX_FIFO_EMPTY) && status.is_set(STAT::TX_EMPTY)
    }

    fn set_interrupts(self, receive: bool, transmit: bool) {
        let receive = CTRL::RX_READY.val(u32::from(receive));
        self.0.ctrl.modify(receive + CTRL::TX_READY.val(u32::from(transmit)));
    }

    fn acknowledge(self) {
        // Both interrupts follow the levels of the FIFOs.
    }
}
