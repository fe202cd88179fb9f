//! What the bare-metal test guests have in common: device registers, device tree, console.
#![no_std]

#[cfg(target_arch = "aarch64")]
pub mod mmio;
pub mod tree;
#[cfg(target_arch = "aarch64")]
pub mod uart;
