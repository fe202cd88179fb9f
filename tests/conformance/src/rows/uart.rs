//! Rows of our own for the console (Arm DDI 0183, PL011).

use hyp_abi::vplatform::UART_INTID;

use crate::config::{Config, Kinds};
use crate::gic::{self, Gic, SPURIOUS, ack, ack_nothing, end};
use crate::tap::{Check, Row};
use crate::{time, uart};

const LCR_H: u64 = 0x2c;
const IMSC: u64 = 0x38;
const RIS: u64 = 0x3c;
const MIS: u64 = 0x40;
const ICR: u64 = 0x44;
const IDENTIFICATION: u64 = 0xfe0;
/// Receive interrupts: level reached, and some received but no more coming.
const RX: u32 = (1 << 4) | (1 << 6);
/// Transmit interrupt.
const TX: u32 = 1 << 5;
/// FR: transmit FIFO empty.
const FR_TXFE: u32 = 1 << 7;
/// FR: busy.
const FR_BUSY: u32 = 1 << 3;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("U1", Kinds::ALL, "identification registers", |check, _| {
        let byte = |n: u64| u64::from(uart::io().read32(IDENTIFICATION + 4 * n));
        check.eq("PartNumber0", byte(0), 0x11);
        check.eq("PartNumber1, Designer0", byte(1), 0x10);
        check.eq("Designer1", byte(2) & 0xf, 0x4);
        for (n, want) in [0x0d, 0xf0, 0x05, 0xb1].into_iter().enumerate() {
            check.eq("PCellID", byte(4 + n as u64), want);
        }
    }),
    Row::new("U2", Kinds::ALL, "flags of an idle console", |check, _| {
        let idle = || uart::io().read32(uart::FR) & (FR_TXFE | FR_BUSY) == FR_TXFE;
        check.that("empty and not busy in the end", time::wait_until(10_000, idle));
        check.that("room", uart::io().read32(uart::FR) & uart::FR_TXFF == 0);
        check.that("nothing received", uart::io().read32(uart::FR) & uart::FR_RXFE != 0);
    }),
    Row::new("U3", Kinds::ALL, "transmit interrupt", transmit_interrupt),
    Row::new("U4", Kinds::ALL, "registers hold what is written", |check, _| {
        let uart = uart::io();
        for (offset, mask) in [(0x24, 0xffff), (0x28, 0x3f), (IMSC, 0x7f0)] {
            let old = uart.read32(offset);
            for value in [0x1555 & mask, 0x2aaa & mask] {
                uart.write32(offset, value);
                check.eq("register", u64::from(uart.read32(offset)), u64::from(value));
            }
            uart.write32(offset, old);
        }
    }),
];

/// The row that needs somebody to type; see the word `type=ask`.
pub(crate) const INPUT_ROWS: &[Row] = &[
    Row::new("U5", Kinds::ALL, "what is typed arrives by interrupts", receive_interrupts),
    Row::new("U6", Kinds::ALL, "input that waits interrupts again", receive_timeout),
];

/// More than two FIFOs full.
const TYPED: &[u8] = b"The quick brown fox jumps over the lazy dog; 0123456789 0123456789 ok";

fn receive_interrupts(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    let uart = uart::io();
    while uart::get().is_some() {}
    uart.write32(ICR, 0x7ff);
    gic.set(gic::ISENABLER, UART_INTID);
    uart.write32(IMSC, RX);
    uart::line!("CONFORMANCE-TYPE? {}", core::str::from_utf8(TYPED).unwrap_or(""));
    let mut interrupts = 0;
    let mut right = 0;
    let _ = time::wait_until(60_000, || {
        let intid = gic::poll();
        if intid < 1020 {
            interrupts += 1;
            while let Some(byte) = uart::get() {
                right += usize::from(TYPED.get(right) == Some(&byte));
            }
            uart.write32(ICR, RX);
            end(intid);
        }
        right == TYPED.len()
    });
    uart.write32(IMSC, 0);
    check.eq("right characters", right as u64, TYPED.len() as u64);
    check.that("there were interrupts", interrupts > 0);
    check.eq("IAR after", ack_nothing(), SPURIOUS);
}

/// A driver that clears first and reads later, and is typed at only once (2.8.4).
fn receive_timeout(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    let uart = uart::io();
    while uart::get().is_some() {}
    uart.write32(ICR, 0x7ff);
    gic.set(gic::ISENABLER, UART_INTID);
    uart.write32(IMSC, RX);
    uart::line!("CONFORMANCE-TYPE-ONE? k");
    for patience in [60_000, 1000, 1000] {
        let mut intid = SPURIOUS;
        let _ = time::wait_until(patience, || {
            intid = gic::poll();
            intid < 1020
        });
        check.eq("IAR", intid, u64::from(UART_INTID));
        check.that("MIS", uart.read32(MIS) & RX != 0);
        uart.write32(ICR, 0x7ff);
        if intid < 1020 {
            end(intid);
        }
    }
    check.eq("what was typed", uart::get().map_or(0, u64::from), u64::from(b'k'));
    let again = time::wait_until(100, || uart.read32(MIS) != 0);
    uart.write32(IMSC, 0);
    check.that("no interrupt where nothing waits", !again);
    check.eq("IAR after", ack_nothing(), SPURIOUS);
}

fn transmit_interrupt(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    let uart = uart::io();
    let format = uart.read32(LCR_H);
    let idle = || uart.read32(uart::FR) & (FR_TXFE | FR_BUSY) == FR_TXFE;
    check.that("idle", time::wait_until(10_000, idle));
    // Without FIFOs the interrupt says that the one place for a character has become empty.
    uart.write32(LCR_H, format & !(1 << 4));
    uart.write32(ICR, 0x7ff);
    gic.set(gic::ISENABLER, UART_INTID);
    uart.write32(IMSC, TX);
    check.eq("MIS before", u64::from(uart.read32(MIS)), 0);
    check.eq("IAR before", ack_nothing(), SPURIOUS);
    uart.write32(uart::DR, u32::from(b'#'));
    let intid = ack();
    let masked = uart.read32(MIS);
    let raw = uart.read32(RIS);
    uart.write32(ICR, TX);
    let cleared = uart.read32(RIS) & TX;
    uart.write32(IMSC, 0);
    if intid < 1020 {
        end(intid);
    }
    uart.write32(LCR_H, format);
    uart::line!(" U3 sent this");
    check.eq("IAR", intid, u64::from(UART_INTID));
    check.eq("MIS", u64::from(masked), u64::from(TX));
    check.eq("RIS", u64::from(raw & TX), u64::from(TX));
    check.eq("RIS after ICR", u64::from(cleared), 0);
    check.eq("IAR after", ack_nothing(), SPURIOUS);
}
