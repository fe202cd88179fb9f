//! The VM, its machine, and who tells the ghost: this file stands where EL2 stands.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use ghost::model::{Access, Answer, Conduit, Config, Dialect, Event, Kind, PAGE, Start};
use ghost::{Cause, Difference, Extent, Place, Section, Space, Tally};
use hyp_core::addr::{Ipa, Pa, Va};
use hyp_core::bus::{Device, Entry};
use hyp_core::calls::{Mitigation, Outcome, Workaround, answer};
use hyp_core::esr::{self, Cause as FaultCause, Direction, Width};
use hyp_core::fault::{Fault, Kind as FaultKind, Verdict, judge};
use hyp_core::features::{self, FeatureOptions, Features};
use hyp_core::inject::{GuestState, PstateFeatures, take};
use hyp_core::memory::{AddressSpace, AssignedDevice, IpaRange, MemoryMap, SpaceLayout};
use hyp_core::ports::{GuestMemory, Table, TableMemory, Tlb};
use hyp_core::stage2::{DeviceType, Vmid};
use hyp_core::testing::FakeMachine;
use hyp_core::vgic::GicVersion;
use hyp_core::vm::{Caller, Shell, Vm};
use hyp_core::vm_type::{ProtectedGate, VmType};

pub(crate) const RAM: u64 = 0x4000_0000;
pub(crate) const HIGH: u64 = 0x8000_0000;
pub(crate) const CONSOLE: u64 = 0x900_0000;
pub(crate) const GIC: u64 = 0x800_0000;
pub(crate) const DEVICE: u64 = 0xa00_0000;
pub(crate) const PRE_GUARDED: u64 = 0xb80_0000;
const DEVICE_PA: u64 = 0xfe20_1000;
const MEMORY: [(u64, u64, u64); 2] =
    [(RAM, 4 << 20, 0x2_0060_0000), (HIGH, 2 << 20, 0x2_0020_0000)];
const FRAMES: u64 = 300;

thread_local! {
    /// The vCPU that this thread is.
    static VCPU: Cell<usize> = const { Cell::new(0) };
}

/// The ports, with the ghost beside them.
pub(crate) struct Watched {
    fake: &'static FakeMachine,
    judge: Mutex<Option<Space>>,
    /// Another vCPU is on when the writer lock is taken; it writes to the first page of memory and is off
    /// before the lock is given back.
    is_beside: AtomicBool,
    vm: OnceLock<&'static Vm<&'static Watched>>,
}

impl Watched {
    fn judge(&self) -> MutexGuard<'_, Option<Space>> {
        self.judge.lock().unwrap()
    }
}

impl ghost::Machine for &Watched {
    fn entry(&self, table: u64, index: usize) -> Option<u64> {
        Some(TableMemory::table(&self.fake, Pa(table))?.entry(index)?.load(Ordering::Acquire))
    }
    fn is_enrolled(&self) -> bool {
        self.vm.get().unwrap().space.is_enrolled()
    }
    fn is_guarded(&self, ipa: u64) -> bool {
        self.vm.get().unwrap().space.is_guarded(Ipa(ipa))
    }
    fn is_zero(&self, pa: u64, bytes: u64) -> bool {
        (pa..pa + bytes).step_by(4096).all(|pa| self.fake.is_zero(Pa(pa)))
    }
}

impl TableMemory for &'static Watched {
    fn table(&self, pa: Pa) -> Option<&Table> {
        TableMemory::table(&self.fake, pa)
    }

    fn opened(&self) {
        let mut judge = self.judge();
        let Some(judge) = judge.as_mut() else { return };
        let is_single = self.vm.get().unwrap().power.count() == 1;
        let is_alone = is_single && !self.is_beside.load(Ordering::Relaxed);
        judge.open(VCPU.get(), self, is_alone).unwrap_or_else(|error| panic!("{error}"));
    }

    fn settled(&self, used: (u64, u64), claims: impl Iterator<Item = Ipa>) {
        let mut judge = self.judge();
        let Some(judge) = judge.as_mut() else { return };
        let claims: Vec<u64> = claims.map(Ipa::get).collect();
        if self.is_beside.swap(false, Ordering::Relaxed) {
            (&self.fake).write(Pa(MEMORY[0].2), b"x");
        }
        let section = Section { used, claims: &claims };
        judge.section(VCPU.get(), self, &section).unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Tlb for &'static Watched {
    fn publish(&self) {
        (&self.fake).publish();
    }
    fn invalidate(&self, vmid: Vmid, ipa: Ipa, bytes: u64, leaf: u64) {
        (&self.fake).invalidate(vmid, ipa, bytes, leaf);
    }
    fn invalidate_vmid(&self, vmid: Vmid) {
        (&self.fake).invalidate_vmid(vmid);
    }
}

