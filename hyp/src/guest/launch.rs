//! Making the VM of the bundle and giving it to the CPUs.

use alloc::boxed::Box;
use core::fmt;

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
use hyp_core::vm_type::{ProtectedGate, VmType};

use super::instance::{self, Instance};
use super::interrupts::CONSOLE_CPU;
use super::vcpu::GuestVm;
use super::vm::load;
use super::{events, ghost, run, tracing};
use crate::arch::{crc32, percpu, symbols};
use crate::drivers::gic;
use crate::exit::{bad_input, fail};
use crate::handover::Handover;
use crate::mm::ports::Hardware;
use crate::say::{info, warn};
use crate::{console, entropy, machine};

static VMIDS: VmidAllocator = VmidAllocator::new();

/// Makes the VM of the bundle and runs it, for ever.
pub(crate) fn start(boot: Handover<'_>) -> ! {
    // An interrupt of a UART that nobody drives would never end.
    let console = boot.machine.console.filter(|_| console::is_attached());
    let facts = machine::settle(console.and_then(|console| console.shared_interrupt()));
    events::init(boot.machine.boot_argument("deny"));
    let bundle = Bundle::open(boot.bundle, crc32::update).unwrap_or_else(|error| bad_input(&error));
    let description = match bundle.vm(0, gic::version()) {
        Ok(description) => Box::leak(Box::new(description)),
        Err(error) => bad_input(&error),
    };
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
        u64::from(capabilities.max_ipa_bits),
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
                 rng-seed to /chosen of the machine's tree, or do without secrets: insecure-entropy \
                 in the VM's description, --insecure-entropy of `cargo xtask run`",
                description.name
            ),
        );
    }
    let instance = create(description, vm_type, Features::new(&options), boot.memory, boot.machine);
    instance::set(instance);
    ghost::start(instance, boot.machine);
    load(instance);
    describe(instance);
    ghost::boot(&instance.vm, || instance.vm.start());
    let has_interrupt = take_console_interrupt(facts);
    run::begin(symbols::boot_pages(), has_interrupt, boot.crash)
}

#[inline(never)]
fn create(
    description: &'static VmDescription<'static>,
    vm_type: VmType,
    features: Features,
    memory: &mut FreeMemory,
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
    tracing::made(description, features, &layout);
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
    );
    Box::leak(Box::new(Instance { vm, features, view, description }))
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
