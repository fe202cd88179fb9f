//! Which CPUs there are, and which of them start together.

use super::tests::{blob, cells, node};
use super::*;
use crate::addr::Pa;
use dtoolkit::model::DeviceTreeNode;
use std::vec::Vec;

#[test]
fn a_cpu_that_cannot_be_told_from_others_is_left_out() {
    let cpu = |name, reg: &[u8]| {
        let properties =
            [("device_type", &b"cpu\0"[..]), ("reg", reg), ("enable-method", b"psci\0")];
        node(name, properties, Vec::new())
    };
    let of = |width: u32, cpus: Vec<DeviceTreeNode>| {
        let width = cells([width]);
        let cpus =
            node("cpus", [("#address-cells", &width[..]), ("#size-cells", &cells([0]))], cpus);
        blob(node("", [], std::vec![cpus]))
    };
    let blob = of(
        1,
        std::vec![
            cpu("cpu@0", &cells([0])),
            cpu("cpu@1", &[1]),
            cpu("cpu@0", &cells([0])),
            cpu("cpu@2", &cells([2])),
        ],
    );
    let machine = Machine::from_tree(&blob).unwrap();
    let mpidrs: Vec<_> = machine.cpus.iter().map(|cpu| cpu.mpidr).collect();
    assert_eq!((&mpidrs[..], machine.cpus_left_out), (&[0, 2][..], 0));
    let expected = TreeError::content(b"cpu@1", "reg", "is not the CPU's affinity");
    assert_eq!(machine.cpu_fault, Some(expected));
    let blob = of(3, std::vec![cpu("cpu@0", &cells([0, 0, 0]))]);
    assert!(Machine::from_tree(&blob).unwrap().cpus.is_empty());
}

/// Linux's trees of Arm's Foundation and RTSM models and of X-Gene have one word for all CPUs.
#[test]
fn cpus_that_wait_at_one_word_start_together() {
    let spin = |mpidr, word| Cpu { mpidr, enable_method: EnableMethod::SpinTable(Pa(word)) };
    let plain = |mpidr, enable_method| Cpu { mpidr, enable_method };
    let groups = |cpus: &[Cpu], own| -> Vec<Vec<u64>> {
        let machine = Machine { cpus: cpus.iter().copied().collect(), ..Machine::default() };
        machine.start_groups(own).map(|group| group.map(|cpu| cpu.mpidr).collect()).collect()
    };
    let shared = [0, 1, 2, 3].map(|mpidr| spin(mpidr, 0x8000_fff8));
    assert_eq!(groups(&shared, 0), [[1, 2, 3]]);
    assert_eq!(groups(&shared, 2), [[0, 1, 3]]);
    let own_words = [0, 1, 2].map(|mpidr| spin(mpidr, 0xd8 + 8 * mpidr));
    assert_eq!(groups(&own_words, 0), [[1], [2]]);
    let mixed = [
        plain(0, EnableMethod::Psci),
        spin(1, 8),
        plain(2, EnableMethod::Psci),
        spin(3, 16),
        spin(4, 8),
        plain(5, EnableMethod::Unknown),
        plain(6, EnableMethod::Unknown),
    ];
    let expected =
        std::vec![std::vec![1, 4], std::vec![2], std::vec![3], std::vec![5], std::vec![6]];
    assert_eq!(groups(&mixed, 0), expected);
    assert!(groups(&mixed[..1], 0).is_empty());
}
