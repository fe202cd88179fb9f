//! What the tree says that EL2 has no use for: types of CPUs, names of nodes, where all devices are.

use std::collections::BTreeMap;

use hyp_core::addr::Pa;
use hyp_core::console::Plain;
use hyp_core::memory::PaRange;
use hyp_core::tree::machine::uart_compatibles;
use hyp_core::tree::{Cells, Node, Strings, Tree, string, u32_value};

use super::report;

/// A node with registers that the CPU can reach, or a UART.
#[derive(Debug)]
pub(super) struct Device {
    /// Path and `compatible`.
    pub(super) node: report::Node,
    /// Its registers as far as the CPU can reach them.
    pub(super) registers: Vec<PaRange>,
}

impl Device {
    /// Whether EL2 has a driver for it as a console.
    pub(super) fn has_driver(&self) -> bool {
        let mut known = uart_compatibles();
        known.any(|known| self.node.compatible.iter().any(|word| word.as_bytes() == known))
    }

    /// Whether its name says that it is a UART (Devicetree Specification, 2.2.2).
    pub(super) fn is_serial(&self) -> bool {
        let name = self.node.path.rsplit('/').next().unwrap_or_default();
        let name = name.split('@').next().unwrap_or_default();
        matches!(name, "serial" | "uart")
    }
}

/// The `compatible` of all UARTs with a driver, in a row.
pub(super) fn drivers() -> String {
    let names: Vec<_> = uart_compatibles().map(|name| Plain(name).to_string()).collect();
    names.join(", ")
}

/// Type of each CPU by its affinity fields.
pub(super) fn cpu_types(tree: &Tree<'_>) -> BTreeMap<u64, String> {
    let Some(cpus) = tree.find(b"/cpus") else { return BTreeMap::new() };
    let width = cpus.cell("#address-cells").unwrap_or(2);
    let of = |cpu: Node<'_>| {
        let affinity = Cells(cpu.value(b"reg")?).take(width)?;
        let first = string(cpu.value(b"compatible")?)?;
        Some((affinity, core_name(&Plain(first).to_string())))
    };
    let is_cpu = |node: &Node<'_>| node.value(b"device_type") == Some(b"cpu\0");
    cpus.children().filter(is_cpu).filter_map(of).collect()
}

/// `Cortex-A53` for `arm,cortex-a53`; others as they are.
fn core_name(compatible: &str) -> String {
    for family in ["cortex", "neoverse"] {
        if let Some(model) = compatible.strip_prefix(&format!("arm,{family}-")) {
            let (first, rest) = family.split_at(1);
            return format!("{}{rest}-{}", first.to_uppercase(), model.to_uppercase());
        }
    }
    compatible.to_owned()
}

/// The node that `stdout-path` names, directly or by an alias; for one that is not there its name alone.
pub(super) fn stdout(tree: &Tree<'_>) -> Option<report::Node> {
    let chosen = tree.find(b"/chosen")?;
    let value = |name: &[u8]| chosen.value(name).and_then(string).filter(|path| !path.is_empty());
    let named = value(b"stdout-path").or_else(|| value(b"linux,stdout-path"))?;
    let named = named.split(|byte| *byte == b':').next().unwrap_or(named);
    let path = if named.starts_with(b"/") {
        named
    } else {
        tree.find(b"/aliases").and_then(|aliases| string(aliases.value(named)?)).unwrap_or(named)
    };
    let compatible = tree.find(path).map(compatible).unwrap_or_default();
    Some(report::Node { path: Plain(path).to_string(), compatible })
}

fn compatible(node: Node<'_>) -> Vec<String> {
    let names = Strings(node.value(b"compatible").unwrap_or_default());
    names.map(|name| Plain(name).to_string()).collect()
}

/// How the addresses below a node are the CPU's.
enum Bus {
    /// They are the same.
    Same,
    /// Windows: first address below, the same for the CPU, bytes.
    Windows(Vec<(u64, u64, u64)>),
}

impl Bus {
    fn translated(&self, at: u64, size: u64) -> Option<PaRange> {
        let at = match self {
            Self::Same => at,
            Self::Windows(windows) => windows.iter().find_map(|(below, above, bytes)| {
                let offset = at.checked_sub(*below).filter(|offset| offset < bytes)?;
                above.checked_add(offset)
            })?,
        };
        PaRange::new(Pa(at), size).filter(|range| !range.is_empty())
    }
}

/// All enabled devices of the tree whose registers the CPU can reach, and all UARTs.
pub(super) fn devices(tree: &Tree<'_>) -> Vec<Device> {
    let mut found = Vec::new();
    let root = tree.root();
    walk(root, "", &Bus::Same, &mut found);
    found
}

fn width(node: Node<'_>, name: &str, absent: u32) -> u32 {
    node.value(name.as_bytes()).and_then(u32_value).unwrap_or(absent)
}

fn walk(parent: Node<'_>, path: &str, bus: &Bus, found: &mut Vec<Device>) {
    /// Not devices, or in memory by their nature.
    const NONE: [&[u8]; 5] = [b"cpus", b"chosen", b"reserved-memory", b"aliases", b"firmware"];
    let (address, size) = (width(parent, "#address-cells", 2), width(parent, "#size-cells", 1));
    for node in parent.children() {
        let status = node.value(b"status").and_then(string).unwrap_or(b"okay");
        let is_none = path.is_empty() && NONE.contains(&node.name());
        let is_memory = node.value(b"device_type") == Some(b"memory\0");
        if !matches!(status, b"okay" | b"ok" | b"") || is_none || is_memory {
            continue;
        }
        let path = format!("{path}/{}", Plain(node.name()));
        let mut registers = Vec::new();
        let mut reg = Cells(node.value(b"reg").unwrap_or_default());
        while !reg.is_empty()
            && let Some((at, bytes)) = reg.take(address).zip(reg.take(size))
            && (address, size) != (0, 0)
        {
            registers.extend(bus.translated(at, bytes));
        }
        let own = report::Node { path: path.clone(), compatible: compatible(node) };
        let device = Device { node: own, registers };
        if !device.registers.is_empty() || device.is_serial() {
            found.push(device);
        }
        if let Some(inside) = below(node, address, bus) {
            walk(node, &path, &inside, found);
        }
    }
}

