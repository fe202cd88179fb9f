//! The bundle: reads VM descriptions out of one file and checks them, the data they need included.
//!
//! Nothing is copied: images are slices of the bundle, whose pages stay EL2's and read-only, so
//! that a reset loads from them again. Whoever holds a [`VmDescription`] holds one whose data has
//! the right checksums, whose pieces lie in the VM's memory without touching each other, and which
//! has a tree for the machine's GIC.
//!
//! The layout is in [`hyp_abi::bundle`].

pub mod crc32;
mod description;
mod error;
mod image;
mod read;
mod vm;

#[cfg(test)]
mod tests;

pub use description::{Dialect, GuestTree, LoadImage, SeedField, SmcPolicy, VmDescription};
pub use error::BundleError;
pub use read::Bundle;

pub use crate::vgic::GicVersion;

/// Computes a CRC-32 further: see [`crc32::update`]. EL2 may have instructions for it.
pub type Crc32 = fn(u32, &[u8]) -> u32;
