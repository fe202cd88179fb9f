//! Registers of a PL011 (DDI 0183).

use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {u32,
    /// Received or sent byte.
    pub(crate) DR [
        DATA OFFSET(0) NUMBITS(8) [],
    ],
    /// Flags.
    pub(crate) FR [
        /// The transmitter works on a byte.
        BUSY OFFSET(3) NUMBITS(1) [],
        /// Nothing was received.
        RXFE OFFSET(4) NUMBITS(1) [],
        /// The transmit FIFO is full.
        TXFF OFFSET(5) NUMBITS(1) [],
    ],
    /// Line control.
    pub(crate) LCR_H [
        /// FIFOs on.
        FEN OFFSET(4) NUMBITS(1) [],
        WLEN OFFSET(5) NUMBITS(2) [
            Bits8 = 0b11,
        ],
    ],
    /// Control.
    pub(crate) CR [
        UARTEN OFFSET(0) NUMBITS(1) [],
        TXE OFFSET(8) NUMBITS(1) [],
        RXE OFFSET(9) NUMBITS(1) [],
    ],
    /// Interrupts: IMSC, MIS and ICR have the same bits.
    pub(crate) INTERRUPTS [
        /// Received bytes reach the FIFO's level.
        RX OFFSET(4) NUMBITS(1) [],
        /// The transmit FIFO drains below its level.
        TX OFFSET(5) NUMBITS(1) [],
        /// Received bytes wait below the level.
        RT OFFSET(6) NUMBITS(1) [],
        ALL OFFSET(0) NUMBITS(11) [],
    ],
}

register_structs! {
    /// The registers that are used.
    pub(crate) Block {
        (0x00 => pub(crate) dr: ReadWrite<u32, DR::Register>),
        (0x04 => _status_and_reserved),
        (0x18 => pub(crate) fr: ReadOnly<u32, FR::Register>),
        (0x1c => _dma_and_baud_rate),
        (0x2c => pub(crate) lcr_h: ReadWrite<u32, LCR_H::Register>),
        (0x30 => pub(crate) cr: ReadWrite<u32, CR::Register>),
        (0x34 => pub(crate) ifls: ReadWrite<u32>),
        (0x38 => pub(crate) imsc: ReadWrite<u32, INTERRUPTS::Register>),
        (0x3c => _ris),
        (0x40 => pub(crate) mis: ReadOnly<u32, INTERRUPTS::Register>),
        (0x44 => pub(crate) icr: WriteOnly<u32, INTERRUPTS::Register>),
        (0x48 => @END),
    }
}
