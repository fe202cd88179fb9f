//! One vCPU changes stage 2, the other is in the guest, walks or faults.

use hyp_core_interleaved::addr::{Ipa, PAGE_SIZE, Pa};
use hyp_core_interleaved::bus::{Device, Entry};
use hyp_core_interleaved::esr::{Access, Cause, Direction, Width};
use hyp_core_interleaved::fault::{Fault, Kind, Verdict, judge};
use hyp_core_interleaved::features::{Dialect, FeatureOptions, Features};
use hyp_core_interleaved::memory::{
    AddressSpace, AssignedDevice, IpaRange, MemoryMap, Populated, SpaceLayout,
};
use hyp_core_interleaved::psci::Start;
use hyp_core_interleaved::share::ShareError;
use hyp_core_interleaved::stage2::{DeviceType, Leaf, Vmid};
use hyp_core_interleaved::sync::watched::Weaken;
use hyp_core_interleaved::vgic::GicVersion;
use hyp_core_interleaved::vm::Vm;
use hyp_core_interleaved::vm_type::{ProtectedGate, VmType};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::machine::Ports;
use crate::{explore_vm, model};

const RAM: u64 = 0x4000_0000;
const RAM_PA: u64 = 0x2_0060_0000;
const DEVICE: u64 = 0xa00_0000;
const DEVICE_PA: u64 = 0xfe20_1000;
const CONSOLE: u64 = 0x900_0000;
/// A page in the middle of the block.
const MIDDLE: u64 = RAM + 0x10_0000;
const FRAMES: usize = 300;

type Guest = Vm<Ports>;

/// A VM with one block of memory, of which the page at physical `watched` is watched.
fn vm(word: u64, watched: u64, forgets_others: bool) -> (Ports, Arc<Guest>) {
    static GATE: ProtectedGate = ProtectedGate::new(true, true);
    let kind = VmType::parse(word, &GATE, 48).unwrap();
    let mut memory = MemoryMap::new();
    memory.insert(Ipa(RAM), Pa(RAM_PA), 2 << 20).unwrap();
    let mut layout = SpaceLayout::new(kind, Vmid::new(9).unwrap(), memory);
    let console = IpaRange::new(Ipa(CONSOLE), PAGE_SIZE).unwrap();
    layout.bus.push(Entry { ipa: console, device: Device::Console });
    layout.devices.push(AssignedDevice {
        ipa: IpaRange::new(Ipa(DEVICE), PAGE_SIZE).unwrap(),
        pa: Pa(DEVICE_PA),
        kind: DeviceType::NonGatheringNonReordering,
    });
    let ports = Ports::new(FRAMES, watched, forgets_others);
    let frames = ports.frames();
    let space = AddressSpace::new(ports.clone(), layout, frames).unwrap();
    let features = Features::new(&FeatureOptions {
        is_protected: word >> 31 != 0,
        dialect: Dialect::Pkvm,
        with_guard: true,
        smc_is_undefined: false,
        has_entropy: false,
    });
    let start = Start { entry: 0, context: 0, big_endian: false };
    (ports, Arc::new(Vm::new(space, features, 2, GicVersion::V3, 5, start)))
}

const PROTECTED: u64 = 1 << 31;

fn populate(vm: &Guest, ipa: u64) {
    while vm.space.populate(Ipa(ipa), || false) != Ok(Populated::Mapped) {}
}

model!(walks_beside_a_split, explore_vm, split);

/// A block is split under a reader: it finds the page where it is, or for a moment nothing, and
/// never what was in the table's frame before.
fn split() {
    let (ports, vm) = vm(PROTECTED, RAM_PA, false);
    populate(&vm, RAM);
    ports.watch_free_frames(&[RAM, MIDDLE]);
    let writer = {
        let vm = Arc::clone(&vm);
        thread::spawn(move || assert_eq!(vm.space.share(Ipa(RAM), || false), Ok(())))
    };
    for ipa in [MIDDLE, RAM] {
        match vm.space.lookup(Ipa(ipa)) {
            Leaf::Empty => {}
            Leaf::Valid(mapping) => assert_eq!(mapping.pa, Pa(ipa - RAM + RAM_PA)),
            Leaf::Guarded => panic!("memory is guarded"),
        }
    }
    writer.join().unwrap();
    let Leaf::Valid(mapping) = vm.space.lookup(Ipa(MIDDLE)) else { panic!("the page is gone") };
    assert_eq!((mapping.pa, mapping.size), (Pa(MIDDLE - RAM + RAM_PA), PAGE_SIZE));
}

