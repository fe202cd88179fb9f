//! A VM on the hostile machine.

use hyp_core_interleaved::addr::{Ipa, PAGE_SIZE, Pa};
use hyp_core_interleaved::bus::{Device, Entry};
use hyp_core_interleaved::memory::{
    AddressSpace, AssignedDevice, IpaRange, MemoryMap, Populated, SpaceLayout,
};
use hyp_core_interleaved::stage2::{DeviceType, VmidAllocator};
use hyp_core_interleaved::vm_type::{ProtectedGate, VmType};

use crate::hostile::Root;
use crate::machine::{Mistake, Ports, TABLES};

/// Two blocks.
pub(crate) const RAM: u64 = 0x4000_0000;
const RAM_PA: u64 = 0x2_0060_0000;
/// One block.
pub(crate) const HIGH: u64 = 0x8000_0000;
const HIGH_PA: u64 = 0x2_0020_0000;
/// One page, emulated.
pub(crate) const CONSOLE: u64 = 0x900_0000;
/// Two pages, assigned.
pub(crate) const DEVICE: u64 = 0xa00_0000;
const DEVICE_PA: u64 = 0xfe20_1000;
const GUARDED: u64 = 0xb00_0000;
const FRAMES: usize = 300;

/// What a guest does, or what is done to it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Touch(u64),
    Share(u64),
    Unshare(u64),
    Relinquish(u64),
    /// As another type of device or the device's own.
    Guard(u64, bool),
    Unguard(u64),
    GuardRange(u64, u64),
    UnguardRange(u64, u64),
    MapDevice(u64),
    Enroll,
    /// With a payload or without.
    Reset(bool),
    /// The VM ends and another one gets its VMID and its table frames.
    Replace,
}

type Space = AddressSpace<Ports>;

/// A VM and what it runs on.
pub(crate) struct Vm {
    ports: Ports,
    space: Space,
    vmids: VmidAllocator,
    protected: bool,
}

fn range(base: u64, size: u64) -> IpaRange {
    IpaRange::new(Ipa(base), size).unwrap()
}

fn new_space(ports: &Ports, vmids: &VmidAllocator, protected: bool) -> Space {
    static GATE: ProtectedGate = ProtectedGate::new(true, true);
    let kind = VmType::parse(u64::from(protected) << 31, &GATE, 48).unwrap();
    let mut memory = MemoryMap::new();
    memory.insert(Ipa(RAM), Pa(RAM_PA), 4 << 20).unwrap();
    memory.insert(Ipa(HIGH), Pa(HIGH_PA), 2 << 20).unwrap();
    let mut layout = SpaceLayout::new(kind, vmids.allocate().unwrap(), memory);
    layout.guarded.push(range(GUARDED, PAGE_SIZE));
    let console = Entry { ipa: range(CONSOLE, PAGE_SIZE), device: Device::Console };
    layout.bus.push(console);
    layout.devices.push(AssignedDevice {
        ipa: range(DEVICE, 2 * PAGE_SIZE),
        pa: Pa(DEVICE_PA),
        kind: DeviceType::NonGatheringNonReordering,
    });
    Space::new(ports.clone(), layout, ports.frames()).unwrap()
}

impl Vm {
    pub(crate) fn new(protected: bool, is_late: bool) -> Self {
        let ports = Ports::new(FRAMES, is_late, Mistake::None);
        let vmids = VmidAllocator::new();
        let space = new_space(&ports, &vmids, protected);
        let vm = Self { ports, space, vmids, protected };
        vm.run();
        vm
    }

    pub(crate) fn make(&self, mistake: Mistake) {
        self.ports.0.make(mistake);
    }

    pub(crate) fn judged(&self) -> u64 {
        self.ports.0.judged()
    }

    pub(crate) const fn ports(&self) -> &Ports {
        &self.ports
    }

    fn vmid(&self) -> u8 {
        u8::try_from(self.space.vttbr() >> 48).unwrap()
    }

    /// The vCPUs enter.
    fn run(&self) {
        // VTCR_EL2: SL0 is 2 less the level, T0SZ 64 less the bits.
        let vtcr = self.space.vtcr(48);
        let root = Root {
            pa: self.space.vttbr() & ((1 << 48) - 1),
            ipa_bits: 64 - (vtcr & 0x3f) as u32,
            level: 2 - (vtcr >> 6 & 3) as u32,
        };
        assert_eq!(root.pa, TABLES);
        self.ports.0.run(self.vmid(), root);
    }

    /// Takes `step`, whatever it answers, and has the machine judge it.
    pub(crate) fn take(&mut self, step: Step) -> Result<(), String> {
        let space = &self.space;
        match step {
            Step::Touch(ipa) => {
                // Interrupted after each piece.
                let again = [Ok(Populated::Busy), Ok(Populated::Interrupted)];
                while again.contains(&space.populate(Ipa(ipa), || true)) {}
            }
            Step::Share(ipa) => while space.share(Ipa(ipa), || false).is_err_and(is_again) {},
            Step::Unshare(ipa) => whatever(space.unshare(Ipa(ipa))),
            Step::Relinquish(ipa) => whatever(space.relinquish(Ipa(ipa))),
            Step::Guard(ipa, other) => {
                let kind = other.then_some(DeviceType::Gathering);
                whatever(space.guard_map(Ipa(ipa), kind));
            }
            Step::Unguard(ipa) => whatever(space.guard_unmap(Ipa(ipa))),
            Step::GuardRange(ipa, count) => whatever(space.guard_map_range(Ipa(ipa), count)),
            Step::UnguardRange(ipa, count) => whatever(space.guard_unmap_range(Ipa(ipa), count)),
            Step::MapDevice(ipa) => whatever(space.map_device(Ipa(ipa))),
            Step::Enroll => whatever(space.enroll()),
            Step::Reset(with_payload) => {
                // No vCPU is inside, but walkers may be ahead of them.
                space.reset().map_err(|error| error.to_string())?;
                self.ports.0.returned()?;
                self.ports.0.stop(self.vmid());
                if with_payload {
                    // Across two blocks, then more into the first.
                    for (ipa, bytes) in [(RAM + 0x1f_f000, 0x2345), (RAM + 0x1000, 0x10)] {
                        space.load(Ipa(ipa), &vec![1; bytes]).map_err(|error| error.to_string())?;
                    }
                }
                self.run();
            }
            Step::Replace => {
                let vmid = self.vmid();
                self.ports.0.stop(vmid);
                self.vmids = VmidAllocator::new();
                self.space = new_space(&self.ports, &self.vmids, self.protected);
                assert_eq!(self.vmid(), vmid);
                self.run();
            }
        }
        self.ports.0.returned()
    }
}

fn is_again(error: hyp_core_interleaved::share::ShareError) -> bool {
    matches!(error, hyp_core_interleaved::share::ShareError::Again)
}

/// A step may well be refused; what counts is what it did.
fn whatever<T, E>(_: Result<T, E>) {}
