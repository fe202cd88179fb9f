//! The ghost: beside the VM on the machine runs the model of it, one step for each step, and what the
//! machine's tables and registers say is held against what the model says.
//!
//! Nothing here changes anything or knows EL2: the hypervisor, built with its feature `ghost`, tells
//! what happens and lets its tables be read ([`Machine`]). They are walked as the hardware walks
//! them, not by asking the code that writes them. The idea is that of the ghost state with which
//! researchers test pKVM, where each component's state is taken under that component's lock.
//!
//! [`Space`] judges the address space, [`Power`] the vCPUs' power states.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod answers;
mod cause;
mod checks;
mod difference;
mod history;
mod place;
mod power;
mod predict;
mod runs;
mod space;
mod walk;
mod ways;

pub use cause::Cause;
pub use difference::Difference;
pub use model;
pub use place::{Extent, Place};
pub use power::{Power, Seen, is_psci};
pub use space::{Section, Space, Tally};
pub use walk::Machine;
pub use ways::Deed;
