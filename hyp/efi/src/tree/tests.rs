//! The new tree, read by another implementation, is the old one with the changes that were asked
//! for; damage to the old one is noticed or harmless.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node as _, Property as _};
use hyp_core::addr::Pa;
use hyp_core::tree::{Machine, Tree};
use proptest::prelude::*;

use super::*;

const VIRT_GICV2: &[u8] = include_bytes!("../../../core/src/tree/testdata/virt-gicv2.dtb");
const VIRT_GICV3: &[u8] = include_bytes!("../../../core/src/tree/testdata/virt-gicv3.dtb");

const GIB: u64 = 1 << 30;

/// Properties by node path and name.
type Contents = BTreeMap<(String, String), Vec<u8>>;

fn contents(tree: &[u8]) -> Contents {
    fn add(node: &FdtNode<'_>, path: &str, contents: &mut Contents) {
        for property in node.properties() {
            let key = (path.to_string(), property.name().to_string());
            assert_eq!(contents.insert(key, property.value().to_vec()), None, "there twice");
        }
        for child in node.children() {
            add(&child, &format!("{path}/{}", child.name()), contents);
        }
    }
    let mut contents = Contents::new();
    add(&Fdt::new(tree).unwrap().root(), "", &mut contents);
    contents
}

fn banks(ranges: &[(u64, u64)]) -> Vec<PaRange> {
    ranges.iter().map(|(base, size)| PaRange::new(Pa(*base), *size).unwrap()).collect()
}

fn facts() -> Facts<'static> {
    Facts {
        bundle: PaRange::new(Pa(0x1_2345_6000), 0x1001).unwrap(),
        words: b"postern.log=debug",
        seed: &[7; 32],
    }
}

