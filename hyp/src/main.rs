//! Postern's EL2 image.
//!
//! The order of boot is in [`boot`]; everything below EL2's own machine (drivers, maps, vectors)
//! is in `arch`, `mm` and `drivers`, and whatever decides is in `hyp-core`.
//!
//! Nothing a guest does panics EL2: modules that serve guests, marked below, may not even index or
//! compute unchecked.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(clippy::expect_used, clippy::unwrap_used)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
#[deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]
mod console;
#[cfg(target_os = "none")]
mod drivers;
#[cfg(target_os = "none")]
#[deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]
mod entropy;
#[cfg(target_os = "none")]
mod exit;
#[cfg(target_os = "none")]
mod firmware;
#[cfg(target_os = "none")]
mod guest;
#[cfg(target_os = "none")]
mod handover;
#[cfg(target_os = "none")]
#[cfg_attr(not(feature = "inject"), path = "injection_off.rs")]
mod injection;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod mm;
#[cfg(target_os = "none")]
mod panic;
#[cfg(target_os = "none")]
mod say;
#[cfg(target_os = "none")]
mod smp;
#[cfg(target_os = "none")]
#[deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]
mod trace;

#[cfg(target_os = "none")]
arch::boot::entry_code!(main = crate::boot::boot_main, secondary = crate::smp::secondary_main);
#[cfg(target_os = "none")]
arch::vectors::table!(
    sync = crate::guest::traps::trap_sync,
    access = crate::guest::traps::trap_access,
    register = crate::guest::traps::trap_register,
    irq = crate::guest::traps::trap_irq,
    serror = crate::guest::traps::trap_serror,
    fatal = crate::panic::fatal_exception
);

/// The image runs at EL2 only; on the host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}
