//! What a guest links to speak the pKVM guest ABI.
//!
//! A protected guest names the pages behind which it expects a device (the *MMIO guard*); every
//! other access outside its memory comes back as an external abort. It shares single pages of its
//! memory with the host and keeps the rest to itself. This crate finds out what the hypervisor
//! offers and makes those calls, for kernels, firmware and unikernels:
//!
//! - [`Services`] is discovery: PSCI, SMCCC, the hypervisor's UUID, its feature bits. A firmware
//!   layer that has done the first half already enters at [`Services::after_firmware`].
//! - [`IoremapGuard`] is a pair of hooks for `ioremap` and `iounmap` that count the users of each
//!   granule in storage that the guest provides; [`IoremapGuard::from_command_line`] enrols only
//!   where a word asks for it, and guards the early console before anything can be printed.
//! - [`MmioGuardedHypervisor`] and [`MemSharingHypervisor`] are the single calls.
//! - [`Conduit`] is how calls are made: `Hvc`, `Smc`, or a fake in host tests.
//! - `virtio::SharingHal` (feature `virtio-drivers`) is the `Hal` of the crate `virtio-drivers`: a
//!   pool that is shared once holds the queues, and buffers are copied through it.
//!
//! No heap, no statics, no atomics: everything lives in values that the guest owns, so all of it
//! works before the MMU is on. C programs use the same through `guest-shim/c`.
//!
//! # For a firmware author
//!
//! Paste this and call `start(Hvc, …)` with addresses from the device tree, before anything is
//! printed. In host tests, give it a `fake::FakeHypervisor` (feature `fake`).
//!
//! ```
//! use guest_shim::{
//!     Conduit, Dialect, Error, IoremapGuard, MemSharingHypervisor, MmioRegion, Place, Services,
//! };
//!
//! const PAGE_SIZE: u64 = 4096;
//!
//! fn start(conduit: impl Conduit, console: u64, device: u64, buffer: u64) -> Result<(), Error> {
//!     let Ok(services) = Services::discover(conduit, Dialect::Pkvm) else {
//!         return Ok(()); // Not under this kind of hypervisor: devices are just there.
//!     };
//!     let Some(calls) = services.mmio_guard() else {
//!         return Ok(()); // A normal VM without guard: likewise.
//!     };
//!     // Storage for sixteen devices; more are guarded too, but then all of them stay guarded.
//!     let mut guard = IoremapGuard::new(calls, PAGE_SIZE, [Place::FREE; 16])?;
//!     // The console first, and for good: nothing can be printed before. The closure is where a
//!     // guest looks it up, in its fixed mappings or in the device tree.
//!     guard.map_early_console(|| Some(MmioRegion { base: console, size: PAGE_SIZE }))?;
//!
//!     guard.ioremap(device, PAGE_SIZE)?;
//!     // … map it as Device memory, use it, unmap it …
//!     guard.iounmap(device, PAGE_SIZE)?;
//!
//!     if let Some(memory) = services.mem_sharing() {
//!         memory.share(buffer)?; // One granule; give its address to the device's other side.
//!         memory.unshare(buffer)?;
//!     }
//!     Ok(())
//! }
//! # use guest_shim::fake::{FakeHypervisor, Quirks};
//! # let host = FakeHypervisor::new(Quirks::default());
//! # start(&host, 0x900_0000, 0xa00_0000, 0x4100_0000).unwrap();
//! # assert_eq!(host.guarded(), [0x900_0000]);
//! # assert_eq!(host.shared(), []);
//! ```
//!
//! # Dialects
//!
//! The guard's calls have two numberings that nothing in the calls tells apart; a guest knows by
//! its own build or configuration which one its host speaks. See [`Dialect`].
#![no_std]

#[cfg(any(test, feature = "fake"))]
extern crate std;

#[cfg(target_arch = "aarch64")]
mod call;
mod conduit;
mod counts;
mod discovery;
mod error;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod features;
mod guard;
mod ioremap;
mod sharing;
#[cfg(feature = "virtio-drivers")]
pub mod virtio;

pub use hyp_abi::smccc::FunctionId;
pub use hyp_abi::vendor::FEATURES;

#[cfg(target_arch = "aarch64")]
pub use call::{Hvc, Smc};
pub use conduit::Conduit;
pub use counts::Place;
pub use discovery::{DiscoveryError, Services};
pub use error::Error;
pub use features::{Dialect, Features};
pub use guard::{Guard, MmioGuardedHypervisor};
pub use ioremap::{COMMAND_LINE_WORD, IoremapGuard, MmioRegion, asks_for_guard};
pub use sharing::{MemSharingHypervisor, Sharing};
