//! What the bare-metal test guests have in common: device registers, device tree, console, stage-1
//! tables. Assembly that they share is in `macros.S`, their build script in `link.rs`.
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(target_arch = "aarch64")]
pub mod mmio;
#[cfg(target_arch = "aarch64")]
pub mod mmu;
#[cfg(target_arch = "aarch64")]
pub mod start;
pub mod tree;
#[cfg(target_arch = "aarch64")]
pub mod uart;