/// The bus below `node`, if the CPU can reach what is on it.
fn below(node: Node<'_>, parent_address: u32, bus: &Bus) -> Option<Bus> {
    let (address, size) = (width(node, "#address-cells", 2), width(node, "#size-cells", 1));
    let mut ranges = Cells(node.value(b"ranges")?);
    if ranges.is_empty() {
        return Some(match bus {
            Bus::Same => Bus::Same,
            Bus::Windows(windows) => Bus::Windows(windows.clone()),
        });
    }
    let mut windows = Vec::new();
    // Without cells nothing would be taken off, for ever.
    while !ranges.is_empty() && (address, parent_address, size) != (0, 0, 0) {
        let (below, above) = (ranges.take(address)?, ranges.take(parent_address)?);
        let bytes = ranges.take(size)?;
        if let Some(there) = bus.translated(above, bytes) {
            windows.push((below, there.base().get(), bytes));
        }
    }
    Some(Bus::Windows(windows))
}

/// Whether the tree has a node for memory, of whatever size.
pub(super) fn has_memory_node(tree: &Tree<'_>) -> bool {
    tree.root().children().any(|node| node.value(b"device_type") == Some(b"memory\0"))
}

/// What firmware adds to most trees, and this one lacks.
pub(super) fn missing(tree: &Tree<'_>, lists_memory: bool) -> Vec<report::Missing> {
    let chosen = |name: &[u8]| {
        tree.find(b"/chosen").and_then(|node| node.value(name)).is_some_and(|it| !it.is_empty())
    };
    let root = tree.root();
    let mut missing = Vec::new();
    let mut lack = |is_there: bool, what, text: String| {
        if !is_there {
            missing.push(report::Missing { what, text });
        }
    };
    lack(
        lists_memory,
        "memory",
        "the board's banks of RAM in /memory nodes; without them Postern does not boot".into(),
    );
    lack(
        chosen(b"rng-seed"),
        "rng-seed",
        "32 random bytes or more in /chosen; without them protected VMs need a TRNG or RNDR".into(),
    );
    lack(
        chosen(b"kaslr-seed"),
        "kaslr-seed",
        "in /chosen; Postern wipes it and has no use for it".into(),
    );
    let without_address = ports_without_address(tree);
    lack(
        without_address.is_empty(),
        "MAC addresses",
        format!("of {}; no guest has these devices", without_address.join(", ")),
    );
    let reserved = tree.find(b"/reserved-memory");
    let is_secure = |node: Node<'_>| {
        let name = node.name().to_ascii_lowercase();
        let words: [&[u8]; 8] =
            [b"optee", b"op-tee", b"tf-a", b"tfa", b"atf", b"secmon", b"tee", b"tz"];
        words.iter().any(|word| name.windows(word.len()).any(|part| part == *word))
    };
    lack(
        reserved.is_some_and(|node| node.children().any(is_secure)),
        "reserved memory of TF-A and OP-TEE",
        "in /reserved-memory, if they lie in memory that the tree lists: else Postern gives it to VMs"
            .into(),
    );
    let Some(cpus) = tree.find(b"/cpus") else { return missing };
    let method =
        |cpu: Node<'_>, name: &[u8]| cpu.value(b"enable-method").and_then(string) == Some(name);
    let is_cpu = |cpu: &Node<'_>| cpu.value(b"device_type") == Some(b"cpu\0");
    let uses = |name: &[u8]| cpus.children().filter(is_cpu).any(|cpu| method(cpu, name));
    let waits_nowhere =
        |cpu: Node<'_>| method(cpu, b"spin-table") && cpu.value(b"cpu-release-addr").is_none();
    lack(
        root.child(b"psci").is_some() || tree.find(b"/firmware/psci").is_some() || uses(b"spin-table"),
        "PSCI node",
        "/psci with method \"smc\"; without it only the CPU that boots runs, and the board stays on".into(),
    );
    lack(
        !cpus.children().filter(is_cpu).any(waits_nowhere),
        "cpu-release-addr",
        "of CPUs that wait at a spin table; without it they stay off".into(),
    );
    missing
}

/// The Ethernet ports with an alias that have no address of their own.
fn ports_without_address(tree: &Tree<'_>) -> Vec<String> {
    let Some(aliases) = tree.find(b"/aliases") else { return Vec::new() };
    let has_address = |node: Node<'_>| {
        [&b"local-mac-address"[..], b"mac-address", b"nvmem-cells"]
            .iter()
            .any(|name| node.value(name).is_some_and(|value| value.iter().any(|byte| *byte != 0)))
    };
    let ports = aliases.properties().filter(|alias| alias.name.bytes().starts_with(b"ethernet"));
    let lacks = |alias: &hyp_core::tree::Property<'_>| {
        let node = string(alias.value).and_then(|path| tree.find(path));
        node.is_some_and(|node| !has_address(node))
    };
    ports.filter(lacks).map(|alias| Plain(alias.name.bytes()).to_string()).collect()
}
