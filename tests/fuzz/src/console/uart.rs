//! The PL011 against a plain model of it (DDI0183, r1p5).

use std::collections::VecDeque;

use hyp_core::esr::Width;
use hyp_core::pl011::Pl011;

use crate::bytes::Bytes;

/// Register offsets that an input names shortly.
const REGISTERS: [u64; 16] = [
    0x000, 0x004, 0x018, 0x020, 0x024, 0x028, 0x02c, 0x030, 0x034, 0x038, 0x03c, 0x040, 0x044,
    0x048, 0xfe0, 0xffc,
];
const RX: u64 = 1 << 4;
const TX: u64 = 1 << 5;
const RT: u64 = 1 << 6;

/// What the guest may know.
#[derive(Debug)]
struct Model {
    received: VecDeque<u8>,
    sending: VecDeque<u8>,
    /// By offset; as wide as the manual says.
    registers: [u64; 0x50],
    raw: u64,
    /// CR was written.
    is_set_up: bool,
}

impl Model {
    fn new() -> Self {
        let mut model = Self {
            received: VecDeque::new(),
            sending: VecDeque::new(),
            registers: [0; 0x50],
            raw: 0,
            is_set_up: false,
        };
        model.registers[0x30] = 0x300;
        model.registers[0x34] = 0x12;
        model
    }

    fn has_fifos(&self) -> bool {
        self.registers[0x2c] & 0x10 != 0
    }

    fn depth(&self) -> usize {
        if self.has_fifos() { 32 } else { 1 }
    }

    /// UARTIFLS: the fill levels of 1/8 to 7/8.
    fn level(&self, shift: u32) -> usize {
        [4, 8, 16, 24, 28, 28, 28, 28][usize::try_from(self.registers[0x34] >> shift & 7).unwrap()]
    }

    fn receive_level(&self) -> usize {
        if self.has_fifos() { self.level(3) } else { 1 }
    }

    fn send_level(&self) -> usize {
        if self.has_fifos() { self.level(0) } else { 0 }
    }

    fn room(&self) -> usize {
        let is_off = self.is_set_up && self.registers[0x30] & 0x201 != 0x201;
        if is_off { 0 } else { self.depth().saturating_sub(self.received.len()) }
    }

    /// The level for one, anything for the other.
    fn due(&self) -> u64 {
        match self.received.len() {
            0 => 0,
            some if some >= self.receive_level() => RX | RT,
            _ => RT,
        }
    }

    fn note(&mut self) {
        self.raw |= self.due();
    }

    fn push(&mut self, byte: u8) -> bool {
        let has_room = self.room() > 0;
        if has_room {
            self.received.push_back(byte);
            self.note();
        }
        has_room
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.sending.pop_front()?;
        if self.sending.len() <= self.send_level() {
            self.raw |= TX;
        }
        Some(byte)
    }

    fn read(&mut self, offset: u64) -> u64 {
        match offset {
            0 => {
                let byte = self.received.pop_front().unwrap_or(0);
                if self.received.len() < self.receive_level() {
                    self.raw &= !RX;
                }
                if self.received.is_empty() {
                    self.raw &= !RT;
                }
                u64::from(byte)
            }
            0x18 => {
                let bit = |at: u32, is: bool| u64::from(is) << at;
                // BUSY, RXFE, TXFF, RXFF, TXFE.
                bit(3, !self.sending.is_empty())
                    | bit(4, self.received.is_empty())
                    | bit(5, self.sending.len() >= self.depth())
                    | bit(6, self.received.len() >= self.depth())
                    | bit(7, self.sending.is_empty())
            }
            0x20 | 0x24 | 0x28 | 0x2c | 0x30 | 0x34 | 0x38 | 0x48 => {
                self.registers[usize::try_from(offset).unwrap()]
            }
            // The timeout's mask is its enable.
            0x3c if self.registers[0x38] & RT == 0 => self.raw & !RT,
            0x3c => self.raw,
            0x40 => self.raw & self.registers[0x38],
            // UARTPeriphID and UARTPCellID.
            0xfe0 => 0x11,
            0xfe4 => 0x10,
            0xfe8 => 0x34,
            0xff0 => 0x0d,
            0xff4 => 0xf0,
            0xff8 => 0x05,
            0xffc => 0xb1,
            _ => 0,
        }
    }

    fn write(&mut self, offset: u64, value: u64) {
        match offset {
            0 => self.send(value.to_le_bytes()[0]),
            0x2c => {
                if (self.registers[0x2c] ^ value) & 0x10 != 0 {
                    self.received.clear();
                    self.raw &= !(RX | RT);
                }
                self.registers[0x2c] = value & 0xff;
            }
            0x30 => {
                self.registers[0x30] = value & 0xff87;
                self.is_set_up = true;
            }
            0x34 => {
                self.registers[0x34] = value & 0x3f;
                self.note();
            }
            0x44 => self.raw &= !value,
            0x20 => self.registers[0x20] = value & 0xff,
            0x24 => self.registers[0x24] = value & 0xffff,
            0x28 => self.registers[0x28] = value & 0x3f,
            0x38 => self.registers[0x38] = value & 0x7ff,
            0x48 => self.registers[0x48] = value & 7,
            _ => {}
        }
    }

    fn send(&mut self, byte: u8) {
        // LBE.
        if self.registers[0x30] & 0x80 != 0 {
            self.push(byte);
            self.raw |= TX;
            return;
        }
        if self.sending.len() < self.depth() {
            self.sending.push_back(byte);
        }
        if self.sending.len() > self.send_level() {
            self.raw &= !TX;
        }
    }
}

/// Loads, stores, bytes that come and bytes that leave.
pub(super) fn check(bytes: &mut Bytes<'_>) {
    let (mut uart, mut model) = (Pl011::new(), Model::new());
    while !bytes.is_empty() {
        let form = bytes.u8();
        let width = [Width::Byte, Width::Half, Width::Word, Width::Double][usize::from(form & 3)];
        let offset = match bytes.u8() {
            byte @ 0..=0xdf => REGISTERS[usize::from(byte & 15)],
            _ => u64::from(bytes.u16()),
        };
        match form >> 2 & 7 {
            0..=2 => {
                let expected = model.read(offset) & width.mask();
                assert_eq!(uart.read(offset, width), expected, "load at {offset:#x}");
            }
            3 | 4 => {
                let value = if form & 0x80 == 0 { u64::from(bytes.u16()) } else { bytes.u64() };
                uart.write(offset, width, value);
                model.write(offset, value & width.mask() & 0xffff);
            }
            5 if form & 0x80 != 0 => {
                uart.time_passes();
                model.note();
            }
            5 => assert_eq!(uart.take_tx(), model.take()),
            _ => {
                for _ in 0..form >> 5 {
                    let byte = bytes.u8();
                    assert_eq!(uart.push_rx(byte), model.push(byte));
                }
            }
        }
        assert_eq!(uart.has_tx(), !model.sending.is_empty());
        assert_eq!(uart.rx_room(), model.room());
        assert_eq!(uart.is_overdue(), model.due() & !model.raw != 0);
        assert_eq!(uart.irq_line(), model.raw & model.registers[0x38] != 0);
    }
}
