//! The UART of the i.MX family.

use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

use super::mmio::{Mmio, Registers};
use super::port::Port;
use super::registers::imx::{Block, UCR1, UCR2, UCR3, UCR4, UFCR, URXD, USR2, UTS};

/// An i.MX UART.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Imx(Registers<Block>);

impl Imx {
    /// The UART whose registers these are; `None` where they are too few.
    pub(super) fn new(mapped: Mmio) -> Option<Self> {
        mapped.registers(0).map(Self)
    }
}

impl Port for Imx {
    fn take_over(&mut self) {
        self.0.ucr1.write(UCR1::UARTEN::SET);
        self.0.ucr4.modify(UCR4::INTERRUPTS::CLEAR);
        self.0.ucr3.modify(UCR3::RXDMUXSEL::SET);
        self.0.ucr2.write(
            UCR2::SRST::SET + UCR2::RXEN::SET + UCR2::TXEN::SET + UCR2::WS::SET + UCR2::IRTS::SET,
        );
        self.0.ufcr.modify(UFCR::RXTL.val(1) + UFCR::TXTL.val(2));
    }

    fn room(self) -> usize {
        usize::from(!self.0.uts.is_set(UTS::TXFULL))
    }

    fn push(self, byte: u8) {
        self.0.utxd.set(u32::from(byte));
    }

    fn pull(self) -> Option<u8> {
        if self.0.uts.is_set(UTS::RXEMPTY) {
            return None;
        }
        let [byte, ..] = self.0.urxd.read(URXD::DATA).to_le_bytes();
        Some(byte)
    }

    fn is_idle(self) -> bool {
        self.0.usr2.is_set(USR2::TXDC)
    }

    fn set_interrupts(self, receive: bool, transmit: bool) {
        self.0.ucr1.write(
            UCR1::UARTEN::SET
                + UCR1::RRDYEN.val(u32::from(receive))
                + UCR1::TRDYEN.val(u32::from(transmit)),
        );
    }

    fn acknowledge(self) {
        // Both interrupts follow the levels of the FIFOs.
    }
}
