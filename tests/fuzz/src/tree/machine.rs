//! What of a machine can be said from a whole tree at hand, against [`Machine`], which is read in
//! one walk.

use std::collections::BTreeSet;

use hyp_core::memory::PaRange;
use hyp_core::tree::Machine;
use hyp_core::tree::machine::{Gic, MAX_CPUS, MAX_REDISTRIBUTOR_REGIONS};

use super::reader::{Document, Element};

/// Address and size, not yet wrapped or cut.
pub(crate) type Span = (u64, u64);

fn span(range: PaRange) -> Span {
    (range.base().0, range.size())
}

fn is_enabled(node: &Element<'_>) -> bool {
    matches!(node.last(b"status"), None | Some(b"" | b"ok\0" | b"okay\0"))
}

/// What `node` says of cells below it, `absent` if it says nothing; `None` if that is no number.
fn width(node: &Element<'_>, name: &[u8], absent: u32) -> Option<u32> {
    node.last(name).map_or(Some(absent), |_| node.cell(name))
}

/// The numbers of `cells`, as wide as `widths` say, in rows.
fn rows<const N: usize>(cells: &[u8], widths: [u32; N]) -> Vec<[u64; N]> {
    let bytes: usize = widths.iter().map(|width| *width as usize * 4).sum();
    if bytes == 0 {
        return Vec::new();
    }
    let row = |row: &[u8]| {
        let mut rest = row.iter();
        widths.map(|width| {
            let number = rest.by_ref().take(width as usize * 4);
            number.fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
        })
    };
    cells.chunks_exact(bytes).map(row).collect()
}

/// `reg` of a child of `parent`.
fn reg(parent: &Element<'_>, node: &Element<'_>) -> Vec<Span> {
    let widths =
        [parent.cell(b"#address-cells").unwrap_or(2), parent.cell(b"#size-cells").unwrap_or(1)];
    let rows = rows(node.last(b"reg").unwrap_or_default(), widths);
    rows.into_iter().map(|[base, size]| (base, size)).collect()
}

/// Every page that one of `spans` touches would be too many: the borders, and what lies around.
fn covered(spans: &[Span], at: u64) -> bool {
    spans.iter().any(|(base, size)| at >= *base && at - base < *size)
}

/// Compares what both know.
pub(crate) fn check(document: &Document<'_>, machine: &Machine<'_>) {
    let root = &document.root;
    assert_eq!(machine.tree_size, document.size);
    memory(&memory_of(root), machine);
    let mut reserved = document.reservations.clone();
    for node in root.children.iter().filter(|node| node.name == b"reserved-memory") {
        let inside = node.children.iter().filter(|child| is_enabled(child));
        reserved.extend(inside.flat_map(|child| reg(node, child)));
    }
    reserved.retain(|(_, size)| *size != 0);
    let found: Vec<_> = machine.reserved.iter().map(|reserved| span(reserved.range)).collect();
    assert_eq!(reserved, found);
    cpus(root, machine);
    chosen(root, machine);
    gic(root, machine);
}

/// The memory that a tree lists.
pub(crate) fn memory_of(root: &Element<'_>) -> Vec<Span> {
    let is_memory =
        |node: &&Element<'_>| node.last(b"device_type") == Some(b"memory\0") && is_enabled(node);
    root.children.iter().filter(is_memory).flat_map(|node| reg(root, node)).collect()
}

/// `machine` has this memory, in order and in as few pieces as can be.
pub(crate) fn memory(expected: &[Span], machine: &Machine<'_>) {
    let found: Vec<_> = machine.memory.iter().copied().map(span).collect();
    for pair in found.windows(2) {
        assert!(pair[0].0 + pair[0].1 < pair[1].0, "{found:x?} are not apart");
    }
    let border = |spans: &[Span]| -> Vec<u64> {
        spans.iter().flat_map(|(base, size)| [*base, base.wrapping_add(*size)]).collect()
    };
    for at in border(expected).into_iter().chain(border(&found)) {
        for at in [at.wrapping_sub(1), at] {
            assert_eq!(covered(expected, at), covered(&found, at), "memory at {at:#x}");
        }
    }
}

