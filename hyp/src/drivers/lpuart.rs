//! The LPUART of i.MX 7ULP, 8ULP, 8X, 8QuadMax and 9, and of Layerscape.

use hyp_core::tree::machine::LpuartLayout;
use tock_registers::LocalRegisterCopy;
use tock_registers::RegisterLongName;
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::ReadWrite;

use super::mmio::{Mmio, Registers};
use super::port::Port;
use super::registers::lpuart::{Block, CTRL, DATA, FIFO, STAT};

/// An LPUART.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lpuart {
    registers: Registers<Block>,
    big_endian: bool,
    /// Bytes that the transmit FIFO takes when it is empty.
    depth: usize,
}

impl Lpuart {
    /// The UART whose registers these are; `None` where they are too few.
    pub(super) fn new(mapped: Mmio, layout: LpuartLayout) -> Option<Self> {
        let registers = mapped.registers(usize::from(layout.first))?;
        Some(Self { registers, big_endian: layout.big_endian, depth: 1 })
    }

    fn get<R: RegisterLongName>(self, register: &ReadWrite<u32>) -> LocalRegisterCopy<u32, R> {
        let value = register.get();
        LocalRegisterCopy::new(if self.big_endian { value.swap_bytes() } else { value })
    }

    fn set(self, register: &ReadWrite<u32>, value: u32) {
        register.set(if self.big_endian { value.swap_bytes() } else { value });
    }

    fn status(self) -> LocalRegisterCopy<u32, STAT::Register> {
        self.get(&self.registers.stat)
    }
}

impl Port for Lpuart {
    fn take_over(&mut self) {
        let Block { ctrl, fifo, water, .. } = &*self.registers;
        let mut control = self.get(ctrl);
        control.modify(CTRL::MATCHES::CLEAR + CTRL::LEVELS::CLEAR + CTRL::ERRORS::CLEAR);
        control.modify(CTRL::RE::CLEAR + CTRL::TE::CLEAR);
        self.set(ctrl, control.get());
        let mut fifos = self.get(fifo);
        fifos.modify(FIFO::RXFE::SET + FIFO::TXFE::SET);
        self.set(fifo, fifos.get());
        // One byte received, an empty transmit FIFO.
        self.set(water, 0);
        self.depth = match fifos.read(FIFO::TXFIFOSIZE) {
            0 => 1,
            size => 2 << size,
        };
        control.modify(CTRL::RE::SET + CTRL::TE::SET);
        self.set(ctrl, control.get());
    }

    fn room(self) -> usize {
        if self.status().is_set(STAT::TDRE) { self.depth } else { 0 }
    }

    fn push(self, byte: u8) {
        self.set(&self.registers.data, u32::from(byte));
    }

    fn pull(self) -> Option<u8> {
        let data = || self.get::<DATA::Register>(&self.registers.data).read(DATA::DATA);
        let [byte, ..] = self.status().is_set(STAT::RDRF).then(data)?.to_le_bytes();
        Some(byte)
    }

    fn is_idle(self) -> bool {
        self.status().is_set(STAT::TC)
    }

    fn set_interrupts(self, receive: bool, transmit: bool) {
        let ctrl = &self.registers.ctrl;
        let mut control = self.get::<CTRL::Register>(ctrl);
        control.modify(CTRL::RIE.val(u32::from(receive)) + CTRL::TIE.val(u32::from(transmit)));
        self.set(ctrl, control.get());
    }

    fn acknowledge(self) {
        // Levels of the FIFOs interrupt; but nothing is received until an overrun is acknowledged.
        self.set(&self.registers.stat, self.status().get() & !STAT::EDGES::SET.mask());
    }
}
