//! What the EFI part of Postern's image decides: which memory the hypervisor gets, what the device
//! tree says that it is given, where the bundle is looked for.
//!
//! EFI firmware starts the image's `postern-efi`. It gathers what a boot loader of the arm64 boot
//! protocol would pass, puts it into a copy of the firmware's device tree, ends the firmware's boot
//! services and enters the hypervisor as any loader does, so that EL2 knows nothing about EFI.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        reason = "a test that meets the unexpected fails"
    )
)]

#[cfg(test)]
extern crate std;

pub mod memory;
pub mod place;
pub mod tree;
pub mod words;
