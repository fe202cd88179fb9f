//! The VM: made from the bundle at boot, loaded, reset, ended.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use hyp_abi::exit::{BAD_INPUT, GUEST_FAILED, GUEST_OFF, HYP_FAILED};
use hyp_abi::vplatform::{
    GICC_BASE, GICC_DIR, GICC_SIZE, GICD_BASE, GICD_SIZE, GICR_BASE, GICR_STRIDE, GICV2_GICD_SIZE,
    UART_BASE, UART_SIZE,
};
use hyp_core::addr::Ipa;
use hyp_core::bundle::{self, Bundle, SmcPolicy, VmDescription};
use hyp_core::features::{Dialect, FeatureOptions, Features};
use hyp_core::memory::{
    AddressSpace, AssignedDevice, FreeMemory, IpaRange, SpaceLayout, TableUse, place_memory,
};
use hyp_core::psci::Start;
use hyp_core::stage2::{DeviceType, VmidAllocator};
use hyp_core::sysreg::{CpuView, TrapControls};
use hyp_core::tree::machine::{Gic, Machine};
use hyp_core::vgic::Kicks;
use hyp_core::vm::{Runaway, Shell, Stop, Vm};
use hyp_core::vm_type::{ProtectedGate, VmType};
use log::{debug, info, warn};

use crate::arch::cpu::{self, Once, Yield};
use crate::arch::crc32;
use crate::arch::percpu;
use crate::arch::stage2::Regime;
use crate::drivers::gic;
use crate::exit::{exit, fail};
use crate::handover::Handover;
use crate::mm::ports::Hardware;
use crate::shell::Here;
use crate::vcpu::{self, State};
use crate::{console, entropy, events, machine, mm, smp};

/// A VM on the real machine.
pub(crate) type GuestVm = Vm<Hardware, Yield>;

/// The VM and what its vCPUs and its reset need.
struct Instance {
    vm: GuestVm,
    view: CpuView,
    regime: Regime,
    description: VmDescription<'static>,
}

static INSTANCE: Once<&'static Instance> = Once::new();
static VMIDS: VmidAllocator = VmidAllocator::new();

/// Makes the VM of the bundle and runs it, for ever.
pub(crate) fn start(boot: Handover<'_>) -> ! {
    let facts = machine::init(boot.machine.console.and_then(|console| console.interrupt));
    entropy::init(boot.seed);
    let bundle = Bundle::open(boot.bundle, crc32::update)
        .unwrap_or_else(|error| fail(BAD_INPUT, format_args!("{error}")));
    let description = bundle
        .vm(0, gic::version())
        .unwrap_or_else(|error| fail(BAD_INPUT, format_args!("{error}")));
    if bundle.len() > 1 {
        warn!("the bundle holds {} VMs; only the first is run", bundle.len());
    }
    let gate = ProtectedGate::new(
        cfg!(feature = "protected-vms"),
        boot.machine.boot_argument("protected") != Some("off"),
    );
    let capabilities = gate.capabilities(facts.host.pa_bits());
    info!(
        "VM types: IPA sizes up to {} bits, MMIO guard {}, protected VMs {}",
        capabilities.max_ipa_bits,
        if capabilities.mmio_guard { "yes" } else { "no" },
        if capabilities.protected_vms { "yes" } else { "no" },
    );
    let vm_type = VmType::parse(description.type_word, &gate, facts.host.pa_bits())
        .unwrap_or_else(|error| fail(BAD_INPUT, format_args!("VM {}: {error}", description.name)));
    if vm_type.is_protected() && gate.taint() {
        warn!("protected VMs are experimental: this run is tainted");
    }
    let options = FeatureOptions {
        is_protected: vm_type.is_protected(),
        dialect: match description.dialect {
            bundle::Dialect::Pkvm => Dialect::Pkvm,
            bundle::Dialect::List2021 => Dialect::List2021,
        },
        with_guard: description.guard.unwrap_or(false),
        smc_is_undefined: description.smc == SmcPolicy::Undefined,
        has_entropy: entropy::is_seeded(),
    };
    if options.is_protected && !options.has_entropy && !description.insecure_entropy {
        fail(
            BAD_INPUT,
            format_args!(
                "VM {}: a protected VM needs random numbers and this machine gave no seed; add \
                 rng-seed to /chosen of the machine's tree, or set insecure-entropy in the VM's \
                 description",
                description.name
            ),
        );
    }
    let instance = create(description, vm_type, Features::new(&options), boot.memory, boot.machine);
    INSTANCE.call_once(|| instance);
    load(instance);
    describe(instance);
    instance.vm.start();
    let has_interrupt = take_console_interrupt(facts);
    smp::release(run_cpu);
    if has_interrupt {
        console::go_live();
    }
    run_cpu(percpu::index())
}

