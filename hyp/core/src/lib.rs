//! What Postern decides.
//!
//! A trap becomes plain data here and leaves as plain data; the EL2 image (package `hyp`) reads
//! the hardware, calls in, and applies the answer. Nothing in this crate touches a register or
//! raw memory, so all of it runs, and is tested, on the host.
//!
//! Nothing a guest can reach in here panics: no index, no unchecked arithmetic, no `unwrap`.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

#[cfg(any(test, interleave, feature = "testing"))]
extern crate std;

pub mod addr;
pub mod bundle;
pub mod bus;
pub mod calls;
pub mod console;
pub mod cpu;
pub mod errata;
pub mod esr;
pub mod events;
pub mod fault;
pub mod features;
pub mod guard;
pub mod inject;
pub mod insn;
pub mod intid;
pub mod memory;
pub mod pl011;
pub mod ports;
pub mod psci;
pub mod serror;
pub mod share;
pub mod stage2;
pub mod sync;
pub mod sysreg;
pub mod trap;
pub mod tree;
pub mod trng;
pub mod vcpu;
pub mod vgic;
pub mod vm;
pub mod vm_type;

#[cfg(any(test, feature = "testing"))]
#[cfg_attr(
    not(test),
    expect(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        reason = "for tests, of this package or of others"
    )
)]
pub mod testing;
