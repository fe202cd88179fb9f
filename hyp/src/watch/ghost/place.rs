//! The VM as the model needs to know it, from its description and its layout.

use alloc::vec::Vec;

use ::ghost::model::{Config, Dialect, Start};
use ::ghost::{Extent, Place};
use hyp_core::bundle::{self, SmcPolicy, VmDescription};
use hyp_core::memory::{IpaRange, SpaceLayout};

use crate::arch::cpu::Lock;
use crate::machine;
use crate::vm::system::Instance;

static NOTED: Lock<Option<Place>> = Lock::new(None);

/// Notes what the VM is to be, before anything is made of it.
pub(super) fn note(description: &VmDescription<'_>, layout: &SpaceLayout) {
    let span = |range: IpaRange| (range.base().get(), range.end().get());
    let config = Config {
        is_protected: layout.vm_type.is_protected(),
        ipa_bits: layout.vm_type.ipa_bits(),
        dialect: match description.dialect {
            bundle::Dialect::Pkvm => Dialect::Pkvm,
            bundle::Dialect::List2021 => Dialect::List2021,
        },
        with_guard: description.guard.unwrap_or(false),
        smc_is_undefined: description.smc == SmcPolicy::Undefined,
        // Aff0 counts (docs/abi.md).
        affinities: (0..description.vcpus).map(|vcpu| (vcpu as u64, vcpu)).collect(),
        boot: Start {
            entry: description.entry.get(),
            context: description.x0(),
            is_big_endian: false,
        },
        memory: description.memory.iter().map(|range| span(*range)).collect(),
        emulated: layout.bus.iter().map(|entry| span(entry.ipa)).collect(),
        assigned: layout.devices.iter().map(|device| span(device.ipa)).collect(),
        guarded: description
            .guarded
            .iter()
            .flat_map(|range| (range.base().get()..range.end().get()).step_by(4096))
            .collect(),
    };
    let memory = layout.memory.extents().iter().map(|extent| Extent {
        ipa: extent.ipa().base().get(),
        bytes: extent.ipa().size(),
        pa: extent.pa().get(),
    });
    let devices = layout.devices.iter().map(|device| Extent {
        ipa: device.ipa.base().get(),
        bytes: device.ipa.size(),
        pa: device.pa.get(),
    });
    let memory: Vec<_> = memory.collect();
    *NOTED.lock() = Some(Place { config, memory, devices: devices.collect(), vtcr: 0, vttbr: 0 });
}

/// What was noted, and where the tables of `instance` are.
pub(super) fn take(instance: &Instance) -> Option<Place> {
    let mut place = NOTED.lock().take()?;
    let pa_bits = machine::facts()?.host.pa_bits();
    place.vtcr = instance.vm.space.vtcr(pa_bits);
    place.vttbr = instance.vm.space.vttbr();
    Some(place)
}
