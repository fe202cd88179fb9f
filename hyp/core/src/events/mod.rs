//! What guests did: binary records made on the trap path, text made where they are drained.
//!
//! [`EventLog`] holds what guests did wrong. It is a bounded queue of atomics that any CPU may write
//! and any CPU may drain; no writer waits for another. Beside it stands a small table of sites, a
//! site being a reason at a PC of a VM, so that a guest in a loop reaches the console once. Both
//! have fixed sizes: a guest that floods them loses records, which are counted, and never costs EL2
//! memory or time.
//!
//! [`trace`] is for all the rest, and for readers outside of the machine.

mod event;
mod queue;
mod sites;
pub mod trace;

pub use event::{Event, Reason, Touch};
pub use queue::EventLog;

#[cfg(test)]
mod tests;
