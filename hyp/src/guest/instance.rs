//! The VM of this run and what its vCPUs and its reset need.

use hyp_core::bundle::VmDescription;
use hyp_core::features::Features;
use hyp_core::sysreg::CpuView;

use super::vcpu::GuestVm;
use crate::arch::once::Once;

/// A VM with what belongs to it.
pub(crate) struct Instance {
    /// The VM itself.
    pub(crate) vm: GuestVm,
    /// What it may do.
    pub(crate) features: Features,
    /// System registers as its vCPUs see them.
    pub(crate) view: CpuView,
    /// What the bundle says about it.
    pub(crate) description: &'static VmDescription<'static>,
}

static INSTANCE: Once<&'static Instance> = Once::new();

/// Makes `instance` the one that runs.
pub(crate) fn set(instance: &'static Instance) {
    INSTANCE.set(instance);
}

/// The VM, once there is one.
pub(crate) fn get() -> Option<&'static Instance> {
    INSTANCE.get().copied()
}

/// The VM's name.
pub(crate) fn name() -> &'static str {
    get().map_or("", |instance| instance.description.name)
}
