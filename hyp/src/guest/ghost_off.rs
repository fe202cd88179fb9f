//! What stands in the place of the ghost check in an image without it: nothing.
#![expect(clippy::inline_always, reason = "a caller must not even notice")]

use hyp_core::addr::Ipa;
use hyp_core::bundle::VmDescription;
use hyp_core::esr::PlainAccess;
use hyp_core::memory::SpaceLayout;
use hyp_core::tree::machine::Machine;

use super::instance::Instance;
use super::vcpu::{GuestVm, Vcpu};

/// A VM is about to be made.
#[inline(always)]
pub(super) fn made(_: &VmDescription<'_>, _: &SpaceLayout) {}

/// From here on the VM is watched.
#[inline(always)]
pub(super) fn start(_: &'static Instance, _: &Machine<'_>) {}

/// A call of the vCPU is answered by `op`.
#[inline(always)]
pub(super) fn call<T>(_: &Vcpu, _: bool, _: u16, _: [u64; 4], op: impl FnOnce() -> T) -> T {
    op()
}

/// A described access is about to be answered on the short road.
#[inline(always)]
pub(super) fn described(_: &Vcpu, _: Ipa, _: PlainAccess) {}

/// It reaches a device.
#[inline(always)]
pub(super) fn reaches(_: &Vcpu) {}

/// The guest has been made to take an abort for it.
#[inline(always)]
pub(super) fn refused(_: &Vcpu) {}

/// A fault is judged by `op`.
#[inline(always)]
pub(super) fn fault<F, T>(_: &Vcpu, _: &F, op: impl FnOnce() -> T) -> T {
    op()
}

/// What the verdict asks for has been done.
#[inline(always)]
pub(super) fn done(_: usize) {}

/// The guest is made to take an exception with this ESR_EL1.
#[inline(always)]
pub(super) fn takes(_: u64) {}

/// No table frame was left for what this CPU's vCPU asked for.
#[inline(always)]
pub(super) fn out_of_tables() {}

/// EL2 loads the VM's memory by `op`.
#[inline(always)]
pub(super) fn load<T>(op: impl FnOnce() -> T) -> T {
    op()
}

/// EL2 resets the VM by `op`.
#[inline(always)]
pub(super) fn reset<T>(_: &GuestVm, op: impl FnOnce() -> T) -> T {
    op()
}

/// EL2 starts the VM by `op`.
#[inline(always)]
pub(super) fn boot<T>(_: &GuestVm, op: impl FnOnce() -> T) -> T {
    op()
}

/// The vCPU looks by `op` whether it is to start.
#[inline(always)]
pub(super) fn wait<T>(_: &GuestVm, _: usize, op: impl FnOnce() -> T) -> T {
    op()
}

/// The vCPU goes off by `op`.
#[inline(always)]
pub(super) fn off<T>(_: &GuestVm, _: usize, op: impl FnOnce() -> T) -> T {
    op()
}

/// The VM has stopped.
#[inline(always)]
pub(super) fn stopped() {}
