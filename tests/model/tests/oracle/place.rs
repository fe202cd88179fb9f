//! The VM that both sides are given.

use std::collections::{BTreeMap, BTreeSet};

use hyp_core::addr::{Ipa, Pa};
use hyp_core::bus::{Device, Entry};
use hyp_core::features::{self, FeatureOptions, Features};
use hyp_core::memory::{AssignedDevice, IpaRange, MemoryMap, SpaceLayout};
use hyp_core::stage2::{DeviceType, Vmid};
use hyp_core::vm_type::{ProtectedGate, VmType};
use model::{Config, Dialect, PAGE, Start};

/// 4 MiB of memory, and where it lies.
pub(crate) const RAM: u64 = 0x4000_0000;
/// 2 MiB more.
pub(crate) const HIGH: u64 = 0x8000_0000;
pub(crate) const CONSOLE: u64 = 0x900_0000;
/// 16 pages.
pub(crate) const GIC: u64 = 0x800_0000;
/// Two pages of a real device.
pub(crate) const DEVICE: u64 = 0xa00_0000;
pub(crate) const DEVICE_PA: u64 = 0xfe20_1000;
pub(crate) const PRE_GUARDED: u64 = 0xb00_0000;
/// Memory: address, size, where it lies.
const MEMORY: [(u64, u64, u64); 2] =
    [(RAM, 4 << 20, 0x2_0060_0000), (HIGH, 2 << 20, 0x2_0020_0000)];
pub(crate) const BOOT: Start = Start { entry: RAM, context: 0x4800_0000, is_big_endian: false };

/// Where the byte of memory at `ipa` lies.
pub(crate) fn physical(ipa: u64) -> Option<u64> {
    let at = |(base, size, pa): &(u64, u64, u64)| {
        (*base..*base + *size).contains(&ipa).then(|| ipa - base + pa)
    };
    MEMORY.iter().find_map(at)
}

/// What of a VM differs from case to case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) is_protected: bool,
    pub(crate) is_2021: bool,
    pub(crate) with_guard: bool,
    pub(crate) smc_is_undefined: bool,
    pub(crate) vcpus: usize,
    /// The IPA field of the type word.
    pub(crate) ipa_field: u32,
}

impl Options {
    pub(crate) fn word(&self) -> u64 {
        u64::from(self.ipa_field) | if self.is_protected { 0x8000_0000 } else { 0 }
    }

    /// For the model.
    pub(crate) fn config(&self) -> Config {
        let ipa_bits = if self.ipa_field == 0 { 40 } else { self.ipa_field };
        Config {
            is_protected: self.is_protected,
            ipa_bits,
            dialect: if self.is_2021 { Dialect::List2021 } else { Dialect::Pkvm },
            with_guard: self.with_guard,
            smc_is_undefined: self.smc_is_undefined,
            affinities: (0..self.vcpus).map(|vcpu| (vcpu as u64, vcpu)).collect(),
            boot: BOOT,
            memory: MEMORY.iter().map(|(base, size, _)| (*base, base + size)).collect(),
            emulated: BTreeMap::from([(CONSOLE, CONSOLE + PAGE), (GIC, GIC + 0x1_0000)]),
            assigned: BTreeMap::from([(DEVICE, DEVICE + 2 * PAGE)]),
            guarded: BTreeSet::from([PRE_GUARDED]),
        }
    }

    /// For the address space.
    pub(crate) fn layout(&self) -> SpaceLayout {
        static GATE: ProtectedGate = ProtectedGate::new(true, true);
        let range = |base, size| IpaRange::new(Ipa(base), size).unwrap();
        let mut memory = MemoryMap::new();
        for (base, size, pa) in MEMORY {
            memory.insert(Ipa(base), Pa(pa), size).unwrap();
        }
        let kind = VmType::parse(self.word(), &GATE, 48).unwrap();
        let mut layout = SpaceLayout::new(kind, Vmid::new(9).unwrap(), memory);
        layout.guarded.push(range(PRE_GUARDED, PAGE));
        for (base, size, device) in
            [(CONSOLE, PAGE, Device::Console), (GIC, 0x1_0000, Device::DISTRIBUTOR)]
        {
            layout.bus.push(Entry { ipa: range(base, size), device });
        }
        layout.devices.push(AssignedDevice {
            ipa: range(DEVICE, 2 * PAGE),
            pa: Pa(DEVICE_PA),
            kind: DeviceType::NonGatheringNonReordering,
        });
        layout
    }

    /// For the router.
    pub(crate) fn features(&self) -> Features {
        Features::new(&FeatureOptions {
            is_protected: self.is_protected,
            dialect: if self.is_2021 {
                features::Dialect::List2021
            } else {
                features::Dialect::Pkvm
            },
            with_guard: self.with_guard,
            smc_is_undefined: self.smc_is_undefined,
            has_entropy: false,
        })
    }

    /// Pages around everything there is, and at the ends of the address space.
    pub(crate) fn pages(&self) -> Vec<u64> {
        let end = 1u64 << self.config().ipa_bits;
        let mut pages = vec![0, PRE_GUARDED, end - PAGE, end, u64::MAX - 0xfff];
        for (base, size) in
            [(RAM, 4 << 20), (HIGH, 2 << 20), (CONSOLE, PAGE), (GIC, 0x1_0000), (DEVICE, 0x2000)]
        {
            pages.extend([base - PAGE, base, base + size - PAGE, base + size]);
        }
        pages.extend([RAM + PAGE, RAM + 2 * PAGE, RAM + (2 << 20) - PAGE, RAM + (2 << 20)]);
        pages
    }
}
