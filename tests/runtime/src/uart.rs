//! Console output: a polled PL011.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use hyp_abi::vplatform::UART_BASE;

use crate::mmio::Io;

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

/// Where the tree says the console is.
pub fn set_base(base: u64) {
    BASE.store(base, Ordering::Relaxed);
}

/// Switches the console on; its page is guarded by now.
pub fn set_up() {
    io().write32(LCR_H, FIFOS | EIGHT_BITS);
    io().write32(CR, ALL_ON);
}

/// The console's registers.
pub fn io() -> Io {
    Io::new(BASE.load(Ordering::Relaxed))
}

/// Writes one byte once there is room.
fn put(byte: u8) {
    let uart = io();
    while uart.read32(FR) & FR_TXFF != 0 {
        core::hint::spin_loop();
    }
    uart.write32(DR, u32::from(byte));
}

/// One received byte, if there is one.
pub fn get() -> Option<u8> {
    let uart = io();
    (uart.read32(FR) & FR_RXFE == 0).then(|| uart.read8(DR))
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
