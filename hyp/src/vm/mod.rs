//! VMs: made from the bundle, loaded, reset, ended.
//!
//! Nothing a guest does panics EL2, so that none of this may even index or compute unchecked.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]

pub(crate) mod launch;
pub(crate) mod life;
pub(crate) mod system;

/// A VM on the real machine.
pub(crate) type GuestVm = hyp_core::vm::Vm<crate::mm::ports::Hardware>;
