//! Registers of the first UART of Armada 37xx (88F3720 functional specification, "UART"; Linux, `mvebu-uart.c`).

use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {u32,
    /// A byte that was received.
    pub(crate) RBR [
        DATA OFFSET(0) NUMBITS(8) [],
    ],
    /// Control.
    pub(crate) CTRL [
        /// Interrupt while a byte waits.
        RX_READY OFFSET(4) NUMBITS(1) [],
        /// Interrupt while there is room.
        TX_READY OFFSET(5) NUMBITS(1) [],
        /// All interrupts.
        INTERRUPTS OFFSET(0) NUMBITS(9) [],
    ],
    /// Status.
    pub(crate) STAT [
        RX_READY OFFSET(4) NUMBITS(1) [],
        /// The last byte is on the wire.
        TX_EMPTY OFFSET(6) NUMBITS(1) [],
        TX_FIFO_FULL OFFSET(11) NUMBITS(1) [],
        TX_FIFO_EMPTY OFFSET(13) NUMBITS(1) [],
    ],
}

register_structs! {
    /// The registers that are used.
    pub(crate) Block {
        (0x00 => pub(crate) rbr: ReadOnly<u32, RBR::Register>),
        (0x04 => pub(crate) tsh: WriteOnly<u32>),
        (0x08 => pub(crate) ctrl: ReadWrite<u32, CTRL::Register>),
        (0x0c => pub(crate) stat: ReadOnly<u32, STAT::Register>),
        (0x10 => @END),
    }
}
