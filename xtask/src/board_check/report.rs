//! What a check has found: plain data, shown to people as text and to programs as JSON.

use hyp_core::memory::PaRange;
use serde::{Serialize, Serializer};

use super::cause::Cause;
use crate::units::shown_size;

/// Everything that is known about a board's boot.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The tree's file.
    pub tree: String,
    /// The board, if one was named.
    pub board: Option<&'static str>,
    /// Where the board's load addresses come from, a file of U-Boot; empty without a board.
    pub source: &'static str,
    /// What the tree calls the machine.
    pub model: Option<String>,
    /// Nothing found will stop the boot.
    pub boots: bool,
    /// What the tree says of the machine.
    pub machine: Hardware,
    /// What firmware is expected to add, because the tree lacks it.
    pub firmware_adds: Vec<Missing>,
    /// What lies where when U-Boot has loaded everything.
    pub places: Vec<Place>,
    /// Bytes that are left for VMs, in pieces; empty if memory is unknown.
    pub free: Vec<Span>,
    /// The VMs of the bundle.
    pub vms: Vec<Guest>,
    /// What a person has to know or do, the gravest first.
    pub findings: Vec<Finding>,
}

/// The machine as EL2 will see it.
#[derive(Debug, Default, Serialize)]
pub struct Hardware {
    /// Banks of memory.
    pub memory: Vec<Span>,
    /// Memory that is taken, as the tree says.
    pub reserved: Vec<Span>,
    /// CPUs in the order of the tree.
    pub cpus: Vec<Core>,
    /// CPUs of each type: `4 Cortex-A53, 2 Cortex-A72`.
    pub cpu_types: String,
    /// How firmware is called: `smc` or `hvc`.
    pub psci: Option<&'static str>,
    /// The interrupt controller.
    pub gic: Option<Controller>,
    /// The UART that EL2 takes.
    pub console: Option<Uart>,
    /// The node that `stdout-path` names, whether there is a driver or not.
    pub stdout: Option<Node>,
    /// Interrupts that EL2 takes beside the console's.
    pub interrupts: Vec<Interrupt>,
    /// Bytes of random seed in the tree.
    pub seed_bytes: usize,
}

/// A CPU.
#[derive(Debug, Serialize)]
pub struct Core {
    /// Affinity fields of MPIDR_EL1.
    #[serde(serialize_with = "hex")]
    pub affinity: u64,
    /// Its type, as the tree says: `Cortex-A53`, or the value of `compatible`.
    pub kind: Option<String>,
    /// Its number in EL2 if all CPUs start, the first of the tree being the one that boots. vCPU n runs on
    /// CPU n. `None` for one that stays off.
    pub number: Option<usize>,
    /// `psci`, `spin-table` or `unknown`.
    pub enable_method: &'static str,
    /// Where a spin table's entry address is written.
    #[serde(serialize_with = "maybe_hex", skip_serializing_if = "Option::is_none")]
    pub release_address: Option<u64>,
}

/// A node of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its path.
    pub path: String,
    /// Its `compatible`, the most specific first.
    pub compatible: Vec<String>,
}

/// Something that firmware adds to most trees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What is missing, in a word.
    pub what: &'static str,
    /// What comes of it if firmware adds none.
    pub text: String,
}

/// The GIC.
#[derive(Debug, Serialize)]
pub struct Controller {
    /// 2 or 3.
    pub version: u8,
    /// Its frames by name.
    pub frames: Vec<Place>,
    /// CPUs that its redistributors can serve at most; `None` where the version has none.
    pub redistributors_for: Option<u64>,
}

/// A UART.
#[derive(Debug, Serialize)]
pub struct Uart {
    /// The driver.
    pub driver: &'static str,
    /// Its registers.
    pub registers: Span,
    /// Its interrupt.
    pub intid: Option<u32>,
}

/// An interrupt and what it is for.
#[derive(Debug, Serialize)]
pub struct Interrupt {
    /// What for.
    pub what: &'static str,
    /// The number in the tree.
    pub intid: Option<u32>,
}