fn create(
    description: VmDescription<'static>,
    vm_type: VmType,
    features: Features,
    mut memory: FreeMemory,
    machine: &Machine<'_>,
) -> &'static Instance {
    let name = description.name;
    let cpus = percpu::online_in_a_row();
    if description.vcpus > cpus {
        fail(
            BAD_INPUT,
            format_args!(
                "VM {name} has {} vCPUs and the machine {cpus} CPU(s): each vCPU needs its own. \
                 Give the VM fewer (--cpus) or the machine more (--smp)",
                description.vcpus
            ),
        );
    }
    let bad = |error: &dyn core::fmt::Display| -> ! {
        fail(BAD_INPUT, format_args!("VM {name}: {error}"))
    };
    let map = place_memory(&description.memory, &mut memory).unwrap_or_else(|error| bad(&error));
    let Some(vmid) = VMIDS.allocate() else {
        fail(HYP_FAILED, format_args!("no VMID is left"));
    };
    let mut layout = SpaceLayout::new(vm_type, vmid, map);
    for range in &description.guarded {
        if layout.guarded.try_push(*range).is_err() {
            bad(&"too many ranges are guarded from the start; join neighbours");
        }
    }
    place_devices(&mut layout, machine, description.vcpus).unwrap_or_else(|error| bad(&error));
    let (bytes, align) = layout.table_bytes().unwrap_or_else(|error| bad(&error));
    let frames = memory.allocate(bytes, align).unwrap_or_else(|error| bad(&error));
    let hardware = Hardware::new(frames.base(), frames.size())
        .unwrap_or_else(|error| fail(HYP_FAILED, format_args!("stage-2 tables: {error}")));
    let space = AddressSpace::new(hardware, layout, frames).unwrap_or_else(|error| bad(&error));
    let Some(facts) = crate::machine::facts() else {
        fail(HYP_FAILED, format_args!("the machine is not known yet"));
    };
    let regime = Regime {
        vttbr: space.vttbr(),
        vtcr: space.vtcr(facts.host.pa_bits()),
        traps: TrapControls::new(&facts.host, features),
    };
    let view = CpuView::new(&facts.host, features, vm_type.ipa_bits(), gic::version());
    let first =
        Start { entry: description.entry.get(), context: description.x0(), big_endian: false };
    let vm =
        Vm::new(space, features, description.vcpus, gic::version(), gic::priority_bits(), first);
    Box::leak(Box::new(Instance { vm, view, regime, description }))
}

/// The devices of the virtual platform. Of a GICv2's CPU interface, the first page is the machine's own
/// virtual one. The second, which holds nothing but GICC_DIR, is emulated: which interrupt is
/// deactivated must be known where there are more active ones than list registers.
fn place_devices(
    layout: &mut SpaceLayout,
    machine: &Machine<'_>,
    vcpus: usize,
) -> Result<(), &'static str> {
    let mut emulate = |base, size| match IpaRange::new(Ipa(base), size) {
        Some(range) => layout.emulated.try_push(range).map_err(|_| "too many emulated devices"),
        None => Ok(()),
    };
    emulate(UART_BASE, UART_SIZE)?;
    match &machine.gic {
        Some(Gic::V2(gic)) => {
            emulate(GICD_BASE, GICV2_GICD_SIZE)?;
            emulate(GICC_DIR, GICC_SIZE - (GICC_DIR - GICC_BASE))?;
            let ipa = IpaRange::new(Ipa(GICC_BASE), GICC_DIR - GICC_BASE);
            let (Some(frame), Some(ipa)) = (gic.virtual_cpu, ipa) else {
                return Err("the machine's GICv2 has no GICV frame");
            };
            if frame.size() < ipa.size() {
                return Err("the GIC's GICV frame is shorter than a page; correct the device tree");
            }
            let kind = DeviceType::NonGatheringNonReordering;
            let interface = AssignedDevice { ipa, pa: frame.base(), kind };
            layout.devices.try_push(interface).map_err(|_| "too many devices")
        }
        _ => {
            emulate(GICD_BASE, GICD_SIZE)?;
            emulate(GICR_BASE, GICR_STRIDE.saturating_mul(vcpus as u64))
        }
    }
}

