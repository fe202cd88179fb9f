//! Whether a tree that the user brings describes the VM that it is for. EL2 does not read it: a guest
//! with a wrong one would find out by itself, one abort at a time.

use hyp_abi::vplatform::{
    GICC_BASE, GICC_SIZE, GICD_BASE, GICR_BASE, GICR_STRIDE, PTIMER_INTID, RAM_BASE, UART_BASE,
    UART_INTID, VTIMER_INTID,
};
use hyp_core::addr::Pa;
use hyp_core::memory::PaRange;
use hyp_core::tree::Machine;
use hyp_core::tree::machine::{Console, ConsoleKind, EnableMethod, Gic, PsciConduit};

use crate::vm_desc::{Smc, VmDesc};

/// What the tree says otherwise than the VM is, a line each with both. What a tree leaves out is no
/// difference, but for memory and CPUs.
pub(super) fn differences(machine: &Machine<'_>, desc: &VmDesc) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, tree: String, vm: String| {
        if tree != vm {
            found.push(format!("{what}: the tree says {tree}, the VM has {vm}"));
        }
    };
    let memory = PaRange::between(Pa(RAM_BASE), Pa(RAM_BASE.saturating_add(desc.mem)));
    compare("memory", list(&machine.memory), list([memory]));
    compare(
        "CPUs (MPIDR)",
        list(machine.cpus.iter().map(|cpu| format!("{:#x}", cpu.mpidr)))
            + &" and more".repeat(usize::from(machine.cpus_left_out > 0)),
        list((0..desc.cpus).map(|cpu| format!("{cpu:#x}"))),
    );
    for cpu in machine.cpus.iter().skip(1) {
        if cpu.enable_method != EnableMethod::Psci {
            let what = format!("start of CPU {:#x}", cpu.mpidr);
            compare(&what, format!("{:?}", cpu.enable_method), "PSCI".to_owned());
        }
    }
    if let Some(psci) = machine.psci_node {
        if !psci.standard_ids {
            compare("PSCI", "version 0.1".to_owned(), "version 1.1".to_owned());
        }
        match psci.method {
            Some(PsciConduit::Hvc) => {}
            Some(PsciConduit::Smc) if desc.smc == Smc::Serve => {}
            Some(PsciConduit::Smc) => {
                compare("conduit", "smc".to_owned(), "hvc alone: smc is undefined".to_owned());
            }
            None => compare("conduit", "neither smc nor hvc".to_owned(), "hvc".to_owned()),
        }
    }
    match &machine.gic {
        Some(Gic::V2(gic)) => {
            compare("GIC distributor", at(gic.distributor), hex(GICD_BASE));
            compare("GICv2 CPU interface", at(gic.cpu_interface), hex(GICC_BASE));
            let size = gic.cpu_interface.size();
            if size < GICC_SIZE {
                compare("bytes of the GICv2 CPU interface", hex(size), hex(GICC_SIZE));
            }
        }
        Some(Gic::V3(gic)) => {
            compare("GIC distributor", at(gic.distributor), hex(GICD_BASE));
            compare(
                "GICv3 redistributors",
                list(gic.redistributors.iter().map(|region| at(*region))),
                hex(GICR_BASE),
            );
            let size: u64 = gic.redistributors.iter().map(|region| region.size()).sum();
            let need = GICR_STRIDE.saturating_mul(u64::try_from(desc.cpus).unwrap_or(u64::MAX));
            if size < need {
                compare("bytes of the GICv3 redistributors", hex(size), hex(need));
            }
            if let Some(stride) = gic.stride {
                compare("stride of the GICv3 redistributors", hex(stride), hex(GICR_STRIDE));
            }
        }
        None => {}
    }
    let mut interrupt = |what: &str, tree: Option<u32>, vm: u32| {
        if let Some(tree) = tree {
            compare(&format!("{what} (INTID)"), tree.to_string(), vm.to_string());
        }
    };
    interrupt("physical timer's interrupt", machine.timers.physical, PTIMER_INTID);
    interrupt("virtual timer's interrupt", machine.timers.virtual_, VTIMER_INTID);
    if let Some(console) = &machine.console {
        interrupt("UART's interrupt", console.interrupt, UART_INTID);
        compare("UART", uart(console), format!("a PL011 at {UART_BASE:#x}"));
    }
    found
}

