//! Postern as an EFI application: its entry, and the order in which it hands over to the
//! hypervisor, of whose image it is a part.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod failure;
#[cfg(target_os = "none")]
mod files;
#[cfg(target_os = "none")]
mod firmware;
#[cfg(target_os = "none")]
mod start;

/// The program runs under EFI firmware only; on the host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}