model!(walks_beside_a_populated_block, explore_vm, population);

/// Two vCPUs touch a block that is not there: neither uses it while it is still being zeroed.
fn population() {
    let (ports, vm) = vm(PROTECTED, RAM_PA, false);
    // The entry takes part from the start.
    assert!(!ports.access(0, RAM));
    let other = {
        let (ports, vm) = (ports.clone(), Arc::clone(&vm));
        thread::spawn(move || touch(&ports, &vm, 1))
    };
    touch(&ports, &vm, 0);
    other.join().unwrap();
}

fn touch(ports: &Ports, vm: &Guest, cpu: usize) {
    while !ports.access(cpu, RAM) {
        match vm.space.populate(Ipa(RAM), || false).unwrap() {
            Populated::Mapped => {}
            Populated::Busy | Populated::Interrupted => thread::yield_now(),
        }
    }
}

/// A vCPU gives a page back that the other is using: nobody gets there once it is zeroed.
fn relinquish(forgets_others: bool) {
    let (ports, vm) = vm(PROTECTED, MIDDLE - RAM + RAM_PA, forgets_others);
    populate(&vm, RAM);
    ports.watch_free_frames(&[MIDDLE]);
    let giver = {
        let vm = Arc::clone(&vm);
        thread::spawn(move || assert_eq!(vm.space.relinquish(Ipa(MIDDLE)), Ok(())))
    };
    ports.access(1, MIDDLE);
    ports.access(1, MIDDLE);
    giver.join().unwrap();
    assert!(!ports.access(1, MIDDLE), "a page that was given back is there");
}

#[test]
fn nobody_uses_a_page_that_was_given_back() {
    explore_vm(Weaken::Nothing, || relinquish(false));
}

#[test]
#[should_panic]
fn a_shoot_down_that_does_not_reach_the_other_cpu_shows() {
    explore_vm(Weaken::Nothing, || relinquish(true));
}

/// Shares and gives back at once: the page ends shared, or given back and then shared anew.
#[test]
fn sharing_and_giving_back_exclude_each_other() {
    explore_vm(Weaken::Nothing, || {
        let (ports, vm) = vm(PROTECTED, MIDDLE - RAM + RAM_PA, false);
        populate(&vm, RAM);
        ports.watch_free_frames(&[MIDDLE]);
        let giver = {
            let vm = Arc::clone(&vm);
            thread::spawn(move || vm.space.relinquish(Ipa(MIDDLE)))
        };
        let mut shared = vm.space.share(Ipa(MIDDLE), || false);
        while shared == Err(ShareError::Again) {
            thread::yield_now();
            shared = vm.space.share(Ipa(MIDDLE), || false);
        }
        assert_eq!(shared, Ok(()));
        let given = giver.join().unwrap();
        assert!(matches!(given, Ok(()) | Err(ShareError::WrongState)), "{given:?}");
        assert_eq!(vm.space.unshare(Ipa(MIDDLE)), Ok(()));
    });
}

fn fault(ipa: u64) -> Fault {
    let access = Access::new(Direction::Read, Width::Word, 0, false, false);
    Fault {
        ipa: Ipa(ipa),
        va: hyp_core_interleaved::addr::Va(ipa),
        cause: Cause::Translation { level: 3 },
        kind: Kind::Data { direction: Direction::Read, access: Some(access) },
        is_fetch: false,
    }
}

/// How an access of a vCPU ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// It reached the device.
    Done,
    /// The guest took an abort.
    Refused,
}

