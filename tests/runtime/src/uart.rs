//! The console, polled: a PL011, or a 16550 where the tree says so.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hyp_abi::vplatform::UART_BASE;

use crate::mmio::Io;
use crate::tree::Uart;

/// Data register.
pub const DR: u64 = 0x00;
/// Flag register.
pub const FR: u64 = 0x18;
/// FR: transmit FIFO full.
pub const FR_TXFF: u32 = 1 << 5;
/// FR: receive FIFO empty.
pub const FR_RXFE: u32 = 1 << 4;

static BASE: AtomicU64 = AtomicU64::new(UART_BASE);

const LCR_H: u64 = 0x2c;
const CR: u64 = 0x30;
/// LCR_H: FIFOs on.
const FIFOS: u32 = 1 << 4;
/// LCR_H: 8 data bits.
const EIGHT_BITS: u32 = 0b11 << 5;
/// CR: UART, transmitter and receiver on.
const ALL_ON: u32 = 0x301;

// A 16550's registers (devicetree bindings, `serial/8250.yaml`; National Semiconductor's PC16550D).
/// Receive buffer, transmit holding register.
const DATA: u64 = 0;
const IER: u64 = 1;
const FCR: u64 = 2;
const LCR: u64 = 3;
const LSR: u64 = 5;
/// LSR: data ready.
const LSR_DR: u32 = 1 << 0;
/// LSR: transmit holding register empty.
const LSR_THRE: u32 = 1 << 5;

/// How a 16550 is accessed: its shift, and [`WIDE`]; or [`IS_PL011`].
static FORM: AtomicU32 = AtomicU32::new(IS_PL011);
const WIDE: u32 = 1 << 8;
const IS_PL011: u32 = 1 << 9;

/// Where and what the tree says the console is.
pub fn choose((base, kind): (u64, Uart)) {
    BASE.store(base, Ordering::Relaxed);
    let form = match kind {
        Uart::Pl011 => IS_PL011,
        Uart::Ns16550 { shift, is_wide } => shift & 0x1f | if is_wide { WIDE } else { 0 },
    };
    FORM.store(form, Ordering::Relaxed);
}

/// Whether the console is a PL011.
pub fn is_pl011() -> bool {
    form() == IS_PL011
}

fn form() -> u32 {
    FORM.load(Ordering::Relaxed)
}

/// Switches the console on; its page is guarded by now.
pub fn set_up() {
    if is_pl011() {
        io().write32(LCR_H, FIFOS | EIGHT_BITS);
        io().write32(CR, ALL_ON);
    } else {
        // No interrupts; 8 data bits; FIFOs on. The speed stays as it is.
        for (register, value) in [(IER, 0), (LCR, 0b11), (FCR, 1)] {
            write(register, value);
        }
    }
}

/// The console's registers.
pub fn io() -> Io {
    Io::new(BASE.load(Ordering::Relaxed))
}

/// Register `number` of a 16550.
fn read(number: u64) -> u32 {
    let at = number << (form() & 0x1f);
    if form() & WIDE != 0 { io().read32(at) } else { io().read8(at).into() }
}

/// Sets register `number` of a 16550.
fn write(number: u64, value: u8) {
    let at = number << (form() & 0x1f);
    if form() & WIDE != 0 { io().write32(at, value.into()) } else { io().write8(at, value) }
}

/// Writes one byte once there is room.
fn put(byte: u8) {
    let uart = io();
    let is_full = || {
        if is_pl011() { uart.read32(FR) & FR_TXFF != 0 } else { read(LSR) & LSR_THRE == 0 }
    };
    while is_full() {
        core::hint::spin_loop();
    }
    if is_pl011() { uart.write32(DR, u32::from(byte)) } else { write(DATA, byte) }
}

/// One received byte, if there is one.
pub fn get() -> Option<u8> {
    let uart = io();
    if is_pl011() {
        (uart.read32(FR) & FR_RXFE == 0).then(|| uart.read8(DR))
    } else {
        (read(LSR) & LSR_DR != 0).then(|| read(DATA).to_le_bytes()[0])
    }
}

/// The console as a text sink; only the first CPU writes.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                put(b'\r');
            }
            put(byte);
        }
        Ok(())
    }
}

/// Prints one line on the console.
#[macro_export]
#[doc(hidden)]
macro_rules! __line {
    ($($arg:tt)*) => {{
        use core::fmt::Write as _;
        // The sink never fails.
        let _ = writeln!($crate::uart::Console, $($arg)*);
    }};
}
#[doc(inline)]
pub use crate::__line as line;
