//! A VM's address space on the fake machine.

use std::boxed::Box;
use std::sync::Arc;

use crate::addr::{Ipa, Pa};
use crate::bus::{Device, Entry};
use crate::memory::{AddressSpace, AssignedDevice, IpaRange, MemoryMap, Populated, SpaceLayout};
use crate::stage2::{DeviceType, Geometry, Level, Vmid};
use crate::testing::{FakeMachine, oracle};
use crate::vm_type::{ProtectedGate, VmType};

pub(crate) type Space = AddressSpace<&'static FakeMachine>;

/// A VM with 6 MiB of RAM in two extents, a console that EL2 emulates, one assigned device, and a
/// page guarded from the start.
pub(crate) struct Vm {
    pub(crate) machine: &'static FakeMachine,
    pub(crate) space: Arc<Space>,
}

/// The first extent: 4 MiB.
pub(crate) const RAM: u64 = 0x4000_0000;
pub(crate) const RAM_PA: u64 = 0x2_0060_0000;
/// The second extent: 2 MiB.
pub(crate) const HIGH: u64 = 0x8000_0000;
pub(crate) const HIGH_PA: u64 = 0x2_0020_0000;
/// The emulated console: one page.
pub(crate) const CONSOLE: u64 = 0x900_0000;
/// The emulated interrupt controller: 16 pages.
pub(crate) const GIC: u64 = 0x800_0000;
/// The assigned device: two pages.
pub(crate) const DEVICE: u64 = 0xa00_0000;
pub(crate) const DEVICE_PA: u64 = 0xfe20_1000;
/// Guarded from the start.
pub(crate) const PRE_GUARDED: u64 = 0xb00_0000;
/// Frames that the tables of any of these VMs fit into.
const FRAMES: u64 = 300;

pub(crate) fn range(base: u64, size: u64) -> IpaRange {
    IpaRange::new(Ipa(base), size).unwrap()
}

pub(crate) fn window(base: u64, size: u64, device: Device) -> Entry {
    Entry { ipa: range(base, size), device }
}

pub(crate) fn layout(word: u64) -> SpaceLayout {
    static GATE: ProtectedGate = ProtectedGate::new(true, true);
    let kind = VmType::parse(word, &GATE, 48).unwrap();
    let mut memory = MemoryMap::new();
    memory.insert(Ipa(RAM), Pa(RAM_PA), 4 << 20).unwrap();
    memory.insert(Ipa(HIGH), Pa(HIGH_PA), 2 << 20).unwrap();
    let mut layout = SpaceLayout::new(kind, Vmid::new(9).unwrap(), memory);
    layout.guarded.push(range(PRE_GUARDED, 0x1000));
    layout.bus.push(window(CONSOLE, 0x1000, Device::Console));
    layout.bus.push(window(GIC, 0x1_0000, Device::DISTRIBUTOR));
    layout.devices.push(AssignedDevice {
        ipa: range(DEVICE, 0x2000),
        pa: Pa(DEVICE_PA),
        kind: DeviceType::NonGatheringNonReordering,
    });
    layout
}

impl Vm {
    /// A VM of type `word`.
    pub(crate) fn new(word: u64) -> Self {
        Self::with(layout(word))
    }

    /// A VM of `layout`. What it is made of is never freed: tests are short.
    pub(crate) fn with(layout: SpaceLayout) -> Self {
        let geometry = Geometry::new(layout.vm_type.ipa_bits()).unwrap();
        let machine: &'static FakeMachine = Box::leak(Box::new(FakeMachine::new(FRAMES << 12)));
        let (bytes, _) = layout.table_bytes().unwrap();
        assert!(bytes <= machine.frames().size());
        let vmid = layout.vmid;
        let space = Arc::new(Space::new(machine, layout, machine.frames()).unwrap());
        let start = match geometry.start() {
            Level::L0 => 0,
            Level::L1 => 1,
            Level::L2 | Level::L3 => 2,
        };
        machine.watch(machine.frames().base(), geometry.ipa_bits(), start, vmid);
        machine.take_ops();
        Self { machine, space }
    }

    pub(crate) fn oracle(&self, ipa: u64) -> Result<oracle::Translation, oracle::Fault> {
        let read = |pa| self.machine.read_entry(pa);
        oracle::translate(self.space.vtcr(48), self.space.vttbr(), ipa, &read)
    }

    /// What a guest does that touches `ipa`: again and again until it is there.
    pub(crate) fn touch(&self, ipa: u64) {
        while self.space.populate(Ipa(ipa), || false).unwrap() != Populated::Mapped {}
    }
}
