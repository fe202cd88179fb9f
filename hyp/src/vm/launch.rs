//! Making the VMs of the bundle and giving them to the CPUs.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use hyp_abi::bundle::MAX_VMS;
use hyp_abi::exit::{BAD_INPUT, HYP_FAILED};
use hyp_abi::vplatform::{
    GICC_BASE, GICC_DIR, GICC_SIZE, GICD_BASE, GICD_SIZE, GICR_BASE, GICR_STRIDE, UART_BASE,
    UART_SIZE,
};
use hyp_core::addr::Ipa;
use hyp_core::bundle::{self, Bundle, SmcPolicy, VmDescription};
use hyp_core::bus::{Device, Entry};
use hyp_core::features::{Dialect, FeatureOptions, Features};
use hyp_core::memory::{
    AddressSpace, AssignedDevice, FreeMemory, IpaRange, SpaceLayout, place_memory,
};
use hyp_core::psci::Start;
use hyp_core::stage2::{DeviceType, VmidAllocator};
use hyp_core::sysreg::CpuView;
use hyp_core::tree::machine::{Gic, Machine};
use hyp_core::vm::Homes;
use hyp_core::vm_type::{ProtectedGate, VmType};

use super::GuestVm;
use super::life::{self, load};
use super::system::{self, Instance, Vms};
use crate::arch::{crc32, percpu, symbols};
use crate::drivers::gic;
use crate::exit::{bad_input, fail};
use crate::handover::Handover;
use crate::mm::ports::Hardware;
use crate::say::{info, warn};
use crate::trap::interrupts::CONSOLE_CPU;
#[cfg(feature = "ghost")]
use crate::watch::ghost;
use crate::watch::{events, tracing};
use crate::{console, cpu, entropy, machine};

static VMIDS: VmidAllocator = VmidAllocator::new();

/// Makes the VMs of the bundle and runs them, for ever.
pub(crate) fn start(boot: Handover<'_>) -> ! {
    // An interrupt of a UART that nobody drives would never end.
    let console = boot.machine.console.filter(|_| console::is_attached());
    let facts = machine::settle(console.and_then(|console| console.shared_interrupt()));
    events::init(boot.machine.boot_argument("deny"));
    let bundle = Bundle::open(boot.bundle, crc32::update).unwrap_or_else(|error| bad_input(&error));
    let gate = ProtectedGate::new(
        cfg!(feature = "protected-vms"),
        boot.machine.boot_argument("protected") != Some("off"),
    );
    let capabilities = gate.capabilities(facts.host.pa_bits());
    info!(
        "VM types: IPA sizes up to {} bits, MMIO guard {}, protected VMs {}",
        u64::from(capabilities.max_ipa_bits),
        if capabilities.mmio_guard { "yes" } else { "no" },
        if capabilities.protected_vms { "yes" } else { "no" },
    );
    let vms = make_all(&bundle, &gate, boot.memory, boot.machine);
    system::set(vms.clone());
    if vms.len() > 1 {
        let names: Vec<_> = vms.iter().map(|instance| instance.description.name).collect();
        console::set_names(Vec::leak(names));
    }
    for instance in vms {
        #[cfg(feature = "ghost")]
        ghost::start(instance, boot.machine);
        load(instance);
        describe(instance);
        life::start(instance);
    }
    let has_interrupt = take_console_interrupt(facts);
    cpu::begin::begin(symbols::boot_pages(), has_interrupt, boot.crash)
}

/// Makes the VMs of the bundle. Each gets CPUs of its own, in the order of the bundle.
#[inline(never)]
fn make_all(
    bundle: &Bundle<'static>,
    gate: &ProtectedGate,
    memory: &mut FreeMemory,
    machine: &Machine<'_>,
) -> Vms {
    let count = bundle.len().max(1);
    if count > MAX_VMS || (cfg!(feature = "ghost") && count > 1) {
        let most = if cfg!(feature = "ghost") { 1 } else { MAX_VMS };
        fail(
            BAD_INPUT,
            format_args!(
                "the bundle holds {count} VMs, and this image runs {most}: make several bundles"
            ),
        );
    }
    let mut vms = Vms::new();
    let mut cpus = 0..percpu::online_in_a_row();
    for number in 0..count {
        let description = match bundle.vm(number, gic::version()) {
            Ok(description) => Box::leak(Box::new(description)),
            Err(error) => bad_input(&error),
        };
        let place = take_cpus(number, description, &mut cpus);
        // There are no more than fit.
        let _full = vms.try_push(make(description, place, gate, memory, machine));
    }
    vms
}

/// The number of a VM and the CPUs that it gets, the next of `cpus`.
fn take_cpus(
    number: usize,
    description: &VmDescription<'_>,
    cpus: &mut Range<usize>,
) -> (u8, Homes) {
    let (name, vcpus, left) = (description.name, description.vcpus, cpus.len());
    if vcpus > left {
        fail(
            BAD_INPUT,
            format_args!(
                "VM {name} has {vcpus} vCPUs and the machine {left} CPU(s){}: each vCPU needs its own. \
                 Give the VM fewer (--cpus) or the machine more (--smp)",
                if number == 0 { "" } else { " left" }
            ),
        );
    }
    let homes = cpus.by_ref().take(vcpus).filter_map(|cpu| u8::try_from(cpu).ok());
    (u8::try_from(number).unwrap_or(u8::MAX), Homes::new(homes))
}

