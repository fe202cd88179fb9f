//! The 8250 and 16550 with their offspring: the DesignWare UART (`DW_apb_uart` databook), the mini
//! UART of BCM2835 and BCM2711 (BCM2835 ARM Peripherals, 2.2, with its errata).
//!
//! Register numbers and bits: TL16C550 data sheet (SLLS177), table 3.

use hyp_core::tree::machine::RegisterSpacing;
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::ReadWrite;

use super::mmio::{Mmio, Registers};
use super::port::Port;

/// Register numbers: the first means a byte received when read, to be sent when written.
mod register {
    pub(super) const DATA: usize = 0;
    /// Interrupt enable.
    pub(super) const IER: usize = 1;
    /// Interrupt identification when read, FIFO control when written.
    pub(super) const IIR_FCR: usize = 2;
    /// Modem control.
    pub(super) const MCR: usize = 4;
    /// Line status.
    pub(super) const LSR: usize = 5;
    /// How many are used.
    pub(super) const COUNT: usize = 6;
    /// Only the DesignWare UART: the status whose reading ends a busy-detect interrupt.
    pub(super) const USR: usize = 31;
}

/// IER: byte received.
const IER_RECEIVED: u8 = 1 << 0;
/// IER: the transmit FIFO is empty.
const IER_EMPTY: u8 = 1 << 1;
/// IER: error of the line. The mini UART gives no receive interrupt without it.
const IER_LINE: u8 = 1 << 2;
/// FCR: FIFOs on, the receive interrupt from the first byte on.
const FCR_ENABLE: u8 = 1;
/// IIR: FIFOs are on and work.
const IIR_FIFOS: u8 = 0b11 << 6;
/// IIR: what interrupts.
const IIR_ID: u8 = 0xf;
/// IIR: a write to the line control came while the UART was busy (DesignWare).
const IIR_BUSY: u8 = 0x7;
/// MCR: DTR, RTS, and OUT2, which on many boards lets the interrupt out.
const MCR_READY: u8 = 1 << 0 | 1 << 1 | 1 << 3;
/// LSR: a byte was received.
const LSR_RECEIVED: u8 = 1 << 0;
/// LSR: the transmit FIFO is empty; of the mini UART: has room.
const LSR_EMPTY: u8 = 1 << 5;
/// LSR: and the last byte is on the wire.
const LSR_IDLE: u8 = 1 << 6;
/// Bytes that a transmit FIFO takes if there is one: a 16550's, and no offspring has less.
const FIFO: usize = 16;

/// An 8250 or 16550.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ns16550 {
    registers: Mmio,
    spacing: RegisterSpacing,
    /// Bytes that the transmitter takes when it says that it does.
    burst: usize,
    /// The mini UART: says that it has room, not that its FIFO is empty.
    is_mini: bool,
}

impl Ns16550 {
    /// The UART whose registers these are; `None` where they are too few.
    pub(super) fn new(registers: Mmio, spacing: RegisterSpacing) -> Option<Self> {
        let uart = Self { registers, spacing, burst: 1, is_mini: false };
        uart.register(register::COUNT - 1).map(|_| uart)
    }

    /// The mini UART, whose registers are four bytes apart whatever its node says (Linux,
    /// `drivers/tty/serial/8250/8250_bcm2835aux.c`).
    pub(super) fn mini(registers: Mmio) -> Option<Self> {
        let uart = Self::new(registers, RegisterSpacing { shift: 2, words: true })?;
        Some(Self { is_mini: true, ..uart })
    }

    fn register(self, number: usize) -> Option<Register> {
        let offset = number.checked_shl(self.spacing.shift)?;
        if self.spacing.words {
            self.registers.registers(offset).map(Register::Word)
        } else {
            self.registers.registers(offset).map(Register::Byte)
        }
    }

    fn read(self, number: usize) -> u8 {
        match self.register(number) {
            Some(Register::Byte(register)) => register.get(),
            Some(Register::Word(register)) => {
                let [byte, ..] = register.get().to_le_bytes();
                byte
            }
            None => 0,
        }
    }

    fn write(self, number: usize, value: u8) {
        match self.register(number) {
            Some(Register::Byte(register)) => register.set(value),
            Some(Register::Word(register)) => register.set(u32::from(value)),
            None => {}
        }
    }

    fn line_has(self, bit: u8) -> bool {
        self.read(register::LSR) & bit != 0
    }
}

enum Register {
    Byte(Registers<ReadWrite<u8>>),
    Word(Registers<ReadWrite<u32>>),
}

impl Port for Ns16550 {
    fn take_over(&mut self) {
        // The line control stays as it is: firmware talked with it, and a DesignWare UART takes it
        // amiss while bytes arrive.
        self.write(register::IER, 0);
        self.write(register::IIR_FCR, FCR_ENABLE);
        self.write(register::MCR, MCR_READY);
        if !self.is_mini && self.read(register::IIR_FCR) & IIR_FIFOS == IIR_FIFOS {
            self.burst = FIFO;
        }
    }

    fn room(self) -> usize {
        if self.line_has(LSR_EMPTY) { self.burst } else { 0 }
    }

    fn push(self, byte: u8) {
        self.write(register::DATA, byte);
    }

    fn pull(self) -> Option<u8> {
        self.line_has(LSR_RECEIVED).then(|| self.read(register::DATA))
    }

    fn is_idle(self) -> bool {
        self.line_has(LSR_IDLE)
    }

    fn set_interrupts(self, receive: bool, transmit: bool) {
        let receive = if receive { IER_RECEIVED | IER_LINE } else { 0 };
        let transmit = if transmit { IER_EMPTY } else { 0 };
        self.write(register::IER, receive | transmit);
    }

    fn acknowledge(self) {
        // Reading says that the transmit FIFO is known to be empty; an error of the line ends when
        // the line's status is read, with the bytes.
        if self.read(register::IIR_FCR) & IIR_ID == IIR_BUSY {
            self.read(register::USR);
        }
    }
}