fn rewritten(old: &[u8], memory: &[PaRange]) -> Vec<u8> {
    let mut new = vec![0xa5; room(old.len(), &facts())];
    let size = write(old, &facts(), memory, &mut new).unwrap();
    new.truncate(size);
    // Nothing but the tree, and all of it sound.
    assert_eq!(Tree::new(&new).unwrap().bytes().len(), size);
    new
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn the_new_tree_is_the_old_one_with_the_changes() {
    for (old, args, seeds) in [(VIRT_GICV2, true, true), (VIRT_GICV3, false, false)] {
        // A tree to start from with or without what is added to.
        let mut model = DeviceTree::from_fdt(&Fdt::new(old).unwrap());
        let mut chosen = DeviceTreeNode::new("chosen").unwrap();
        let mut add = |name, value: &[u8]| {
            chosen.add_property(DeviceTreeProperty::new(name, value.to_vec()).unwrap());
        };
        add("stdout-path", b"/pl011@9000000\0");
        add("linux,initrd-start", &[1; 8]);
        if args {
            add("bootargs", b"postern.log=warn\0");
        }
        if seeds {
            add("rng-seed", &[9; 16]);
        }
        add("kaslr-seed", &[3; 8]);
        model.root.add_child(chosen);
        let old = model.to_dtb();

        let memory = banks(&[(0x4000_0000, GIB), (0x1_0000_0000, 64 * GIB)]);
        let new = rewritten(&old, &memory);

        let mut expected = contents(&old);
        expected.retain(|(path, _), _| !path.starts_with("/memory"));
        let mut set = |path: &str, name: &str, value: Vec<u8>| {
            expected.insert((path.to_string(), name.to_string()), value);
        };
        set("/chosen", "linux,initrd-start", words(&[1, 0x2345_6000]));
        set("/chosen", "linux,initrd-end", words(&[1, 0x2345_7001]));
        let line = format!("{} postern.log=debug\0", if args { "postern.log=warn" } else { "" });
        set("/chosen", "bootargs", line.into_bytes());
        let seed = if seeds { [vec![9; 16], vec![7; 32]].concat() } else { vec![7; 32] };
        set("/chosen", "rng-seed", seed);
        set("/memory", "device_type", b"memory\0".to_vec());
        let reg = [0, 0x4000_0000, 0, 0x4000_0000, 1, 0, 0x10, 0];
        set("/memory", "reg", words(&reg));
        assert_eq!(contents(&new), expected);
        assert_eq!(new.get(28..32), old.get(28..32), "the boot CPU");
    }
}

#[test]
fn the_hypervisor_reads_what_it_was_told() {
    let memory = banks(&[(0x1_0000_0000, GIB), (0x4000_0000, GIB)]);
    let new = rewritten(VIRT_GICV3, &memory);
    let machine = Machine::from_tree(&new).unwrap();
    assert_eq!(machine.memory[..], banks(&[(0x4000_0000, GIB), (0x1_0000_0000, GIB)]));
    assert_eq!(machine.initrd, Some(facts().bundle));
    assert_eq!(machine.boot_argument("log"), Some("debug"));
    assert!(machine.rng_seed.unwrap().bytes.ends_with(facts().seed));
    let before = Machine::from_tree(VIRT_GICV3).unwrap();
    assert_eq!((machine.gic, machine.cpus), (before.gic, before.cpus));
}

#[test]
fn a_tree_without_chosen_and_memory_gets_both() {
    let mut model = DeviceTree::new();
    for (name, cells) in [("#address-cells", 1_u32), ("#size-cells", 1)] {
        let value = cells.to_be_bytes().to_vec();
        model.root.add_property(DeviceTreeProperty::new(name, value).unwrap());
    }
    let memory = banks(&[(0x4000_0000, 2 * GIB + 0x1000)]);
    let new = rewritten(&model.to_dtb(), &memory);
    let found = contents(&new);
    let value = |path: &str, name: &str| found[&(path.to_string(), name.to_string())].clone();
    assert_eq!(value("/chosen", "bootargs"), b" postern.log=debug\0");
    assert_eq!(value("/chosen", "rng-seed"), [7; 32]);
    // What one word cannot say is said in pieces.
    assert_eq!(value("/memory", "reg"), words(&[0x4000_0000, 1 << 31, 0xc000_0000, 0x1000]));
    let high = banks(&[(1 << 32, GIB)]);
    let mut room = vec![0; 1 << 16];
    let refused = write(&model.to_dtb(), &facts(), &high, &mut room);
    assert_eq!(refused, Err(RewriteError::Cells));
}

/// A node that names its device type twice: what EL2 would take for memory is left out.
#[test]
fn memory_is_what_the_hypervisor_takes_for_it() {
    for types in [["device_type", "device-type"], ["device-type", "device_type"]] {
        let mut model = DeviceTree::from_fdt(&Fdt::new(VIRT_GICV3).unwrap());
        let mut node = DeviceTreeNode::new("bank").unwrap();
        let mut add = |name, value: &[u8]| {
            node.add_property(DeviceTreeProperty::new(name, value.to_vec()).unwrap());
        };
        add(types[0], b"banked\0");
        add(types[1], b"memory\0");
        add("reg", &words(&[1, 0, 0, 0x1000]));
        model.root.add_child(node);
        let mut old = model.to_dtb();
        // The test's own writer takes no name twice.
        let name = old.windows(11).rposition(|bytes| bytes == b"device-type").unwrap();
        old[name + 6] = b'_';
        assert_eq!(Machine::from_tree(&old).unwrap().memory.len(), 2);
        let memory = banks(&[(0x4000_0000, GIB)]);
        let new = rewritten(&old, &memory);
        assert_eq!(Machine::from_tree(&new).unwrap().memory[..], memory[..]);
    }
}

#[test]
fn reservations_stay() {
    let mut model = DeviceTree::from_fdt(&Fdt::new(VIRT_GICV3).unwrap());
    model.memory_reservations.push(dtoolkit::memreserve::MemoryReservation::new(0x8000, 0x1000));
    let new = rewritten(&model.to_dtb(), &[]);
    let kept: Vec<_> = Tree::new(&new).unwrap().header().reservations().collect();
    assert_eq!(kept.iter().map(|r| (r.base, r.size)).collect::<Vec<_>>(), [(0x8000, 0x1000)]);
}

#[test]
fn too_little_room_is_noticed_at_every_size() {
    let memory = banks(&[(0x4000_0000, GIB)]);
    let size = rewritten(VIRT_GICV3, &memory).len();
    let mut out = vec![0; size];
    for room in (0..size).step_by(7).chain([size - 1]) {
        let result = write(VIRT_GICV3, &facts(), &memory, &mut out[..room]);
        assert_eq!(result, Err(RewriteError::NoRoom), "{room}");
    }
    assert_eq!(write(VIRT_GICV3, &facts(), &memory, &mut out), Ok(size));
}

proptest! {
    #[test]
    fn damage_is_noticed_or_harmless(at in 0..VIRT_GICV3.len() / 4, word: u32, small in 0..64_u32) {
        for word in [word, small] {
            let mut old = VIRT_GICV3.to_vec();
            old[4 * at..4 * at + 4].copy_from_slice(&word.to_be_bytes());
            let memory = banks(&[(0x4000_0000, GIB)]);
            let mut out = vec![0; room(old.len(), &facts())];
            if let Ok(size) = write(&old, &facts(), &memory, &mut out) {
                prop_assert!(Tree::new(&out[..size]).is_ok());
            }
        }
    }
}