fn cpus(root: &Element<'_>, machine: &Machine<'_>) {
    let mut expected: Vec<u64> = Vec::new();
    let mut has_fault = false;
    for node in root.children.iter().filter(|node| node.name == b"cpus") {
        for cpu in &node.children {
            let is_cpu = cpu.last(b"device_type") == Some(b"cpu\0");
            let is_broken = cpu.last(b"status").is_some_and(|status| status.starts_with(b"fail"));
            if is_cpu && !is_broken {
                let width = width(node, b"#address-cells", 2).filter(|width| *width <= 2);
                let row = rows(cpu.last(b"reg").unwrap_or_default(), [width.unwrap_or(0)]);
                let kept = expected.iter().take(MAX_CPUS);
                match row.first() {
                    Some([mpidr]) if kept.into_iter().all(|have| have != mpidr) => {
                        expected.push(*mpidr);
                    }
                    _ => has_fault = true,
                }
            }
        }
    }
    let distinct: BTreeSet<_> = expected.iter().collect();
    let found: Vec<_> = machine.cpus.iter().map(|cpu| cpu.mpidr).collect();
    assert_eq!(found, expected[..expected.len().min(MAX_CPUS)]);
    assert!(found.iter().collect::<BTreeSet<_>>().len() == found.len());
    assert_eq!(machine.cpus_left_out, expected.len() - found.len());
    assert_eq!(machine.cpu_fault.is_some(), has_fault);
    assert!(distinct.len() >= found.len());
}

