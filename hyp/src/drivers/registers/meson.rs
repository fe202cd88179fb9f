//! Registers of Amlogic's UART (S905X data sheet, "UART Interface").

use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {u32,
    /// A byte that was received.
    pub(crate) RFIFO [
        DATA OFFSET(0) NUMBITS(8) [],
    ],
    /// Control.
    pub(crate) CONTROL [
        TX_EN OFFSET(12) NUMBITS(1) [],
        RX_EN OFFSET(13) NUMBITS(1) [],
        /// Sends whatever the other side's RTS says.
        TWO_WIRE OFFSET(15) NUMBITS(1) [],
        /// Forgets errors of the line while it is set.
        CLEAR_ERR OFFSET(24) NUMBITS(1) [],
        /// Interrupt where a byte is received.
        RX_INT OFFSET(27) NUMBITS(1) [],
        /// Interrupt where the transmit FIFO drains.
        TX_INT OFFSET(28) NUMBITS(1) [],
    ],
    /// Status.
    pub(crate) STATUS [
        RX_EMPTY OFFSET(20) NUMBITS(1) [],
        TX_FULL OFFSET(21) NUMBITS(1) [],
        TX_EMPTY OFFSET(22) NUMBITS(1) [],
        /// The transmitter works on a byte.
        TX_BUSY OFFSET(25) NUMBITS(1) [],
    ],
    /// Levels of the FIFOs at which they interrupt.
    pub(crate) LEVELS [
        RX OFFSET(0) NUMBITS(8) [],
        TX OFFSET(8) NUMBITS(8) [],
    ],
}

register_structs! {
    /// The registers that are used.
    pub(crate) Block {
        (0x00 => pub(crate) wfifo: WriteOnly<u32>),
        (0x04 => pub(crate) rfifo: ReadOnly<u32, RFIFO::Register>),
        (0x08 => pub(crate) control: ReadWrite<u32, CONTROL::Register>),
        (0x0c => pub(crate) status: ReadOnly<u32, STATUS::Register>),
        (0x10 => pub(crate) levels: ReadWrite<u32, LEVELS::Register>),
        (0x14 => @END),
    }
}
