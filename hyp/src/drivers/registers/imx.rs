//! Registers of the i.MX UART (i.MX 8M Plus Applications Processor Reference Manual, IMX8MPRM,
//! "Universal Asynchronous Receiver/Transmitter").

use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {u32,
    /// Receiver.
    pub(crate) URXD [
        DATA OFFSET(0) NUMBITS(8) [],
    ],
    /// Control 1.
    pub(crate) UCR1 [
        UARTEN OFFSET(0) NUMBITS(1) [],
        /// Interrupt while the receive FIFO reaches its level.
        RRDYEN OFFSET(9) NUMBITS(1) [],
        /// Interrupt while the transmit FIFO is below its level.
        TRDYEN OFFSET(13) NUMBITS(1) [],
    ],
    /// Control 2.
    pub(crate) UCR2 [
        /// Not in reset.
        SRST OFFSET(0) NUMBITS(1) [],
        RXEN OFFSET(1) NUMBITS(1) [],
        TXEN OFFSET(2) NUMBITS(1) [],
        /// Sends whatever the other side's RTS says.
        IRTS OFFSET(14) NUMBITS(1) [],
        /// Bytes of eight bits.
        WS OFFSET(5) NUMBITS(1) [],
    ],
    /// Control 3.
    pub(crate) UCR3 [
        /// "Should always be set".
        RXDMUXSEL OFFSET(2) NUMBITS(1) [],
    ],
    /// Control 4.
    pub(crate) UCR4 [
        /// Interrupts: data ready, overrun, break, transmission complete.
        INTERRUPTS OFFSET(0) NUMBITS(4) [],
    ],
    /// FIFO control.
    pub(crate) UFCR [
        /// Level of the receive FIFO.
        RXTL OFFSET(0) NUMBITS(6) [],
        /// Level of the transmit FIFO, at least 2.
        TXTL OFFSET(10) NUMBITS(6) [],
    ],
    /// Status 2.
    pub(crate) USR2 [
        /// The last byte is on the wire.
        TXDC OFFSET(3) NUMBITS(1) [],
    ],
    /// Test register, which has the FIFOs' states.
    pub(crate) UTS [
        TXFULL OFFSET(4) NUMBITS(1) [],
        RXEMPTY OFFSET(5) NUMBITS(1) [],
    ],
}

register_structs! {
    /// The registers that are used.
    pub(crate) Block {
        (0x00 => pub(crate) urxd: ReadOnly<u32, URXD::Register>),
        (0x04 => _reserved),
        (0x40 => pub(crate) utxd: WriteOnly<u32>),
        (0x44 => _reserved_too),
        (0x80 => pub(crate) ucr1: ReadWrite<u32, UCR1::Register>),
        (0x84 => pub(crate) ucr2: ReadWrite<u32, UCR2::Register>),
        (0x88 => pub(crate) ucr3: ReadWrite<u32, UCR3::Register>),
        (0x8c => pub(crate) ucr4: ReadWrite<u32, UCR4::Register>),
        (0x90 => pub(crate) ufcr: ReadWrite<u32, UFCR::Register>),
        (0x94 => _status_1),
        (0x98 => pub(crate) usr2: ReadOnly<u32, USR2::Register>),
        (0x9c => _baud_rate),
        (0xb4 => pub(crate) uts: ReadOnly<u32, UTS::Register>),
        (0xb8 => @END),
    }
}
