//! CPUs: what types there are, which number EL2 gives each, and so which vCPU gets which.

use std::collections::BTreeMap;
use std::ops::Range;

use hyp_core::tree::machine::{Cpu, EnableMethod, MAX_CPUS};

use super::Subject;
use super::cause::Cause;
use super::report::{Core, Report};

/// The CPUs that EL2 can start, by the number that it gives each; of the first VM, vCPU n runs on CPU n, and the next VM has the next CPUs. The tree does not
/// say which one boots: the first is taken for it.
///
/// `hyp/src/boot.rs` numbers them in the same groups, and leaves out those that cannot be called.
pub(super) fn in_order(subject: &Subject<'_>) -> Vec<Cpu> {
    let machine = &subject.machine;
    let Some(boot) = machine.cpus.first() else { return Vec::new() };
    let can_start = |cpu: &&Cpu| match cpu.enable_method {
        EnableMethod::Psci => machine.psci().is_ok(),
        EnableMethod::SpinTable(_) => true,
        EnableMethod::Unknown => false,
    };
    let others = machine.start_groups(boot.mpidr).flatten().filter(can_start);
    std::iter::once(boot).chain(others).take(MAX_CPUS).copied().collect()
}

/// Notes the CPUs and what is wrong with them.
pub(super) fn look(subject: &Subject<'_>, report: &mut Report) {
    let order = in_order(subject);
    let core = |cpu: &Cpu| {
        let (enable_method, release_address) = match cpu.enable_method {
            EnableMethod::Psci => ("psci", None),
            EnableMethod::SpinTable(address) => ("spin-table", Some(address.get())),
            EnableMethod::Unknown => ("unknown", None),
        };
        let number = order.iter().position(|started| started.mpidr == cpu.mpidr);
        let kind = subject.cpu_types.get(&cpu.mpidr).cloned();
        Core { affinity: cpu.mpidr, kind, number, enable_method, release_address }
    };
    report.machine.cpus = subject.machine.cpus.iter().map(core).collect();
    report.machine.cpu_types = counted(report.machine.cpus.iter().map(kind));
    check(subject, report);
}

/// The type of a CPU for a person.
pub(super) fn kind(core: &Core) -> &str {
    core.kind.as_deref().unwrap_or("of unknown type")
}

/// `4 Cortex-A53, 2 Cortex-A72`, in the order in which they come.
fn counted<'a>(kinds: impl Iterator<Item = &'a str>) -> String {
    let mut all: Vec<(&str, usize)> = Vec::new();
    for kind in kinds {
        match all.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => all.push((kind, 1)),
        }
    }
    let all: Vec<_> = all.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    all.join(", ")
}

/// Types of the CPUs with these `numbers`, on which a VM runs; a note if they differ.
pub(super) fn of_vm(name: &str, numbers: Range<usize>, report: &mut Report) -> Vec<String> {
    let numbered: BTreeMap<usize, &str> =
        report.machine.cpus.iter().filter_map(|core| Some((core.number?, kind(core)))).collect();
    let kinds: Vec<_> = numbered.range(numbers).map(|(_, kind)| (*kind).to_owned()).collect();
    let same = kinds.iter().take_while(|kind| Some(*kind) == kinds.first()).count();
    if same < kinds.len() {
        let list = counted(kinds.iter().map(String::as_str));
        let text = format!(
            "VM {name} runs on CPUs of different types, vCPU 0 first: {list}. Its kernel sees them as they \
             are; `cpus = {same}` in the VM's description keeps it on the first type"
        );
        report.note("VMs", text);
    }
    kinds
}

fn check(subject: &Subject<'_>, report: &mut Report) {
    let machine = &subject.machine;
    for cpu in &machine.cpus {
        if cpu.enable_method == EnableMethod::Unknown {
            let text = format!(
                "CPU {:#x} has no enable-method that Postern knows (psci, spin-table): unless the \
                 board boots on it, it stays off",
                cpu.mpidr
            );
            report.risk("CPUs", text);
        }
    }
    let boot = machine.cpus.first().map_or(0, |cpu| cpu.mpidr);
    for group in machine.start_groups(boot).filter(|group| group.clone().count() > 1) {
        let cpus: Vec<_> = group.map(|cpu| format!("{:#x}", cpu.mpidr)).collect();
        let text = format!(
            "CPUs {} wait at one cpu-release-addr and start together; any that the tree does not list \
             start as well and stay in Postern's image",
            cpus.join(", ")
        );
        report.note("CPUs", text);
    }
    let by_psci = machine.cpus.iter().filter(|cpu| cpu.enable_method == EnableMethod::Psci).count();
    if machine.psci_node.is_none() && by_psci > 0 {
        let text = format!(
            "{by_psci} CPUs are started by PSCI, says /cpus, but there is no /psci node: only the one \
             that boots would run"
        );
        report.risk("CPUs", text);
    }
    if machine.cpus.is_empty() {
        let remedy =
            "add /cpus with a node for each to the tree, and give that one: `image --tree FILE`";
        report.stop(Cause::NoCpu, "the tree lists no CPU", remedy);
    }
    if let Some(fault) = &machine.cpu_fault {
        report.risk("CPUs", format!("a CPU stays off: {fault}"));
    }
    if machine.cpus_left_out > 0 {
        let text = format!("{} more CPUs stay off: Postern uses {MAX_CPUS}", machine.cpus_left_out);
        report.note("CPUs", text);
    }
}