/// Something with a place in memory.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// What lies there.
    pub what: String,
    /// Where.
    #[serde(flatten)]
    pub span: Span,
}

/// A range of physical addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    /// First address.
    #[serde(serialize_with = "hex")]
    pub from: u64,
    /// First address behind it.
    #[serde(serialize_with = "hex")]
    pub to: u64,
}

/// A VM of the bundle.
#[derive(Debug, Serialize)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// Whether it is protected.
    pub protected: bool,
    /// vCPUs.
    pub vcpus: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// The type of the CPU that each vCPU runs on, vCPU 0 first; its CPUs come behind those
    /// of the VMs before it.
    pub cpus: Vec<String>,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The boot will not come to the guest's shell.
    Stop,
    /// It may stop the boot; the tree alone cannot tell.
    Risk,
    /// Worth knowing.
    Note,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How grave.
    pub severity: Severity,
    /// What it is about, in a word.
    pub topic: &'static str,
    /// What stops the boot, by a name for programs; `None` where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What is found.
    pub text: String,
    /// What mends it, an option, a key of the VM's description or a word; or `none: ` and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Report {
    /// Adds what stops the boot, and how to mend it.
    pub fn stop(&mut self, cause: Cause, text: impl Into<String>, remedy: impl Into<String>) {
        self.caused(Severity::Stop, cause, text.into(), remedy.into());
    }

    /// Adds what lets the board boot, but not pass, and how to mend it.
    pub fn impair(&mut self, cause: Cause, text: impl Into<String>, remedy: impl Into<String>) {
        self.caused(Severity::Risk, cause, text.into(), remedy.into());
    }

    fn caused(&mut self, severity: Severity, cause: Cause, text: String, remedy: String) {
        let (topic, cause, remedy) = (cause.topic(), Some(cause), Some(remedy));
        self.findings.push(Finding { severity, topic, cause, text, remedy });
    }

    /// Adds a finding that may stop the boot; the tree alone cannot tell.
    pub fn risk(&mut self, topic: &'static str, text: impl Into<String>) {
        self.find(Severity::Risk, topic, text.into());
    }

    /// Adds a finding that is worth knowing.
    pub fn note(&mut self, topic: &'static str, text: impl Into<String>) {
        self.find(Severity::Note, topic, text.into());
    }

    fn find(&mut self, severity: Severity, topic: &'static str, text: String) {
        self.findings.push(Finding { severity, topic, cause: None, text, remedy: None });
    }

    /// Sorts the findings and draws the sum.
    pub fn conclude(mut self) -> Self {
        self.findings.sort_by_key(|finding| finding.severity);
        self.boots = !self.findings.iter().any(|finding| finding.severity == Severity::Stop);
        self
    }

    /// What is wrong with the file, if it is no sound tree.
    pub fn damage(&self) -> Option<&str> {
        let is_damage = |finding: &&Finding| finding.cause == Some(Cause::Damaged);
        self.findings.iter().find(is_damage).map(|finding| finding.text.as_str())
    }

    /// Whether it boots, and has a console that takes input.
    pub fn passes(&self) -> bool {
        self.causes().next().is_none()
    }

    /// What stops the boot, or leaves the board without a console.
    pub fn causes(&self) -> impl Iterator<Item = Cause> {
        self.findings.iter().filter_map(|finding| finding.cause)
    }
}

impl Span {
    /// The last address and size for a person: `0x40200000-0x4023ffff (256 KiB)`.
    pub fn shown(self) -> String {
        let last = self.to.saturating_sub(1);
        format!("{:#x}-{last:#x} ({})", self.from, shown_size(self.to.saturating_sub(self.from)))
    }
}

impl From<PaRange> for Span {
    fn from(range: PaRange) -> Self {
        Self { from: range.base().get(), to: range.end().get() }
    }
}

fn hex<S: Serializer>(number: &u64, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&format!("{number:#x}"))
}

fn maybe_hex<S: Serializer>(number: &Option<u64>, out: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => hex(number, out),
        None => out.serialize_none(),
    }
}
