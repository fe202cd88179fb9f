//! What the tree says of the machine, and what of it will not do.

use hyp_abi::vplatform::GICR_STRIDE;
use hyp_core::tree::Machine;
use hyp_core::tree::machine::{
    ConsoleKind, EnableMethod, Gic, GicV2, GicV3, MachineError, Ppis, PsciConduit,
};

use super::report::{Controller, Core, Hardware, Interrupt, Place, Report, Severity, Uart};

/// Bytes of a seed that EL2 is content with.
const SEED: usize = 32;
/// CPUs that EL2 uses at most.
const MAX_CPUS: usize = hyp_core::tree::machine::MAX_CPUS;

/// Fills in the report's machine and notes what is missing.
pub(super) fn look(machine: &Machine<'_>, report: &mut Report) {
    report.machine = Hardware {
        memory: machine.memory.iter().map(|bank| (*bank).into()).collect(),
        reserved: machine.reserved.iter().map(|reserved| reserved.range.into()).collect(),
        cpus: cpus(machine),
        psci: machine.psci_node.and_then(|node| node.method).map(|method| match method {
            PsciConduit::Smc => "smc",
            PsciConduit::Hvc => "hvc",
        }),
        gic: machine.gic.as_ref().map(controller),
        console: None,
        interrupts: Vec::new(),
        seed_bytes: machine.rng_seed.map_or(0, |seed| seed.bytes.len()),
    };
    if let Err(error) = machine.psci() {
        let severity = match error {
            MachineError::NoPsci => Severity::Note,
            _ => Severity::Stop,
        };
        report.find(severity, "firmware", error.to_string());
    }
    if let Err(error) = machine.gic() {
        report.find(Severity::Stop, "interrupts", error.to_string());
    }
    check_cpus(machine, report);
    check_redistributors(report);
    interrupts(machine, report);
    console(machine, report);
    seed(machine, report);
}

fn cpus(machine: &Machine<'_>) -> Vec<Core> {
    let core = |cpu: &hyp_core::tree::machine::Cpu| {
        let (enable_method, release_address) = match cpu.enable_method {
            EnableMethod::Psci => ("psci", None),
            EnableMethod::SpinTable(address) => ("spin-table", Some(address.get())),
            EnableMethod::Unknown => ("unknown", None),
        };
        Core { affinity: cpu.mpidr, enable_method, release_address }
    };
    machine.cpus.iter().map(core).collect()
}

