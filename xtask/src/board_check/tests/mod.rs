//! Trees of boards in small, and what is to be found in them.

use hyp_core::addr::Pa;
use hyp_core::tree::Machine;

mod facts;
mod places;
mod programs;
mod remedies;

use super::report::Span;
use super::*;
use crate::bundle::node::{Node, cells};

const VIRT_V2: &[u8] = include_bytes!("../../../../hyp/core/src/tree/testdata/virt-gicv2.dtb");
const VIRT_V3: &[u8] = include_bytes!("../../../../hyp/core/src/tree/testdata/virt-gicv3.dtb");

/// A board with four CPUs, a GICv2 and a PL011, its memory in `banks`; `more` are nodes of the root.
fn board(banks: &[[u64; 2]], psci: bool, more: Vec<Node>) -> Vec<u8> {
    let interrupts = |numbers: &[u32]| -> Vec<u32> {
        numbers.iter().flat_map(|number| [1, *number, 0xf08]).collect()
    };
    let mut cpus = Node::new("cpus").with("#address-cells", 1_u32).with("#size-cells", 0_u32);
    for cpu in 0..4_u32 {
        let core = if cpu < 3 { "arm,cortex-a53" } else { "arm,cortex-a72" };
        let node = Node::new(&format!("cpu@{cpu}"))
            .with("device_type", "cpu")
            .with("compatible", core)
            .with("reg", cpu);
        cpus = cpus.child(if psci {
            node.with("enable-method", "psci")
        } else {
            node.with("enable-method", "spin-table")
                .with("cpu-release-addr", 0xd8_u64 + 8 * u64::from(cpu))
        });
    }
    let mut root = Node::new("")
        .with("#address-cells", 2_u32)
        .with("#size-cells", 2_u32)
        .with("interrupt-parent", 1_u32)
        .with("model", "A board")
        .child(cpus)
        .child(
            Node::new("gic")
                .with("compatible", "arm,gic-400")
                .with("phandle", 1_u32)
                .with("#interrupt-cells", 3_u32)
                .with("interrupts", interrupts(&[9]).as_slice())
                .with(
                    "reg",
                    cells([
                        0xf901_0000,
                        0x1_0000,
                        0xf902_0000,
                        0x2_0000,
                        0xf904_0000,
                        0x2_0000,
                        0xf906_0000,
                        0x2_0000,
                    ])
                    .as_slice(),
                ),
        )
        .child(
            Node::new("timer")
                .with("compatible", "arm,armv8-timer")
                .with("interrupts", interrupts(&[13, 14, 11, 10]).as_slice()),
        )
        .child(
            Node::new("serial")
                .with("compatible", "arm,pl011")
                .with("reg", cells([0xfe20_1000, 0x1000]).as_slice())
                .with("interrupts", [0_u32, 121, 4].as_slice()),
        );
    if psci {
        root =
            root.child(Node::new("psci").with("compatible", "arm,psci-1.0").with("method", "smc"));
    }
    if !banks.is_empty() {
        let reg = cells(banks.iter().flatten().copied());
        root = root
            .child(Node::new("memory").with("device_type", "memory").with("reg", reg.as_slice()));
    }
    more.into_iter().fold(root, Node::child).flatten()
}

fn zcu102() -> Vec<u8> {
    board(&[[0, 0x8000_0000], [0x8_0000_0000, 0x8000_0000]], true, Vec::new())
}

fn reserved(base: u64, size: u64) -> Node {
    Node::new("reserved-memory")
        .with("#address-cells", 2_u32)
        .with("#size-cells", 2_u32)
        .flag("ranges")
        .child(Node::new("firmware").with("reg", cells([base, size]).as_slice()))
}

