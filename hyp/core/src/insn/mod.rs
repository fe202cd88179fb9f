//! Loads and stores that the hardware does not describe in the syndrome (`ISV` = 0).
//!
//! Decoded for normal VMs only. Everything that Armv8 programs move between registers and memory
//! is known: single general registers in all addressing modes, pairs, SIMD and floating-point
//! registers and structures, loads and stores with acquire or release semantics, and the atomics
//! of `FEAT_LSE`. What the architecture leaves unpredictable is refused, and so is what no guest
//! is offered (MTE, `FEAT_LS64`, `FEAT_MOPS`, `FEAT_LSE128`, `FEAT_LRCPC3`) and what cannot be
//! recomputed (LDRAA and LDRAB authenticate their address).
//!
//! An access is done in three steps, so that nothing half done is ever visible: every
//! [piece](Transfer::pieces) is judged; then the bytes move between the device and an
//! [`Image`] of them; then the registers change. Ordering (acquire, release) needs nothing:
//! the emulation of one instruction ends before the next one starts.
//!
//! An atomic is performed as a load and a store, without a promise that no other observer comes
//! in between: what the architecture allows where a location does not support atomics (Arm ARM,
//! DDI 0487, "Atomic instructions", B2.2). An exclusive cannot be treated so: the exception
//! cleared the monitor, so its loop would never end. It gets the fault that the architecture has
//! for it, "unsupported exclusive or atomic access".
//!
//! Positions of fields are those of the Arm ARM, C4.1, "Loads and Stores".

mod address;
mod atomic;
mod bits;
mod branch;
mod decode;
mod instruction;
mod registers;
mod sharing;
mod transfer;
mod vector;

pub use address::Address;
pub use atomic::Atomic;
pub use branch::is_call;
pub use decode::decode;
pub use instruction::{Effect, Instruction};
pub use registers::{REGISTER_31, Registers};
pub use transfer::{Image, MOST_BYTES, Transfer};

#[cfg(test)]
mod tests;
