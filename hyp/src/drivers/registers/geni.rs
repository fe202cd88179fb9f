//! Registers of Qualcomm's GENI serial engine as a UART (names and bits as in Linux, `include/linux/soc/qcom/geni-se.h`
//! and `drivers/tty/serial/qcom_geni_serial.c`: there is no public manual).

use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {u32,
    /// Status.
    pub(crate) STATUS [
        /// The main sequencer, which sends, has a command.
        M_CMD_ACTIVE OFFSET(0) NUMBITS(1) [],
    ],
    /// Command of a sequencer.
    pub(crate) CMD [
        OPCODE OFFSET(27) NUMBITS(5) [
            Start = 1,
        ],
    ],
    /// Ends a command.
    pub(crate) CMD_CTRL [
        ABORT OFFSET(1) NUMBITS(1) [],
    ],
    /// Interrupts of a sequencer: status, enable and clear have the same bits.
    pub(crate) IRQ [
        CMD_DONE OFFSET(0) NUMBITS(1) [],
        /// The receive FIFO is above its level.
        RX_WATERMARK OFFSET(26) NUMBITS(1) [],
        /// Received bytes wait below the level.
        RX_LAST OFFSET(27) NUMBITS(1) [],
        ALL OFFSET(0) NUMBITS(32) [],
    ],
    /// Received or sent word.
    pub(crate) FIFO [
        DATA OFFSET(0) NUMBITS(8) [],
    ],
    /// State of the receive FIFO.
    pub(crate) RX_STATUS [
        WORDS OFFSET(0) NUMBITS(25) [],
    ],
    /// Which of the engine's parts interrupt.
    pub(crate) IRQ_EN [
        M OFFSET(2) NUMBITS(1) [],
        S OFFSET(3) NUMBITS(1) [],
    ],
}

register_structs! {
    /// The registers that are used.
    pub(crate) Block {
        (0x000 => _identity),
        (0x020 => pub(crate) force_default: WriteOnly<u32>),
        (0x024 => _outputs),
        (0x040 => pub(crate) status: ReadOnly<u32, STATUS::Register>),
        (0x044 => _clocks),
        (0x258 => pub(crate) dma_mode: ReadWrite<u32>),
        (0x25c => _transmit_format),
        (0x270 => pub(crate) tx_trans_len: ReadWrite<u32>),
        (0x274 => _receive_format),
        (0x284 => pub(crate) rx_packing: [ReadWrite<u32>; 2]),
        (0x28c => _rx_word_len),
        (0x290 => _reserved),
        (0x294 => pub(crate) rx_stale_count: ReadWrite<u32>),
        (0x298 => _parity),
        (0x600 => pub(crate) m_cmd: ReadWrite<u32, CMD::Register>),
        (0x604 => _m_cmd_ctrl),
        (0x614 => pub(crate) m_irq_en: ReadWrite<u32, IRQ::Register>),
        (0x618 => pub(crate) m_irq_clear: WriteOnly<u32, IRQ::Register>),
        (0x61c => _m_irq_set),
        (0x630 => pub(crate) s_cmd: ReadWrite<u32, CMD::Register>),
        (0x634 => pub(crate) s_cmd_ctrl: ReadWrite<u32, CMD_CTRL::Register>),
        (0x638 => _s_irq_status),
        (0x644 => pub(crate) s_irq_en: ReadWrite<u32, IRQ::Register>),
        (0x648 => pub(crate) s_irq_clear: WriteOnly<u32, IRQ::Register>),
        (0x64c => _s_irq_set),
        (0x700 => pub(crate) tx_fifo: WriteOnly<u32, FIFO::Register>),
        (0x704 => _tx_fifos),
        (0x780 => pub(crate) rx_fifo: ReadOnly<u32, FIFO::Register>),
        (0x784 => _rx_fifos),
        (0x804 => pub(crate) rx_status: ReadOnly<u32, RX_STATUS::Register>),
        (0x808 => _tx_watermark),
        (0x810 => pub(crate) rx_watermark: ReadWrite<u32>),
        (0x814 => _dma),
        (0xe1c => pub(crate) irq_en: ReadWrite<u32, IRQ_EN::Register>),
        (0xe20 => @END),
    }
}
