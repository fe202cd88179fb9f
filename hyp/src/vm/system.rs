//! The VMs of this run, by number.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use arrayvec::ArrayVec;
use hyp_abi::bundle::MAX_VMS;
use hyp_core::bundle::VmDescription;
use hyp_core::events::EventLog;
use hyp_core::events::trace::SeenPages;
use hyp_core::features::Features;
use hyp_core::sysreg::CpuView;

use super::GuestVm;
use crate::arch::cpu::Lock;
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
    /// What is known of its past.
    pub(crate) past: &'static Past,
}

/// What is known of a VM's past.
pub(crate) struct Past {
    /// What it did wrong.
    pub(crate) events: EventLog,
    /// How often it broke a rule, in a run in which that is to fail.
    pub(crate) denied: AtomicU64,
    /// It has been told about the guard.
    pub(crate) is_explained: AtomicBool,
    /// Pages of emulated devices that it has used.
    pub(crate) used: SeenPages,
    /// What it held after its first reset. Not after its first start: other CPUs still make their vCPUs
    /// then.
    pub(crate) held: Lock<Option<Held>>,
    /// How often it was reset.
    pub(crate) resets: AtomicU32,
    /// The exit code with which it ended.
    pub(crate) end: Once<u8>,
}

impl Past {
    /// Nothing has happened.
    const fn new() -> Self {
        Self {
            events: EventLog::new(),
            denied: AtomicU64::new(0),
            is_explained: AtomicBool::new(false),
            used: SeenPages::new(),
            held: Lock::new(None),
            resets: AtomicU32::new(0),
            end: Once::new(),
        }
    }
}

/// What a VM holds once it is loaded: table frames over memory and over marks, bytes of EL2's heap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) memory: u64,
    pub(crate) marks: u64,
    pub(crate) heap: usize,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, marks, heap } = self;
        write!(f, "tables {memory} for memory, {marks} for marks; heap {heap} bytes")
    }
}

/// All VMs, in the order of the bundle.
pub(crate) type Vms = ArrayVec<&'static Instance, MAX_VMS>;

static PASTS: [Past; MAX_VMS] = [const { Past::new() }; MAX_VMS];

/// That of the VM with this number.
pub(crate) fn past(number: u8) -> Option<&'static Past> {
    PASTS.get(usize::from(number))
}

static VMS: Once<Vms> = Once::new();

/// Makes `vms` those of this run.
pub(crate) fn set(vms: Vms) {
    VMS.set(vms);
}

/// The VMs, once there are any.
pub(crate) fn all() -> &'static [&'static Instance] {
    VMS.get().map_or(&[], |vms| vms)
}

/// The VM with this number.
pub(crate) fn nth(number: u8) -> Option<&'static Instance> {
    all().get(usize::from(number)).copied()
}

/// The VM whose vCPU runs on CPU number `cpu`, and the number of that vCPU.
pub(crate) fn on(cpu: usize) -> Option<(&'static Instance, usize)> {
    all().iter().find_map(|instance| Some((*instance, instance.vm.homes().vcpu_on(cpu)?)))
}

/// The name of the VM with this number.
pub(crate) fn name(number: u8) -> &'static str {
    nth(number).map_or("", |instance| instance.description.name)
}