/// Looks at `tree` with a small image and the addresses of `board`, which `change` changes.
fn checked(tree: &[u8], board: Option<Board>, change: impl FnOnce(&mut Loads<'_>)) -> Report {
    checked_with(tree, board, &[], change)
}

/// As [`checked`], with banks of memory given by hand.
fn checked_with(
    tree: &[u8],
    board: Option<Board>,
    memory: &[PaRange],
    change: impl FnOnce(&mut Loads<'_>),
) -> Report {
    let facts = board.and_then(Board::facts);
    let mut loads = Loads {
        image_at: facts.map(|facts| facts.image),
        image_file: 0x2_0000,
        image_size: 0x10_0000,
        bundle_at: facts.map(|facts| facts.bundle),
        bundle_size: SOME_BUNDLE,
        tree_at: facts.and_then(|facts| facts.tree),
        facts,
    };
    change(&mut loads);
    let mut subject = Subject::read(tree).unwrap();
    let mut report = Report::default();
    subject.complete_memory(&loads, memory, false, &mut report).unwrap();
    look(&subject, &loads, None, &mut report).unwrap();
    report.conclude()
}

/// The texts of the findings that stop the boot.
fn stops(report: &Report) -> Vec<&str> {
    let stops = report.findings.iter().filter(|finding| finding.severity == Severity::Stop);
    stops.map(|finding| finding.text.as_str()).collect()
}

#[test]
fn trees_of_qemu_boot_and_are_read_as_they_are() {
    for (tree, version, frames) in [(VIRT_V2, 2, 4), (VIRT_V3, 3, 2)] {
        let report = checked(tree, Some(Board::Virt), |_| {});
        assert!(report.boots, "{:?}", report.findings);
        let gic = report.machine.gic.as_ref().unwrap();
        assert_eq!((gic.version, gic.frames.len()), (version, frames));
        let numbers: Vec<_> = report.machine.interrupts.iter().map(|one| one.intid).collect();
        assert_eq!(numbers[1..], [Some(26), Some(27), Some(30)]);
        assert_eq!(report.machine.console.as_ref().unwrap().intid, Some(33));
        assert!(report.machine.seed_bytes >= 32);
        assert!(!report.free.is_empty() && report.places.len() == 4);
    }
}

#[test]
fn boards_boot_where_nothing_collides() {
    let report = checked(&zcu102(), Some(Board::Zcu102), |_| {});
    assert!(report.boots, "{:?}", report.findings);
    let u_boot = report.places.last().unwrap();
    assert_eq!(u_boot.span.to, 0x8000_0000);
    // Nothing of U-Boot's stays: all but image, bundle, tree and heap is free.
    let free: u64 = report.free.iter().map(|span| span.to - span.from).sum();
    assert!(free > (4 << 30) - (40 << 20), "{free:#x}");
}

/// Qualcomm's SoCs have the timers at PPIs 1, 2, 3 and 0.
/// The guest runs, and what is said is found where the image's memory ends.
#[test]
fn a_board_without_a_console_boots_and_its_log_has_a_place() {
    let mut tree = board(&[[0, 0x8000_0000]], true, Vec::new());
    let name = tree.windows(9).position(|bytes| bytes == b"arm,pl011").unwrap();
    tree[name..name + 3].copy_from_slice(b"odd");
    let report = checked(&tree, Some(Board::Zcu102), |loads| {
        loads.image_at = Some(0x1810_0000);
        loads.image_size = 0x10_0000;
    });
    assert!(report.boots && report.machine.console.is_none(), "{:?}", report.findings);
    let texts: Vec<_> =
        report.findings.iter().filter(|one| one.topic == "console").map(|one| &one.text).collect();
    assert!(texts[0].contains("is kept in memory") && texts[0].contains("nobody can type"));
    assert_eq!(texts[1], "the log will be at 0x182fc000-0x182fffff (16 KiB)");
}

#[test]
fn timers_may_have_other_interrupts() {
    let tree = |ppis: [u32; 4]| {
        let list = |ppis: [u32; 4]| -> Vec<u8> {
            ppis.iter().flat_map(|ppi| [1, *ppi, 0xf08]).flat_map(u32::to_be_bytes).collect()
        };
        let (old, new) = (list([13, 14, 11, 10]), list(ppis));
        let mut tree = zcu102();
        let at = tree.windows(old.len()).position(|bytes| bytes == old).unwrap();
        tree[at..at + new.len()].copy_from_slice(&new);
        tree
    };
    let report = checked(&tree([1, 2, 3, 0]), Some(Board::Zcu102), |_| {});
    assert!(report.boots, "{:?}", report.findings);
    let numbers: Vec<_> = report.machine.interrupts.iter().map(|one| one.intid).collect();
    assert_eq!(numbers, [Some(25), Some(16), Some(19), Some(18)]);
    // Two timers with one interrupt.
    let report = checked(&tree([1, 2, 3, 3]), Some(Board::Zcu102), |_| {});
    assert!(stops(&report).iter().any(|text| text.contains("the same PPI")));
}

#[test]
fn memory_that_firmware_fills_in_is_reckoned_with() {
    let tree = board(&[], false, vec![reserved(0, 0x1000)]);
    let report = checked(&tree, Some(Board::Rpi4), |_| {});
    assert_eq!(report.machine.memory, [Span { from: 0, to: 0x3b40_0000 }]);
    assert!(report.findings.iter().any(|one| one.text.contains("--memory")));
    assert_eq!(report.machine.cpus[1].release_address, Some(0xe0));
    // The image moves up to a boundary; its two places are no collision.
    let image = report.places.iter().find(|place| place.what == "image").unwrap();
    assert_eq!(image.span.from, 0x20_0000);
    assert!(!stops(&report).iter().any(|text| text.contains("overlap")), "{:?}", report.findings);
    assert!(report.findings.iter().any(|one| one.text.contains("--tree-addr")));
    assert!(!report.places.iter().any(|place| place.what == "tree"));
    // No PSCI is no obstacle.
    assert!(report.boots, "{:?}", report.findings);
    let without = checked(&tree, None, |_| {});
    assert!(stops(&without).iter().any(|text| text.contains("memory nodes")));
}

#[test]
fn whatever_collides_is_named_with_both_places() {
    type Change = fn(&mut Loads<'_>);
    let cases: [(Change, &[&str]); 6] = [
        (|loads| loads.bundle_at = Some(0x1808_0000), &["image", "bundle", "overlap"]),
        (|loads| loads.tree_at = Some(0x0220_0000), &["bundle", "tree", "overlap"]),
        (|loads| loads.bundle_at = Some(0x7e00_0000), &["bundle", "U-Boot after", "overlap"]),
        (|loads| loads.image_at = Some(0x7ff8_0000), &["image", "not all in one memory bank"]),
        (|loads| loads.bundle_size = 0x2000_0000, &["image", "bundle", "overlap"]),
        (|loads| loads.tree_at = Some(0x4000_0004), &["tree", "multiple of 8"]),
    ];
    for (n, (change, words)) in cases.into_iter().enumerate() {
        let report = checked(&zcu102(), Some(Board::Zcu102), change);
        assert!(!report.boots, "{n}");
        let found = stops(&report).iter().any(|text| words.iter().all(|word| text.contains(word)));
        assert!(found, "{n}: {:?}", report.findings);
    }
}

#[test]
fn reserved_memory_is_not_for_loading() {
    let banks = [[0, 0x8000_0000]];
    let tree = board(&banks, true, vec![reserved(0x1800_0000, 0x1000)]);
    let report = checked(&tree, Some(Board::Zcu102), |_| {});
    assert!(stops(&report)[0].contains("reserved memory at 0x18000000"), "{:?}", report.findings);
    // Where U-Boot goes is U-Boot's affair.
    let tree = board(&banks, true, vec![reserved(0x7ff0_0000, 0x1000)]);
    let report = checked(&tree, Some(Board::Zcu102), |_| {});
    assert!(report.boots && report.findings[0].severity == Severity::Risk);
}

#[test]
fn a_damaged_tree_names_the_place() {
    let mut tree = zcu102();
    let cut = Machine::from_tree(&tree[..tree.len() - 8]).unwrap_err().to_string();
    assert!(cut.contains("cut short"), "{cut}");
    let at = tree.windows(4).position(|word| word == b"cpus").unwrap() - 4;
    tree[at + 3] = 7;
    let error = Machine::from_tree(&tree).unwrap_err().to_string();
    assert!(error.contains(&format!("offset {at:#x}")), "{error}");
}

#[test]
fn what_a_bundle_needs_is_compared_with_what_is_there() {
    let kernel = tempfile::NamedTempFile::new().unwrap();
    fs::write(kernel.path(), [0; 64]).unwrap();
    let bundle = |words: &str| {
        let mut words: toml::Table = words.parse().unwrap();
        words.insert("kernel".into(), kernel.path().to_str().unwrap().into());
        crate::bundle::build(&[crate::vm_desc::preset::describe(words).unwrap()]).unwrap().bytes
    };
    let report = |bundle: &[u8]| {
        let tree = board(&[[0, 0x2000_0000]], true, Vec::new());
        let mut report = Report::default();
        look(&Subject::read(&tree).unwrap(), &Loads::default(), Some(bundle), &mut report).unwrap();
        report.conclude()
    };
    let fits = report(&bundle("cpus = 4\nmem = '256M'"));
    assert!(fits.boots && fits.vms[0].vcpus == 4, "{:?}", fits.findings);
    assert!(stops(&report(&bundle("mem = '600M'")))[0].contains("600 MiB"));
    assert!(stops(&report(&bundle("cpus = 5")))[0].contains("5 vCPUs"));
    let several = |words: [&str; 2]| {
        let describe = |words: &str| {
            let text = format!("kernel = '{}'\n{words}", kernel.path().display());
            crate::vm_desc::preset::describe(text.parse().unwrap()).unwrap()
        };
        report(&crate::bundle::build(&words.map(describe)).unwrap().bytes)
    };
    let both = several(["name = 'a'\ncpus = 1\nmem = '64M'", "name = 'b'\ncpus = 3\nmem = '64M'"]);
    assert_eq!(stops(&both), Vec::<&str>::new());
    assert_eq!(both.vms.iter().map(|vm| vm.cpus.len()).collect::<Vec<_>>(), [1, 3]);
    let crowded = several(["name = 'a'\ncpus = 2", "name = 'b'\ncpus = 3\nmem = '64M'"]);
    assert!(stops(&crowded)[0].contains("VM b has 3 vCPUs and the machine 2 CPU(s) left"));
    let full = several(["name = 'a'\ncpus = 4", "name = 'b'\nmem = '600M'"]);
    assert!(stops(&full)[0].contains("VM b has 1 vCPUs and the machine 0 CPU(s) left"));
    assert!(stops(&full)[1].contains("VM b has 600 MiB"), "{:?}", stops(&full));
    let protected = report(&bundle("protected = true"));
    assert!(protected.boots && protected.findings[0].severity == Severity::Risk);
    let careless = report(&bundle("protected = true\ninsecure-entropy = true"));
    assert!(careless.findings.iter().all(|finding| finding.severity == Severity::Note));
    // On a card it stands behind U-Boot's header.
    let mut wrapped = LEGACY.0.to_vec();
    wrapped.resize(LEGACY.1, 0);
    wrapped.extend(b"bundle");
    assert_eq!(bare(&wrapped), b"bundle");
}

/// The findings that stop the boot, with what mends them.
fn remedies(report: &Report) -> Vec<(&str, &str)> {
    let stops = report.findings.iter().filter(|finding| finding.cause.is_some());
    stops.map(|one| (one.text.as_str(), one.remedy.as_deref().unwrap())).collect()
}
