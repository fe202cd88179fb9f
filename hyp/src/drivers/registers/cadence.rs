//! Registers of the Cadence UART (Zynq UltraScale+ TRM, UG1085, "UART Controller"; UG1087, "UART
//! Module").

use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {u32,
    /// Control.
    pub(crate) CR [
        RXEN OFFSET(2) NUMBITS(1) [],
        TXEN OFFSET(4) NUMBITS(1) [],
    ],
    /// Interrupts: IER, IDR, IMR and ISR have the same bits.
    pub(crate) INTERRUPTS [
        /// The receive FIFO reaches its level.
        RTRIG OFFSET(0) NUMBITS(1) [],
        /// The transmit FIFO is empty.
        TEMPTY OFFSET(3) NUMBITS(1) [],
        ALL OFFSET(0) NUMBITS(14) [],
    ],
    /// Status of this moment.
    pub(crate) SR [
        /// The receive FIFO is empty.
        REMPTY OFFSET(1) NUMBITS(1) [],
        /// The transmit FIFO is empty.
        TEMPTY OFFSET(3) NUMBITS(1) [],
        /// The transmit FIFO is full.
        TFUL OFFSET(4) NUMBITS(1) [],
        /// The transmitter works on a byte.
        TACTIVE OFFSET(11) NUMBITS(1) [],
    ],
    /// Received or sent byte.
    pub(crate) FIFO [
        DATA OFFSET(0) NUMBITS(8) [],
    ],
}

register_structs! {
    /// The registers that are used.
    pub(crate) Block {
        (0x00 => pub(crate) cr: ReadWrite<u32, CR::Register>),
        (0x04 => _mode),
        (0x08 => pub(crate) ier: WriteOnly<u32, INTERRUPTS::Register>),
        (0x0c => pub(crate) idr: WriteOnly<u32, INTERRUPTS::Register>),
        (0x10 => pub(crate) imr: ReadOnly<u32, INTERRUPTS::Register>),
        (0x14 => pub(crate) isr: ReadWrite<u32, INTERRUPTS::Register>),
        (0x18 => _baud_rate_and_timeout),
        (0x20 => pub(crate) rtrig: ReadWrite<u32>),
        (0x24 => _modem),
        (0x2c => pub(crate) sr: ReadOnly<u32, SR::Register>),
        (0x30 => pub(crate) fifo: ReadWrite<u32, FIFO::Register>),
        (0x34 => @END),
    }
}