/// Copies what the VM's description names into its memory.
fn load(instance: &Instance) {
    let Instance { vm, description, .. } = instance;
    let write = |ipa, bytes: &[u8]| {
        if let Err(error) = vm.space.load(ipa, bytes) {
            fail(BAD_INPUT, format_args!("VM {}: {error}", description.name));
        }
    };
    for image in &description.images {
        write(image.ipa, image.data);
    }
    let tree = &description.tree;
    let mut copy = Vec::from(tree.image.data);
    for seed in &tree.seeds {
        let field = copy.get_mut(seed.at..seed.at.saturating_add(seed.len));
        if field.and_then(entropy::fill).is_none() {
            seed.erase(&mut copy);
        }
    }
    write(tree.image.ipa, &copy);
}

fn describe(instance: &Instance) {
    let Instance { vm, description, .. } = instance;
    info!(
        "VM {}: {}, {} vCPU(s), {} MiB, entry {:#x}, tree {:#x}, type {:#x}",
        description.name,
        if vm.space.is_protected() { "protected" } else { "normal" },
        description.vcpus,
        description.memory_size() >> 20,
        description.entry.get(),
        description.x0(),
        vm.space.vm_type().word(),
    );
}

/// Has the console's interrupt delivered to the CPU that boots. `false` if the tree names none.
fn take_console_interrupt(facts: &machine::Facts) -> bool {
    if let Some(intid) = facts.console_intid {
        gic::enable_spi(intid, percpu::index());
        return true;
    }
    false
}

/// What a CPU does for the rest of its life.
fn run_cpu(index: usize) -> ! {
    let Some(instance) = INSTANCE.get() else { cpu::park() };
    if index >= instance.description.vcpus {
        cpu::park();
    }
    vcpu::prepare_cpu(&instance.regime);
    let state = State {
        index,
        vm: &instance.vm,
        view: &instance.view,
        erratum_834220: machine::has_erratum_834220(),
        runaway: Cell::new(Runaway::new()),
    };
    vcpu::run(Box::leak(Box::new(vcpu::new(state))))
}

/// The VM's name.
pub(crate) fn name() -> &'static str {
    INSTANCE.get().map_or("", |instance| instance.description.name)
}

/// Makes the other CPUs of the VM see that it stops.
pub(crate) fn kick_others(vcpu: &vcpu::Vcpu) {
    let others = (0..vcpu.state.vm.gic.vcpus())
        .filter(|other| *other != vcpu.state.index)
        .fold(Kicks::NONE, Kicks::with);
    Here.kick(others);
}

/// Carries out what the VM was stopped for. By the last vCPU out.
pub(crate) fn carry_out(stop: Stop) {
    events::drain();
    let Some(instance) = INSTANCE.get() else { return };
    match stop {
        Stop::Off => {
            info!("VM {} powered off", instance.description.name);
            exit(GUEST_OFF)
        }
        Stop::Crash => exit(GUEST_FAILED),
        Stop::Reset => reset(instance),
    }
}

/// What a VM holds once it is loaded: table frames over memory and over marks, bytes of EL2's heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    memory: u64,
    marks: u64,
    heap: usize,
}

/// What the VM held after its first reset. Not after its first start: other CPUs still make their
/// vCPUs then.
static HELD: Once<Held> = Once::new();
static RESETS: AtomicU32 = AtomicU32::new(0);

/// Looks whether resets add up to a leak.
fn check_held(instance: &Instance) {
    let TableUse { memory, marks } = instance.vm.space.table_use();
    let held = Held { memory, marks, heap: mm::heap::used() };
    let resets = RESETS.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    debug!("VM {} after reset {resets}: {held:?}", instance.description.name);
    let first = *HELD.call_once(|| held);
    if held != first {
        warn!("reset {resets} leaves {held:?}, the first one left {first:?}");
    }
}

fn reset(instance: &Instance) {
    info!("VM {} resets", instance.description.name);
    if let Err(error) = instance.vm.reset() {
        fail(HYP_FAILED, format_args!("VM {}: reset: {error}", instance.description.name));
    }
    events::forget();
    load(instance);
    check_held(instance);
    instance.vm.start();
    instance.vm.life.restart();
    Here.kick(Kicks::NONE.with(0));
}