impl GuestMemory for &'static Watched {
    fn zero(&self, pa: Pa, bytes: u64) {
        (&self.fake).zero(pa, bytes);
    }
    fn write(&self, pa: Pa, data: &[u8]) {
        (&self.fake).write(pa, data);
    }
    fn read(&self, pa: Pa, buffer: &mut [u8]) {
        (&self.fake).read(pa, buffer);
    }
    fn synchronize_fetches(&self) {
        (&self.fake).synchronize_fetches();
    }
}

/// A VM under watch.
pub(crate) struct Machine {
    watched: &'static Watched,
    vm: &'static Vm<&'static Watched>,
}

impl Machine {
    pub(crate) fn new(is_protected: bool, vcpus: usize) -> Self {
        static GATE: ProtectedGate = ProtectedGate::new(true, true);
        let fake: &_ = Box::leak(Box::new(FakeMachine::new(FRAMES << 12)));
        let watched: &_ = Box::leak(Box::new(Watched {
            fake,
            judge: Mutex::new(None),
            is_beside: AtomicBool::new(false),
            vm: OnceLock::new(),
        }));
        let word = 36 | u64::from(is_protected) << 31;
        let mut memory = MemoryMap::new();
        for (ipa, size, pa) in MEMORY {
            memory.insert(Ipa(ipa), Pa(pa), size).unwrap();
        }
        let kind = VmType::parse(word, &GATE, 48).unwrap();
        let mut layout = SpaceLayout::new(kind, Vmid::new(9).unwrap(), memory);
        let range = |base, size| IpaRange::new(Ipa(base), size).unwrap();
        layout.guarded.push(range(PRE_GUARDED, PAGE));
        for (base, size, device) in
            [(CONSOLE, PAGE, Device::Console), (GIC, 0x1_0000, Device::DISTRIBUTOR)]
        {
            layout.bus.push(Entry { ipa: range(base, size), device });
        }
        let kind = DeviceType::NonGatheringNonReordering;
        let ipa = range(DEVICE, 2 * PAGE);
        layout.devices.push(AssignedDevice { ipa, pa: Pa(DEVICE_PA), kind });
        let space = AddressSpace::new(watched, layout, fake.frames()).unwrap();
        let (vtcr, vttbr) = (space.vtcr(44), space.vttbr());
        let options = FeatureOptions {
            is_protected,
            dialect: features::Dialect::Pkvm,
            with_guard: true,
            smc_is_undefined: false,
            has_entropy: false,
        };
        let start = hyp_core::psci::Start { entry: RAM, context: 0, big_endian: false };
        let features = Features::new(&options);
        let vm = Vm::new(space, features, vcpus, GicVersion::V3, 5, start);
        let vm: &_ = Box::leak(Box::new(vm));
        assert!(watched.vm.set(vm).is_ok());
        let extent =
            |(ipa, bytes, pa): &(u64, u64, u64)| Extent { ipa: *ipa, bytes: *bytes, pa: *pa };
        let place = Place {
            config: config(is_protected, vcpus),
            memory: MEMORY.iter().map(extent).collect(),
            devices: vec![extent(&(DEVICE, 2 * PAGE, DEVICE_PA))],
            vtcr,
            vttbr,
        };
        *watched.judge() = Some(Space::new(place, vcpus));
        vm.space.table_use();
        Self { watched, vm }
    }

    pub(crate) fn reset(&self) {
        self.tell(|judge| judge.begin(0, Cause::Reset));
        self.vm.reset(&Cpu { machine: self, vcpu: 0 }).unwrap();
        self.tell(|judge| judge.abandon(0));
        self.vm.space.table_use();
    }

    /// In the next section another vCPU writes to memory and goes off.
    pub(crate) fn disturb(&self) {
        self.watched.is_beside.store(true, Ordering::Relaxed);
    }

    fn tell<T>(&self, what: impl FnOnce(&mut Space) -> T) -> T {
        what(self.watched.judge().as_mut().unwrap())
    }