fn check_cpus(machine: &Machine<'_>, report: &mut Report) {
    for cpu in &machine.cpus {
        if cpu.enable_method == EnableMethod::Unknown {
            let text = format!(
                "CPU {:#x} has no enable-method that Postern knows (psci, spin-table): unless the \
                 board boots on it, it stays off",
                cpu.mpidr
            );
            report.find(Severity::Risk, "CPUs", text);
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
        report.find(Severity::Note, "CPUs", text);
    }
    let by_psci = machine.cpus.iter().filter(|cpu| cpu.enable_method == EnableMethod::Psci).count();
    if machine.psci_node.is_none() && by_psci > 0 {
        let text = format!(
            "{by_psci} CPUs are started by PSCI, says /cpus, but there is no /psci node: only the one \
             that boots would run"
        );
        report.find(Severity::Risk, "CPUs", text);
    }
    if machine.cpus.is_empty() {
        let text = "the tree lists no CPU; add /cpus with a node for each";
        report.find(Severity::Stop, "CPUs", text);
    }
    if let Some(fault) = &machine.cpu_fault {
        report.find(Severity::Risk, "CPUs", format!("a CPU stays off: {fault}"));
    }
    if machine.cpus_left_out > 0 {
        let text = format!("{} more CPUs stay off: Postern uses {MAX_CPUS}", machine.cpus_left_out);
        report.find(Severity::Note, "CPUs", text);
    }
}

fn controller(gic: &Gic) -> Controller {
    let place = |what: &str, range| Place { what: what.to_owned(), span: range };
    match gic {
        Gic::V2(GicV2 { distributor, cpu_interface, hypervisor, virtual_cpu, .. }) => {
            let mut frames =
                vec![place("GICD", (*distributor).into()), place("GICC", (*cpu_interface).into())];
            frames.extend(hypervisor.map(|frame| place("GICH", frame.into())));
            frames.extend(virtual_cpu.map(|frame| place("GICV", frame.into())));
            Controller { version: 2, frames, redistributors_for: None }
        }
        Gic::V3(GicV3 { distributor, redistributors, stride, .. }) => {
            let mut frames = vec![place("GICD", (*distributor).into())];
            frames.extend(redistributors.iter().map(|region| place("GICR", (*region).into())));
            let stride = stride.unwrap_or(GICR_STRIDE).max(1);
            let served = redistributors.iter().map(|region| region.size() / stride).sum();
            Controller { version: 3, frames, redistributors_for: Some(served) }
        }
    }
}

/// A redistributor that lies outside the frames cannot be found by its CPU.
fn check_redistributors(report: &mut Report) {
    let served = report.machine.gic.as_ref().and_then(|gic| gic.redistributors_for);
    let cpus = u64::try_from(report.machine.cpus.len()).unwrap_or(u64::MAX);
    if let Some(served) = served.filter(|served| *served < cpus) {
        let text = format!(
            "the GICv3's redistributor frames have room for {served} CPUs and the tree lists \
             {cpus}; correct the GIC's reg property"
        );
        report.find(Severity::Stop, "interrupts", text);
    }
}

fn interrupts(machine: &Machine<'_>, report: &mut Report) {
    let maintenance = machine.maintenance();
    let timers = machine.timers;
    report.machine.interrupts = [
        ("GIC maintenance", maintenance),
        ("EL2's timer", timers.hyp_physical),
        ("guest's virtual timer", timers.virtual_),
        ("guest's physical timer", timers.physical),
    ]
    .map(|(what, intid)| Interrupt { what, intid })
    .into();
    if let Err(error) = machine.ppis() {
        report.find(Severity::Stop, "interrupts", error.to_string());
    }
    let usual = Ppis::USUAL;
    if machine.gic.is_some() && maintenance.is_none() {
        let text = format!(
            "the GIC's node names no maintenance interrupt: {} is taken",
            usual.maintenance
        );
        report.find(Severity::Note, "interrupts", text);
    }
    for (what, found, taken) in [
        ("EL2's timer", timers.hyp_physical, usual.hyp_timer),
        ("the virtual timer", timers.virtual_, usual.virtual_timer),
        ("the physical timer", timers.physical, usual.physical_timer),
    ] {
        if found.is_none() {
            let text = format!("the timer's node does not list {what}: {taken} is taken");
            report.find(Severity::Note, "interrupts", text);
        }
    }
}

/// What people call the UART that a driver is for.
fn driver(kind: ConsoleKind) -> &'static str {
    match kind {
        ConsoleKind::Pl011 => "PL011",
        ConsoleKind::Cadence => "Cadence UART",
        ConsoleKind::Imx => "i.MX UART",
        ConsoleKind::Ns16550(_) => "16550",
        ConsoleKind::Bcm2835Aux => "mini UART",
        ConsoleKind::Unsupported(_) => "none",
    }
}

fn console(machine: &Machine<'_>, report: &mut Report) {
    let remedy = "name another with stdout-path in /chosen";
    match &machine.console {
        None => {
            let text = format!("the tree has no UART that Postern has a driver for: {remedy}");
            report.find(Severity::Stop, "console", text);
        }
        Some(console) => match console.kind {
            ConsoleKind::Unsupported(name) => {
                let text = format!(
                    "stdout-path is {name}, for which Postern has no driver, so nothing would be \
                     seen of it: {remedy}"
                );
                report.find(Severity::Stop, "console", text);
            }
            kind => {
                report.machine.console = Some(Uart {
                    driver: driver(kind),
                    registers: console.registers.into(),
                    intid: console.interrupt,
                });
                if console.shared_interrupt().is_none() {
                    let text = "the console's node names no shared interrupt of the GIC: Postern \
                                looks at it by timer, and what is pasted may get lost";
                    report.find(Severity::Note, "console", text);
                }
            }
        },
    }
}

fn seed(machine: &Machine<'_>, report: &mut Report) {
    let bytes = machine.rng_seed.map_or(0, |seed| seed.bytes.len());
    if !has_seed(machine) {
        let found = if bytes == 0 { "no rng-seed" } else { "too short an rng-seed" };
        let text =
            format!("the tree has {found} in /chosen; firmware may still add one of {SEED} bytes");
        report.find(Severity::Note, "entropy", text);
    }
}

/// Whether the tree itself gives EL2 a seed.
pub(super) fn has_seed(machine: &Machine<'_>) -> bool {
    machine.rng_seed.is_some_and(|seed| seed.bytes.len() >= SEED)
}
