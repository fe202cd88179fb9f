//! Registers of an LPUART from BAUD on (IMX8DQXPRM, "Low Power Universal Asynchronous Receiver/Transmitter").

use tock_registers::registers::ReadWrite;
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {u32,
    /// Status.
    pub(crate) STAT [
        /// A byte was received.
        RDRF OFFSET(21) NUMBITS(1) [],
        /// The last byte is on the wire.
        TC OFFSET(22) NUMBITS(1) [],
        /// The transmit FIFO is down to its level.
        TDRE OFFSET(23) NUMBITS(1) [],
        /// Edge and break flags, which writing a 1 clears.
        EDGES OFFSET(30) NUMBITS(2) [],
    ],
    /// Control.
    pub(crate) CTRL [
        RE OFFSET(18) NUMBITS(1) [],
        TE OFFSET(19) NUMBITS(1) [],
        /// Interrupt while RDRF is set.
        RIE OFFSET(21) NUMBITS(1) [],
        /// Interrupt while TDRE is set.
        TIE OFFSET(23) NUMBITS(1) [],
        /// All interrupts: matches, ILIE to TIE, those of errors.
        MATCHES OFFSET(14) NUMBITS(2) [],
        LEVELS OFFSET(20) NUMBITS(4) [],
        ERRORS OFFSET(24) NUMBITS(4) [],
    ],
    /// Data.
    pub(crate) DATA [
        DATA OFFSET(0) NUMBITS(8) [],
    ],
    /// FIFOs, to be changed while receiver and transmitter are off.
    pub(crate) FIFO [
        RXFE OFFSET(3) NUMBITS(1) [],
        /// 0: one byte; else 1 << (n + 1).
        TXFIFOSIZE OFFSET(4) NUMBITS(3) [],
        TXFE OFFSET(7) NUMBITS(1) [],
    ],
}

register_structs! {
    /// The registers that are used.
    pub(crate) Block {
        (0x00 => _baud_rate),
        (0x04 => pub(crate) stat: ReadWrite<u32>),
        (0x08 => pub(crate) ctrl: ReadWrite<u32>),
        (0x0c => pub(crate) data: ReadWrite<u32>),
        (0x10 => _match_and_modem),
        (0x18 => pub(crate) fifo: ReadWrite<u32>),
        (0x1c => pub(crate) water: ReadWrite<u32>),
        (0x20 => @END),
    }
}