fn uart(console: &Console) -> String {
    match &console.kind {
        ConsoleKind::Pl011 => format!("a PL011 at {}", at(console.registers)),
        ConsoleKind::Unsupported(name) => format!("{name} as the console, which is no UART"),
        other => format!("{other:?} at {}", at(console.registers)),
    }
}

fn at(range: PaRange) -> String {
    hex(range.base().get())
}

fn hex(value: u64) -> String {
    format!("{value:#x}")
}

fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::guest_tree::{self, Platform};
    use super::*;

    fn desc() -> VmDesc {
        let mut desc = VmDesc::new(PathBuf::from("/k"));
        desc.cpus = 4;
        desc.mem = 64 << 20;
        desc
    }

    fn tree(gic: u8) -> Vec<u8> {
        let platform =
            Platform { gic, cpus: 4, ram: (RAM_BASE, 64 << 20), bootargs: "", initrd: None };
        guest_tree::build(&platform).unwrap()
    }

    fn of(tree: &[u8], desc: &VmDesc) -> Vec<String> {
        differences(&Machine::from_tree(tree).unwrap(), desc)
    }

    /// `tree` with `from` in place of `to`, which occurs once.
    fn changed(tree: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut tree = tree.to_vec();
        let at = tree.windows(from.len()).position(|bytes| bytes == from).unwrap();
        tree[at..at + to.len()].copy_from_slice(to);
        tree
    }

    #[test]
    fn the_tree_that_is_made_for_a_vm_fits_it() {
        for gic in [2, 3] {
            assert_eq!(of(&tree(gic), &desc()), Vec::<String>::new());
        }
    }

    #[test]
    fn each_difference_has_both_figures() {
        let cells = |values: &[u32]| -> Vec<u8> {
            values.iter().flat_map(|value| value.to_be_bytes()).collect()
        };
        let v3 = tree(3);
        let v2 = tree(2);
        let dist = cells(&[0, 0x0800_0000]);
        for (tree, words) in [
            (
                changed(&v3, &cells(&[0, 0x4000_0000, 0, 64 << 20]), &cells(&[0, 0x8000_0000])),
                ["memory", "0x80000000..0x84000000", "0x40000000..0x44000000"],
            ),
            (
                changed(&v3, &dist, &cells(&[0, 0x0801_0000])),
                ["distributor", "0x8010000", "0x8000000"],
            ),
            (
                changed(&v2, &dist, &cells(&[0, 0x0802_0000])),
                ["distributor", "0x8020000", "0x8000000"],
            ),
            (
                changed(&v3, &cells(&[0, 0x080a_0000]), &cells(&[0, 0x0810_0000])),
                ["redistributors", "0x8100000", "0x80a0000"],
            ),
            (
                changed(
                    &v3,
                    &cells(&[0, 0x080a_0000, 0, 0x8_0000]),
                    &cells(&[0, 0x080a_0000, 0, 0x4_0000]),
                ),
                ["bytes of the GICv3", "0x40000", "0x80000"],
            ),
            (
                changed(&v2, &cells(&[0, 0x0801_0000]), &cells(&[0, 0x0804_0000])),
                ["CPU interface", "0x8040000", "0x8010000"],
            ),
            (
                changed(&v3, &cells(&[0, 0x0900_0000, 0, 0x1000]), &cells(&[0, 0x0904_0000])),
                ["UART", "0x9040000", "0x9000000"],
            ),
            (
                changed(&v3, &cells(&[0, 1, 4]), &cells(&[0, 8, 4])),
                ["UART's interrupt", "40", "33"],
            ),
            (changed(&v3, b"hvc\0", b"xyz\0"), ["conduit", "neither", "hvc"]),
        ] {
            let found = of(&tree, &desc());
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(words.iter().all(|word| found[0].contains(word)), "{found:?} {words:?}");
        }
    }

    #[test]
    fn another_vm_is_a_difference_too() {
        let mut fewer = desc();
        fewer.cpus = 2;
        assert_eq!(
            of(&tree(3), &fewer),
            ["CPUs (MPIDR): the tree says 0x0, 0x1, 0x2, 0x3, the VM has 0x0, 0x1"]
        );
        let smc = changed(&tree(3), b"hvc\0", b"smc\0");
        assert!(of(&smc, &desc()).is_empty());
        let mut without = desc();
        without.smc = Smc::Undefined;
        assert!(of(&smc, &without)[0].contains("smc is undefined"));
    }
}