/// An access of `cpu` to a device, with all the faults that it takes on the way.
fn use_device(ports: &Ports, vm: &Guest, cpu: usize, ipa: u64) -> Ended {
    loop {
        if ports.access(cpu, ipa) {
            return Ended::Done;
        }
        match judge(vm, &fault(ipa)) {
            Verdict::Abort { .. } => return Ended::Refused,
            Verdict::Emulate { .. } => return Ended::Done,
            // It may find that the VM has enrolled: then the guest comes again.
            Verdict::MapDevice => drop(vm.space.map_device(Ipa(ipa)).is_ok()),
            Verdict::Retry => {}
            other => panic!("{other:?}"),
        }
        thread::yield_now();
    }
}

/// A device's page is un-guarded while the other vCPU uses it and faults on it. Once the call has
/// returned, nobody gets there.
fn unguard(device: u64, accesses: u32, forgets_others: bool) {
    let (ports, vm) = vm(PROTECTED, DEVICE_PA, forgets_others);
    vm.space.guard_map(Ipa(device), None).unwrap();
    let is_unguarded = Arc::new(AtomicBool::new(false));
    // What takes part does so from the start.
    assert!(vm.space.is_guarded(Ipa(device)) && vm.space.lookup(Ipa(device)) != Leaf::Empty);
    let owner = {
        let (vm, is_unguarded) = (Arc::clone(&vm), Arc::clone(&is_unguarded));
        let ports = ports.clone();
        thread::spawn(move || {
            vm.space.guard_unmap(Ipa(device)).unwrap();
            is_unguarded.store(true, Ordering::Release);
            ports.use_page_alone();
        })
    };
    for _ in 0..accesses {
        let is_late = is_unguarded.load(Ordering::Acquire);
        let ended = use_device(&ports, &vm, 1, device);
        assert!(!is_late || ended == Ended::Refused, "used after it was un-guarded");
        let is_open = vm.space.is_open(Ipa(device));
        assert!(!is_late || !is_open, "open after it was un-guarded");
    }
    owner.join().unwrap();
    assert_eq!(use_device(&ports, &vm, 1, device), Ended::Refused);
}

#[test]
fn an_unguarded_device_is_out_of_reach() {
    explore_vm(Weaken::Nothing, || unguard(DEVICE, 2, false));
}

#[test]
#[should_panic]
fn a_device_that_stays_in_a_tlb_shows() {
    explore_vm(Weaken::Nothing, || unguard(DEVICE, 2, true));
}

#[test]
fn an_unguarded_emulated_device_is_closed() {
    explore_vm(Weaken::Nothing, || unguard(CONSOLE, 1, false));
}

/// Guarding a device's page while the other vCPU faults on it: once it has been guarded, it works.
#[test]
fn a_guarded_device_works() {
    explore_vm(Weaken::Nothing, || {
        let (ports, vm) = vm(PROTECTED, DEVICE_PA, false);
        let is_guarded = Arc::new(AtomicBool::new(false));
        assert!(!ports.access(0, DEVICE));
        let owner = {
            let (vm, is_guarded) = (Arc::clone(&vm), Arc::clone(&is_guarded));
            thread::spawn(move || {
                vm.space.guard_map(Ipa(DEVICE), None).unwrap();
                is_guarded.store(true, Ordering::Release);
            })
        };
        let is_late = is_guarded.load(Ordering::Acquire);
        let ended = use_device(&ports, &vm, 1, DEVICE);
        assert!(!is_late || ended == Ended::Done, "refused after it was guarded");
        owner.join().unwrap();
    });
}

/// Two vCPUs enrol at once, a device's page being mapped. When either call has returned, the page
/// is out of the caller's reach.
#[test]
fn who_has_enrolled_is_enrolled() {
    explore_vm(Weaken::Nothing, || {
        let (ports, vm) = vm(0, DEVICE_PA, false);
        vm.space.map_device(Ipa(DEVICE)).unwrap();
        assert!(ports.access(0, DEVICE) && ports.access(1, DEVICE));
        let other = {
            let (ports, vm) = (ports.clone(), Arc::clone(&vm));
            thread::spawn(move || {
                vm.space.enroll().unwrap();
                assert!(!ports.access(1, DEVICE), "in reach after enrolling");
            })
        };
        vm.space.enroll().unwrap();
        assert!(!ports.access(0, DEVICE), "in reach after enrolling");
        other.join().unwrap();
    });
}
