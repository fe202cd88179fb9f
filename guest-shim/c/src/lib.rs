//! `guest-shim` for C programs; `guest-shim/include/postern_guest.h` is its documentation.
//!
//! Every function here is the shim's own with C's types around it. What C hands in is checked as
//! far as it can be: a null pointer or a struct that no successful call has filled is
//! [`status::ARGUMENT`]. Nothing here unwinds or needs a heap.
#![cfg_attr(target_os = "none", no_std)]
#![expect(unsafe_code, reason = "C hands in raw pointers and functions")]

mod handle;
mod hooks;
mod services;
pub mod status;

pub use handle::Handle;
pub use hooks::{
    ConsoleFn, Hooks, Region, postern_ioremap, postern_ioremap_init, postern_ioremap_start,
    postern_iounmap, postern_is_tracked, postern_keeps_everything, postern_map_early,
};
pub use services::{
    CConduit, CServices, CallFn, DIALECT_LIST_2021, DIALECT_PKVM, postern_after_firmware,
    postern_discover, postern_guard_granule, postern_has_function, postern_relinquish,
    postern_share, postern_share_granule, postern_unshare,
};
#[cfg(target_arch = "aarch64")]
pub use services::{postern_hvc, postern_smc};

/// The library has no way to report a bug of its own: it stops this CPU.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
