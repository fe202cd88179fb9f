//! What a guest links to speak the pKVM guest ABI.
#![no_std]

#[cfg(target_arch = "aarch64")]
mod call;
mod conduit;

#[cfg(target_arch = "aarch64")]
pub use call::{Hvc, Smc};
pub use conduit::Conduit;