    /// Everything is compared at the end.
    pub(crate) fn finish(&self) -> Tally {
        self.try_finish().unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_finish(&self) -> Result<Tally, Difference> {
        self.tell(|judge| judge.compare_all(&self.watched).map(|()| judge.tally))
    }

    /// Replaces the first entry for which `damage` has something else.
    pub(crate) fn damage(&self, damage: impl Fn(u64) -> Option<u64>) {
        for table in 0..FRAMES {
            let table =
                TableMemory::table(&self.watched.fake, Pa(FakeMachine::TABLES + table * 4096));
            for index in 0..512 {
                let entry = table.unwrap().entry(index).unwrap();
                // Frames that were never used are full of leftovers.
                let raw = entry.load(Ordering::Relaxed);
                if raw >> 59 == 0
                    && let Some(other) = damage(raw)
                {
                    return entry.store(other, Ordering::Relaxed);
                }
            }
        }
        panic!("no such entry");
    }
}

fn config(is_protected: bool, vcpus: usize) -> Config {
    Config {
        is_protected,
        ipa_bits: 36,
        dialect: Dialect::Pkvm,
        with_guard: true,
        smc_is_undefined: false,
        affinities: (0..vcpus).map(|vcpu| (vcpu as u64, vcpu)).collect(),
        boot: Start { entry: RAM, context: 0, is_big_endian: false },
        memory: MEMORY.iter().map(|(ipa, size, _)| (*ipa, ipa + size)).collect(),
        emulated: BTreeMap::from([(CONSOLE, CONSOLE + PAGE), (GIC, GIC + 0x1_0000)]),
        assigned: BTreeMap::from([(DEVICE, DEVICE + 2 * PAGE)]),
        guarded: BTreeSet::from([PRE_GUARDED]),
    }
}

/// The CPU that a vCPU runs on.
pub(crate) struct Cpu<'m> {
    pub(crate) machine: &'m Machine,
    pub(crate) vcpu: usize,
}

impl Cpu<'_> {
    fn begin(&self, event: Event) {
        VCPU.set(self.vcpu);
        self.machine.tell(|judge| judge.begin(self.vcpu, Cause::Event(event)));
    }

    fn finish(&self, answer: &Answer) -> Result<(), Difference> {
        let finish = || self.machine.tell(|judge| judge.finish(self.vcpu, answer));
        finish().or_else(|_| {
            // Whoever is in the middle of a change comes to its end.
            self.machine.vm.space.table_use();
            finish()
        })
    }

    fn answer(&self, x: [u64; 4]) -> Answer {
        let event = Event::Call { vcpu: self.vcpu, conduit: Conduit::Hvc, immediate: 0, x };
        self.begin(event);
        match answer(&Caller { vcpu: 0, vm: self.machine.vm, shell: self }, false, 0, x) {
            Outcome::Done(answered) => Answer::Returns(answered),
            Outcome::Replay => Answer::Replays,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn call(&self, x: [u64; 4]) {
        let answer = self.answer(x);
        self.finish(&answer).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Makes a call and pretends that the answer was another.
    pub(crate) fn lie(&self, x: [u64; 4], answer: [u64; 4]) -> Result<(), Difference> {
        self.answer(x);
        self.finish(&Answer::Returns(answer))
    }

    /// An access that stage 2 does not let through by itself.
    pub(crate) fn touch(&self, access: Access) {
        let space = &self.machine.vm.space;
        self.begin(Event::Access { vcpu: self.vcpu, access });
        let described = esr::Access::new(Direction::Read, Width::Word, 1, false, true);
        assert_eq!((access.kind, access.bytes), (Kind::Load, 4));
        let kind = FaultKind::Data { direction: Direction::Read, access: Some(described) };
        let fault = Fault {
            ipa: Ipa(access.ipa),
            va: Va(access.ipa),
            cause: FaultCause::Translation { level: 3 },
            kind,
            is_fetch: false,
        };
        let is_memory = space.is_memory(fault.ipa);
        let answer = match judge(self.machine.vm, &fault) {
            Verdict::Retry => {
                self.machine.tell(|judge| judge.again(self.vcpu));
                if is_memory { Answer::Memory(0) } else { Answer::Device }
            }
            Verdict::Populate => {
                let _ = space.populate(fault.ipa, || false).unwrap();
                Answer::Memory(0)
            }
            Verdict::MapDevice => {
                // Whoever enrolled meanwhile refuses it.
                let _ = space.map_device(fault.ipa);
                Answer::Device
            }
            Verdict::Emulate { .. } => Answer::Device,
            Verdict::Abort { exception, .. } => {
                let guest = GuestState { pc: 0, pstate: 5, vbar_el1: 0, sctlr_el1: 0 };
                Answer::Aborts(take(exception, &guest, PstateFeatures::default()).esr_el1)
            }
            other => panic!("{other:?}"),
        };
        self.finish(&answer).unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Shell for Cpu<'_> {
    fn sctlr_el1(&self) -> u64 {
        0
    }
    fn mair_el1(&self) -> u64 {
        0
    }
    fn is_interrupt_pending(&self) -> bool {
        false
    }
    fn kick(&self, _: usize) {}
    fn mitigation(&self, _: Workaround) -> Mitigation {
        Mitigation::Unaffected
    }
    fn mitigate(&self, _: Workaround) {}
    fn entropy(&self) -> Option<[u64; 3]> {
        None
    }
    fn send(&self, _: u8, _: impl FnMut() -> Option<u8>) {}
    fn receive_again(&self) {}
    fn time_out_soon(&self) {}
    fn guard_quota_exceeded(&self, _: u8, _: usize, _: Ipa) {
        self.machine.tell(|judge| judge.refused(self.vcpu));
    }
}