fn chosen(root: &Element<'_>, machine: &Machine<'_>) {
    let nodes = || root.children.iter().filter(|node| node.name == b"chosen");
    let value = |name: &[u8]| nodes().filter_map(|node| node.last(name)).next_back();
    let words = value(b"bootargs").map_or(&b""[..], |value| &value[..value.len() - 1]);
    assert_eq!(machine.bootargs.as_bytes(), words);
    let seed = |name: &[u8]| value(name).map(<[u8]>::to_vec);
    assert_eq!(machine.rng_seed.map(|seed| seed.bytes.to_vec()), seed(b"rng-seed"));
    assert_eq!(machine.kaslr_seed.map(|seed| seed.bytes.to_vec()), seed(b"kaslr-seed"));
    let number = |name: &[u8]| {
        value(name).map(|value| value.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let initrd = number(b"linux,initrd-start").zip(number(b"linux,initrd-end"));
    let found = machine.initrd.map(|range| (range.base().0, range.end().0));
    assert_eq!(found, initrd);
}

/// The first interrupt controller in the order of the tree that can be used, and its frames on the CPU's
/// bus.
fn gic(root: &Element<'_>, machine: &Machine<'_>) {
    let frames = match &machine.gic {
        None => Vec::new(),
        Some(Gic::V2(gic)) => {
            [Some(gic.distributor), Some(gic.cpu_interface), gic.hypervisor, gic.virtual_cpu]
                .into_iter()
                .flatten()
                .collect()
        }
        Some(Gic::V3(gic)) => {
            [gic.distributor].into_iter().chain(gic.redistributors.iter().copied()).collect()
        }
    };
    let mut above = vec![root];
    let mut gics = Vec::new();
    all_gics(root, &mut above, &mut gics);
    assert_eq!(!gics.is_empty(), machine.gic.is_some());
    let last = gics.iter().position(|gic| gic.is_sound).unwrap_or(gics.len());
    let frames: Vec<_> = frames.into_iter().map(span).collect();
    let has_all = |gic: &Frames| frames.iter().all(|frame| gic.frames.contains(&Some(*frame)));
    assert!(gics.is_empty() || gics.iter().take(last + 1).any(has_all), "{frames:x?}: {gics:x?}");
}

/// An interrupt controller.
#[derive(Debug)]
struct Frames {
    /// All entries of its `reg`.
    frames: Vec<Option<Span>>,
    /// Nothing is wrong with it, so that none behind it is taken.
    is_sound: bool,
}

fn frames(parent: &Element<'_>, node: &Element<'_>, above: &[&Element<'_>]) -> Frames {
    let widths = [width(parent, b"#address-cells", 2), width(parent, b"#size-cells", 1)]
        .map(|width| width.unwrap_or(9));
    let frames: Vec<_> = reg(parent, node).into_iter().map(|span| on_bus(above, span)).collect();
    let is_placed =
        |frame: &Option<Span>| frame.is_some_and(|(base, size)| base.checked_add(size).is_some());
    let regions = node.cell(b"#redistributor-regions").unwrap_or(1) as usize;
    let entry = (widths[0].min(9) + widths[1].min(9)) as usize * 4;
    let is_sound = matches!(widths, [1..=2, 0..=2])
        && node.last(b"reg").unwrap_or_default().len().is_multiple_of(entry)
        && frames.iter().all(is_placed)
        && frames.len() > regions
        && frames.len() >= 2
        && regions <= MAX_REDISTRIBUTOR_REGIONS
        && node.last(b"redistributor-stride").is_none();
    Frames { frames, is_sound }
}

/// All controllers below the last of `above`, in order.
fn all_gics<'t, 'a>(
    node: &'t Element<'a>,
    above: &mut Vec<&'t Element<'a>>,
    found: &mut Vec<Frames>,
) {
    let is_list = above.len() == 2 && matches!(node.name, b"cpus" | b"reserved-memory");
    for child in &node.children {
        let is_memory = above.len() == 1 && child.last(b"device_type") == Some(b"memory\0");
        if !is_list && !is_memory && is_enabled(child) && is_gic(child) {
            found.push(frames(node, child, above));
        }
        above.push(child);
        all_gics(child, above, found);
        above.pop();
    }
}

/// The most specific name that is known decides what a node is.
fn is_gic(node: &Element<'_>) -> bool {
    const GICS: [&str; 4] =
        ["arm,gic-v3", "arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a7-gic"];
    const OTHERS: [&str; 17] = [
        "arm,armv8-timer",
        "arm,armv7-timer",
        "arm,psci",
        "arm,psci-0.2",
        "arm,psci-1.0",
        "arm,pl011",
        "cdns,uart-r1p8",
        "cdns,uart-r1p12",
        "xlnx,xuartps",
        "fsl,imx6q-uart",
        "fsl,imx21-uart",
        "brcm,bcm2835-aux-uart",
        "ns8250",
        "ns16450",
        "ns16550",
        "ns16550a",
        "snps,dw-apb-uart",
    ];
    let list = node.last(b"compatible").unwrap_or_default();
    let terminated = list.iter().rposition(|byte| *byte == 0).map_or(&b""[..], |end| &list[..end]);
    for name in terminated.split(|byte| *byte == 0) {
        let is = |list: &[&str]| list.iter().any(|known| known.as_bytes() == name);
        if is(&GICS) {
            return true;
        }
        // A 16550 with registers in an unknown order is no UART, and the search goes on.
        let is_16550 = name.starts_with(b"ns") || name.starts_with(b"snps");
        if is(&OTHERS) && (!is_16550 || is_16550_known(node)) {
            return false;
        }
    }
    false
}

fn is_16550_known(node: &Element<'_>) -> bool {
    let shift = node.cell(b"reg-shift").unwrap_or(0);
    match node.cell(b"reg-io-width") {
        None | Some(1) => shift <= 2,
        Some(4) => shift == 2,
        Some(_) => false,
    }
}

/// Follows `ranges` from the bus of the last of `above` to the CPU's (Devicetree Specification,
/// 2.3.8).
fn on_bus(above: &[&Element<'_>], (mut base, size): Span) -> Option<Span> {
    let cells = |node: &Element<'_>| width(node, b"#address-cells", 2);
    for pair in above.windows(2).rev() {
        let (up, bus) = (pair[0], pair[1]);
        let ranges = bus.last(b"ranges")?;
        if ranges.is_empty() {
            continue;
        }
        let widths = [cells(bus)?, cells(up)?, width(bus, b"#size-cells", 1)?];
        if widths.iter().any(|width| *width > 2) {
            return None;
        }
        let holds = |[child, _, len]: &[u64; 3]| {
            let end = u128::from(base) + u128::from(size);
            base >= *child && end <= u128::from(*child) + u128::from(*len)
        };
        let [child, parent, _] = rows(ranges, widths).into_iter().find(holds)?;
        base = parent.checked_add(base - child)?;
    }
    Some((base, size))
}
