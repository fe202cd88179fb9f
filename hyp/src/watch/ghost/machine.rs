//! What the judges are shown of the machine.

use core::sync::atomic::Ordering;

use ::ghost::Seen;
use hyp_abi::vplatform::MAX_VCPUS;
use hyp_core::addr::{BLOCK_2M, Ipa, Pa};
use hyp_core::ports::{GuestMemory, TableMemory};

use crate::vm::GuestVm;
use crate::vm::system;

/// The VM's tables and memory, through the maps and windows that EL2 has anyway.
pub(super) struct Eyes {
    pub(super) vm: &'static GuestVm,
}

impl Eyes {
    /// Of the VM that runs.
    pub(super) fn open() -> Option<Self> {
        system::nth(0).map(|instance| Self { vm: &instance.vm })
    }
}

impl ::ghost::Machine for Eyes {
    fn entry(&self, table: u64, index: usize) -> Option<u64> {
        let table = self.vm.space.ports().table(Pa(table))?;
        Some(table.entry(index)?.load(Ordering::Acquire))
    }

    fn is_enrolled(&self) -> bool {
        self.vm.space.is_enrolled()
    }

    fn is_guarded(&self, ipa: u64) -> bool {
        self.vm.space.is_guarded(Ipa(ipa))
    }

    fn is_zero(&self, pa: u64, bytes: u64) -> bool {
        let mut buffer = [0u8; 4096];
        let pages = (0..bytes.min(BLOCK_2M)).step_by(buffer.len());
        pages.map(|offset| Pa(pa.wrapping_add(offset))).all(|pa| {
            self.vm.space.ports().read(pa, &mut buffer);
            buffer.iter().all(|byte| *byte == 0)
        })
    }
}

/// Power states as the machine has them.
pub(super) struct PowerStates {
    vcpus: [(bool, bool); MAX_VCPUS],
    is_any_alive: bool,
}

impl PowerStates {
    /// For the judge.
    pub(super) fn seen(&self) -> Seen<'_> {
        Seen { vcpus: &self.vcpus, is_any_alive: self.is_any_alive }
    }
}

/// What the power states are now.
pub(super) fn seen(vm: &GuestVm) -> PowerStates {
    let mut vcpus = [(false, false); MAX_VCPUS];
    for (index, vcpu) in vcpus.iter_mut().enumerate() {
        *vcpu = (vm.power.is_on(index), vm.power.is_starting(index));
    }
    PowerStates { vcpus, is_any_alive: vm.power.is_any_alive() }
}