/// Makes the VM that `description` describes.
#[inline(never)]
fn make(
    description: &'static VmDescription<'static>,
    place: (u8, Homes),
    gate: &ProtectedGate,
    memory: &mut FreeMemory,
    machine: &Machine<'_>,
) -> &'static Instance {
    let pa_bits = machine::facts().map_or(0, |facts| facts.host.pa_bits());
    let vm_type = VmType::parse(description.type_word, gate, pa_bits)
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
                 rng-seed to /chosen of the machine's tree, or do without secrets: insecure-entropy \
                 in the VM's description, --insecure-entropy of `cargo xtask run`",
                description.name
            ),
        );
    }
    create(description, vm_type, Features::new(&options), place, memory, machine)
}

#[inline(never)]
fn create(
    description: &'static VmDescription<'static>,
    vm_type: VmType,
    features: Features,
    (number, homes): (u8, Homes),
    memory: &mut FreeMemory,
    machine: &Machine<'_>,
) -> &'static Instance {
    let name = description.name;
    let bad =
        |error: &dyn fmt::Display| -> ! { fail(BAD_INPUT, format_args!("VM {name}: {error}")) };
    let map = place_memory(&description.memory, memory).unwrap_or_else(|error| bad(&error));
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
    tracing::made(number, description, features, &layout);
    #[cfg(feature = "ghost")]
    ghost::made(description, &layout);
    let (bytes, align) = layout.table_bytes().unwrap_or_else(|error| bad(&error));
    let frames = memory.allocate(bytes, align).unwrap_or_else(|error| bad(&error));
    let hardware = Hardware::new(frames.base(), frames.size())
        .unwrap_or_else(|error| fail(HYP_FAILED, format_args!("stage-2 tables: {error}")));
    let space = AddressSpace::new(hardware, layout, frames).unwrap_or_else(|error| bad(&error));
    let Some(facts) = crate::machine::facts() else {
        fail(HYP_FAILED, format_args!("the machine is not known yet"));
    };
    let view = CpuView::new(&facts.host, features, vm_type.ipa_bits(), gic::version());
    let first =
        Start { entry: description.entry.get(), context: description.x0(), big_endian: false };
    let vm = GuestVm::new(
        space,
        features,
        description.vcpus,
        gic::version(),
        gic::priority_bits(),
        first,
    )
    .at(number, homes);
    let Some(past) = system::past(number) else { bad(&"too many VMs") };
    Box::leak(Box::new(Instance { vm, features, view, description, past }))
}

/// The devices of the virtual platform. Of a GICv2's CPU interface, the first page is the machine's own
/// virtual one. The others, which hold nothing but GICC_DIR, are emulated: which interrupt is
/// deactivated must be known where there are more active ones than list registers.
#[inline(never)]
fn place_devices(
    layout: &mut SpaceLayout,
    machine: &Machine<'_>,
    vcpus: usize,
) -> Result<(), &'static str> {
    let mut emulate = |base, size, device| match IpaRange::new(Ipa(base), size) {
        Some(ipa) => {
            layout.bus.try_push(Entry { ipa, device }).map_err(|_| "too many emulated devices")
        }
        None => Ok(()),
    };
    match &machine.gic {
        Some(Gic::V2(gic)) => {
            emulate(GICD_BASE, GICD_SIZE, Device::DISTRIBUTOR)?;
            emulate(GICC_DIR, GICC_SIZE - (GICC_DIR - GICC_BASE), Device::Deactivation)?;
            let ipa = IpaRange::new(Ipa(GICC_BASE), GICC_DIR - GICC_BASE);
            let (Some(frame), Some(ipa)) = (gic.virtual_cpu, ipa) else {
                return Err("the machine's GICv2 has no GICV frame");
            };
            if frame.size() < ipa.size() {
                return Err("the GIC's GICV frame is shorter than a page; correct the device tree");
            }
            let kind = DeviceType::NonGatheringNonReordering;
            let interface = AssignedDevice { ipa, pa: frame.base(), kind };
            layout.devices.try_push(interface).map_err(|_| "too many devices")?;
        }
        _ => {
            emulate(GICD_BASE, GICD_SIZE, Device::DISTRIBUTOR)?;
            emulate(GICR_BASE, GICR_STRIDE.saturating_mul(vcpus as u64), Device::REDISTRIBUTORS)?;
        }
    }
    // Looked up in this order, and the console is asked less often.
    emulate(UART_BASE, UART_SIZE, Device::Console)
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

/// Has the console's interrupt delivered to the CPU that boots. `false` if the tree names none that can be.
fn take_console_interrupt(facts: &machine::Facts) -> bool {
    if let Some(intid) = facts.console_intid {
        gic::enable_spi(intid, CONSOLE_CPU);
        return true;
    }
    if console::is_attached() {
        info!("the console has no shared interrupt: served by timer");
    }
    false
}
