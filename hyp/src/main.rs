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

/// Calls a function of `injection`. In an image that injects nothing, stands for the value behind it.
#[cfg(all(target_os = "none", feature = "inject"))]
macro_rules! injected {
    ($function:ident ($($argument:expr),*) $(, $otherwise:expr)?) => {
        crate::injection::$function($($argument),*)
    };
}
#[cfg(all(target_os = "none", not(feature = "inject")))]
macro_rules! injected {
    ($function:ident ($($argument:expr),*)) => {};
    ($function:ident ($($argument:expr),*), $otherwise:expr) => {
        core::convert::identity($otherwise)
    };
}

/// Does what stands behind a function of the ghost check under the eyes of that. In an image without it, just
/// does it.
#[cfg(all(target_os = "none", feature = "ghost"))]
macro_rules! ghosted {
    ($function:ident ($($argument:expr),*), $deed:expr) => {
        crate::watch::ghost::$function($($argument,)* || $deed)
    };
}
#[cfg(all(target_os = "none", not(feature = "ghost")))]
macro_rules! ghosted {
    ($function:ident ($($argument:expr),*), $deed:expr) => {
        $deed
    };
}

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
#[deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]
mod console;
#[cfg(target_os = "none")]
mod cpu;
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
mod handover;
#[cfg(all(target_os = "none", feature = "inject"))]
#[path = "watch/injection.rs"]
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
mod trap;
#[cfg(target_os = "none")]
mod vm;
#[cfg(target_os = "none")]
mod watch;

#[cfg(target_os = "none")]
arch::boot::entry_code!(main = crate::boot::boot_main, secondary = crate::smp::secondary_main);
#[cfg(target_os = "none")]
arch::vectors::table!(
    call = crate::trap::trap_call,
    interrupt = crate::trap::trap_interrupt,
    sync = crate::trap::trap_sync,
    serror = crate::trap::trap_serror,
    fatal = crate::panic::fatal_exception
);

/// The image runs at EL2 only; on the host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}
