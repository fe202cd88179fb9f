//! The VMs of a bundle: whether the machine has room for them.

use anyhow::{Context, Result};
use hyp_core::bundle::{Bundle, GicVersion, VmDescription, crc32};
use hyp_core::console::Plain;
use hyp_core::memory::{FreeMemory, SpaceLayout, place_memory};
use hyp_core::stage2::VmidAllocator;
use hyp_core::tree::Machine;
use hyp_core::tree::machine::Gic;
use hyp_core::vm_type::{ProtectedGate, VmType};

use super::Subject;
use super::cause::Cause;
use super::cpus;
use super::hardware::has_seed;
use super::report::{Guest, Report};

/// Physical address bits of the smallest CPUs that Postern is for; which CPU it is, the tree does
/// not say.
const PA_BITS: u32 = 40;

/// Reads `bundle`, notes its VMs and what they lack on this machine.
///
/// # Errors
///
/// The bundle is damaged, or not one.
pub(super) fn look(
    subject: &Subject<'_>,
    bundle: &[u8],
    mut free: FreeMemory,
    report: &mut Report,
) -> Result<()> {
    let gic = match subject.machine.gic {
        Some(Gic::V2(_)) => GicVersion::V2,
        _ => GicVersion::V3,
    };
    let bundle = Bundle::open(bundle, crc32::update)?;
    let mut vms = Vec::new();
    for index in 0..bundle.len() {
        vms.push(bundle.vm(index, gic).with_context(|| format!("VM number {index}"))?);
    }
    // Each has the CPUs behind those of the VMs before it.
    let mut first = 0;
    for vm in &vms {
        let name = Plain(vm.name.as_bytes()).to_string();
        let cpus = cpus::of_vm(&name, first..first + vm.vcpus, report);
        report.vms.push(Guest {
            name,
            protected: VmType::parse(vm.type_word, &ProtectedGate::new(true, true), PA_BITS)
                .is_ok_and(VmType::is_protected),
            vcpus: vm.vcpus,
            memory: vm.memory_size(),
            cpus,
        });
        check(subject, vm, first, &mut free, report);
        first += vm.vcpus;
    }
    Ok(())
}

fn check(
    subject: &Subject<'_>,
    vm: &VmDescription<'_>,
    taken: usize,
    free: &mut FreeMemory,
    report: &mut Report,
) {
    let name = Plain(vm.name.as_bytes());
    let machine = &subject.machine;
    let usable = cpus::in_order(subject).len().saturating_sub(taken);
    if vm.vcpus > usable {
        let text = format!(
            "VM {name} has {} vCPUs and the machine {usable} CPU(s){} that can be started: each vCPU \
             needs its own",
            vm.vcpus,
            if taken == 0 { "" } else { " left" }
        );
        let remedy = match usable {
            0 if taken > 0 => "fewer `cpus` for the VMs before it in the description".to_owned(),
            _ => format!("`cpus = {}` or fewer in the VM's description", usable.max(1)),
        };
        report.stop(Cause::VmCpus, text, remedy);
    }
    let gate = ProtectedGate::new(true, machine.boot_argument("protected") != Some("off"));
    let vm_type = match VmType::parse(vm.type_word, &gate, PA_BITS) {
        Ok(vm_type) => vm_type,
        Err(error) => {
            // A larger CPU may take the size.
            report.risk("VMs", format!("VM {name}: {error}"));
            return;
        }
    };
    if !free.pieces().is_empty() {
        check_room(vm, vm_type, free, report);
    }
    check_entropy(machine, vm, vm_type, report);
}

/// Places the VM as EL2 does.
fn check_room(vm: &VmDescription<'_>, vm_type: VmType, free: &mut FreeMemory, report: &mut Report) {
    let name = Plain(vm.name.as_bytes());
    let before = free.total();
    let placed = place_memory(&vm.memory, free).map_err(|error| error.to_string());
    let tables = placed.and_then(|map| {
        let vmid = VmidAllocator::new().allocate().ok_or("no VMID is left")?;
        let layout = SpaceLayout::new(vm_type, vmid, map);
        let (bytes, align) = layout.table_bytes().map_err(|error| error.to_string())?;
        free.allocate(bytes, align).map_err(|error| error.to_string())
    });
    if let Err(error) = tables {
        let text = format!(
            "VM {name} has {} MiB and {} MiB are free: {error}",
            vm.memory_size() >> 20,
            before >> 20
        );
        let remedy = "a smaller `mem` in the VM's description, or more memory: `--memory ADDRESS:SIZE` if \
                      firmware finds more than the tree lists";
        report.stop(Cause::VmMemory, text, remedy);
    }
}

fn check_entropy(
    machine: &Machine<'_>,
    vm: &VmDescription<'_>,
    vm_type: VmType,
    report: &mut Report,
) {
    let name = Plain(vm.name.as_bytes());
    if vm_type.is_protected() && !vm.insecure_entropy && !has_seed(machine) {
        let text = format!(
            "VM {name} is protected and needs random numbers, and the tree has no seed. Unless \
             firmware adds rng-seed to /chosen, TF-A offers a TRNG or the CPUs have RNDR, Postern \
             refuses the VM; `insecure-entropy = true` in its description gives the promise up"
        );
        report.risk("entropy", text);
    }
}
