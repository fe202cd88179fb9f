//! The console: the UART that a guest sees, the terminal that guest and hypervisor share, the
//! events that are told there, and what `cargo xtask` hears of it.

mod events;
mod heard;
mod terminal;
mod uart;

use crate::bytes::Bytes;

/// One input: what happens to one of them.
pub(crate) fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    match bytes.u8() & 3 {
        0 => uart::check(&mut bytes),
        1 => terminal::check(&mut bytes),
        2 => events::check(&mut bytes),
        _ => heard::check(&mut bytes),
    }
}
