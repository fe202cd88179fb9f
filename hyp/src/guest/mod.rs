//! Guests: their vCPUs, what their traps lead to, their life from the bundle to the end.
//!
//! The vectors call [`traps`]. A trap becomes a value of `hyp-core`, which answers, and the files
//! below apply the answer. Nothing a guest does panics EL2, so that none of this may even index or
//! compute unchecked.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]

mod decode;
mod emulate;
mod events;
mod faults;
#[cfg(feature = "ghost")]
mod ghost;
#[cfg(not(feature = "ghost"))]
#[path = "ghost_off.rs"]
mod ghost;
mod inject;
mod instance;
mod interrupts;
pub(crate) mod launch;
mod power;
mod registers;
mod run;
mod shell;
mod stuck;
mod sysregs;
mod tracing;
pub(crate) mod traps;
mod vcpu;
mod vm;
