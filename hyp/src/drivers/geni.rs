//! Qualcomm's GENI serial engine, as firmware has set it up to be a UART.

use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

use super::mmio::{Mmio, Registers};
use super::port::Port;
use super::registers::geni::{Block, CMD, CMD_CTRL, FIFO, IRQ, IRQ_EN, RX_STATUS, STATUS};

/// Each received byte fills a word of the FIFO: from bit 0 on (bits 9:5), eight bits (3:1: 7), the last (0).
const BYTE_A_WORD: [u32; 2] = [7 << 1 | 1, 0];
/// Bits of silence after which bytes below the FIFO's level interrupt: 16 characters.
const STALE: u32 = 160;
/// How often a command that was aborted is looked at.
const PATIENCE: u32 = 100_000;

/// A GENI UART.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geni(Registers<Block>);

impl Geni {
    /// The UART whose registers these are; `None` where they are too few.
    pub(super) fn new(mapped: Mmio) -> Option<Self> {
        mapped.registers(0).map(Self)
    }
}

impl Port for Geni {
    fn take_over(&mut self) {
        self.set_interrupts(false, false);
        self.0.s_cmd_ctrl.write(CMD_CTRL::ABORT::SET);
        for _ in 0..PATIENCE {
            if !self.0.s_cmd_ctrl.is_set(CMD_CTRL::ABORT) {
                break;
            }
        }
        self.0.force_default.set(1);
        self.0.dma_mode.set(0);
        for (register, value) in self.0.rx_packing.iter().zip(BYTE_A_WORD) {
            register.set(value);
        }
        self.0.rx_stale_count.set(STALE);
        self.0.rx_watermark.set(1);
        self.0.m_irq_clear.write(IRQ::ALL.val(u32::MAX));
        self.0.s_irq_clear.write(IRQ::ALL.val(u32::MAX));
        self.0.irq_en.modify(IRQ_EN::M::SET + IRQ_EN::S::SET);
        self.0.s_cmd.write(CMD::OPCODE::Start);
    }

    fn room(self) -> usize {
        usize::from(!self.0.status.is_set(STATUS::M_CMD_ACTIVE))
    }

    fn push(self, byte: u8) {
        // Each byte is a command of its own.
        self.0.tx_trans_len.set(1);
        self.0.m_cmd.write(CMD::OPCODE::Start);
        self.0.tx_fifo.write(FIFO::DATA.val(u32::from(byte)));
    }

    fn pull(self) -> Option<u8> {
        let is_empty = || self.0.rx_status.read(RX_STATUS::WORDS) == 0;
        if is_empty() {
            // The interrupts stay until they are told that the FIFO was read. Whatever came in between is there
            // before the FIFO is looked at again.
            let received = IRQ::RX_WATERMARK::SET + IRQ::RX_LAST::SET;
            self.0.s_irq_clear.write(received);
            self.0.m_irq_clear.write(received);
            if is_empty() {
                return None;
            }
        }
        let [byte, ..] = self.0.rx_fifo.read(FIFO::DATA).to_le_bytes();
        Some(byte)
    }

    fn is_idle(self) -> bool {
        self.room() > 0
    }

    fn set_interrupts(self, receive: bool, transmit: bool) {
        let receive = u32::from(receive);
        let received = IRQ::RX_WATERMARK.val(receive) + IRQ::RX_LAST.val(receive);
        self.0.s_irq_en.write(received);
        self.0.m_irq_en.write(received + IRQ::CMD_DONE.val(u32::from(transmit)));
    }

    fn acknowledge(self) {
        self.0.m_irq_clear.write(IRQ::CMD_DONE::SET);
    }
}
