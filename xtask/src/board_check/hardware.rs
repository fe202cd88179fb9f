//! What the tree says of the machine, and what of it will not do.

use hyp_abi::vplatform::GICR_STRIDE;
use hyp_core::tree::Machine;
use hyp_core::tree::machine::{ConsoleKind, Gic, GicV2, GicV3, MachineError, Ppis, PsciConduit};

use super::Subject;
use super::cause::Cause;
use super::report::{Controller, Hardware, Interrupt, Node, Place, Report, Uart};
use super::{cpus, nodes};

/// Bytes of a seed that EL2 is content with.
const SEED: usize = 32;
/// How a tree that is wrong is replaced.
const OTHER_TREE: &str = "correct the tree and give that one: `image --tree FILE`";

/// Fills in the report's machine and notes what is missing.
pub(super) fn look(subject: &Subject<'_>, report: &mut Report) {
    let machine = &subject.machine;
    report.machine = Hardware {
        memory: machine.memory.iter().map(|bank| (*bank).into()).collect(),
        reserved: machine.reserved.iter().map(|reserved| reserved.range.into()).collect(),
        psci: machine.psci_node.and_then(|node| node.method).map(|method| match method {
            PsciConduit::Smc => "smc",
            PsciConduit::Hvc => "hvc",
        }),
        gic: machine.gic.as_ref().map(controller),
        stdout: nodes::stdout(&subject.tree),
        seed_bytes: machine.rng_seed.map_or(0, |seed| seed.bytes.len()),
        ..Hardware::default()
    };
    cpus::look(subject, report);
    psci(machine, report);
    gic(subject, report);
    check_redistributors(report);
    interrupts(machine, report);
    console(subject, report);
    seed(machine, report);
}

fn psci(machine: &Machine<'_>, report: &mut Report) {
    let Err(error) = machine.psci() else { return };
    let remedy = match error {
        MachineError::NoPsci => return report.note("firmware", error.to_string()),
        MachineError::OldPsci => "none: the firmware (TF-A) has to be one with PSCI 0.2 or later",
        MachineError::PsciHvc => {
            "none: take away the hypervisor below, or take the tree of the board itself"
        }
        _ => OTHER_TREE,
    };
    report.stop(Cause::Psci, error.to_string(), remedy);
}

fn gic(subject: &Subject<'_>, report: &mut Report) {
    let Err(error) = subject.machine.gic() else { return };
    match error {
        MachineError::NoGic => {
            let remedy =
                "none: without a GICv2 or GICv3 with virtualization guests get no interrupts";
            report.stop(Cause::NoGic, error.to_string(), remedy);
        }
        _ => {
            let remedy = "none where the GIC has no such frames; else \
                          add GICH and GICV to its reg: `image --tree FILE`";
            report.stop(Cause::GicWithoutVirtualization, error.to_string(), remedy);
        }
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
             {cpus}"
        );
        report.stop(Cause::Redistributors, text, format!("the GIC's reg: {OTHER_TREE}"));
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
        report.stop(Cause::Timers, error.to_string(), OTHER_TREE);
    }
    let usual = Ppis::USUAL;
    if machine.gic.is_some() && maintenance.is_none() {
        let text = format!(
            "the GIC's node names no maintenance interrupt: {} is taken",
            usual.maintenance
        );
        report.note("interrupts", text);
    }
    for (what, found, taken) in [
        ("EL2's timer", timers.hyp_physical, usual.hyp_timer),
        ("the virtual timer", timers.virtual_, usual.virtual_timer),
        ("the physical timer", timers.physical, usual.physical_timer),
    ] {
        if found.is_none() {
            let text = format!("the timer's node does not list {what}: {taken} is taken");
            report.note("interrupts", text);
        }
    }
}

/// What people call the UART that a driver is for.
fn driver(kind: ConsoleKind) -> &'static str {
    match kind {
        ConsoleKind::Pl011 => "PL011",
        ConsoleKind::Sbsa => "Generic UART",
        ConsoleKind::Cadence => "Cadence UART",
        ConsoleKind::Imx => "i.MX UART",
        ConsoleKind::Ns16550(_) => "16550",
        ConsoleKind::Bcm2835Aux => "mini UART",
        ConsoleKind::Meson => "Amlogic UART",
        ConsoleKind::Lpuart(_) => "LPUART",
        ConsoleKind::Geni => "GENI UART",
        ConsoleKind::Armada => "Armada UART",
        ConsoleKind::Unsupported(_) => "none",
    }
}

/// What becomes of a machine without a console.
const UNHEARD: &str = "VMs run, but nobody can type, and all that would be printed is kept in memory \
                       (docs/debugging.md)";

fn console(subject: &Subject<'_>, report: &mut Report) {
    match &subject.machine.console {
        None => {
            let uarts = subject.devices.iter().filter(|device| device.is_serial());
            let uarts: Vec<_> = uarts.map(|device| shown(&device.node)).collect();
            let text = match uarts.is_empty() {
                true => "the tree has no UART".to_owned(),
                false => format!("the tree has no UART with a driver: {}", uarts.join("; ")),
            };
            let text = format!("{text}: {UNHEARD}; drivers are there for {}", nodes::drivers());
            report.impair(Cause::NoConsole, text, console_remedy(subject));
        }
        Some(console) => match console.kind {
            ConsoleKind::Unsupported(name) => {
                let node = report.machine.stdout.as_ref();
                let node = node.map_or_else(|| name.to_string(), shown);
                let text = format!(
                    "stdout-path is {node}, for which Postern has no driver: {UNHEARD}; drivers are there \
                     for {}",
                    nodes::drivers()
                );
                report.impair(Cause::ConsoleWithoutDriver, text, console_remedy(subject));
            }
            kind => {
                report.machine.console = Some(Uart {
                    driver: driver(kind),
                    registers: console.registers.into(),
                    intid: console.interrupt,
                });
                if console.shared_interrupt().is_none() {
                    let text = "the console's node names no shared, level-triggered interrupt of the \
                                GIC: Postern looks at it by timer, and what is pasted may get lost";
                    report.note("console", text);
                }
            }
        },
    }
}

/// Path and `compatible` for a person.
fn shown(node: &Node) -> String {
    let compatible = match node.compatible.is_empty() {
        true => "not in the tree".to_owned(),
        false => node.compatible.join(", "),
    };
    format!("{} ({compatible})", node.path)
}

/// Another UART of the tree, if there is one.
fn console_remedy(subject: &Subject<'_>) -> String {
    let named = nodes::stdout(&subject.tree).map(|node| node.path);
    let is_other = |path: &str| Some(path) != named.as_deref();
    let mut usable =
        subject.devices.iter().filter(|device| device.has_driver() && is_other(&device.node.path));
    usable.next().map_or_else(
        || "none: the tree has no other enabled UART with a driver".to_owned(),
        |other| {
            let path = &other.node.path;
            format!("at U-Boot's prompt `fdt set /chosen stdout-path {path}`, and wire that one up")
        },
    )
}

fn seed(machine: &Machine<'_>, report: &mut Report) {
    let bytes = machine.rng_seed.map_or(0, |seed| seed.bytes.len());
    if !has_seed(machine) {
        let found = if bytes == 0 { "no rng-seed" } else { "too short an rng-seed" };
        let text =
            format!("the tree has {found} in /chosen; firmware may still add one of {SEED} bytes");
        report.note("entropy", text);
    }
}

/// Whether the tree itself gives EL2 a seed.
pub(super) fn has_seed(machine: &Machine<'_>) -> bool {
    machine.rng_seed.is_some_and(|seed| seed.bytes.len() >= SEED)
}
