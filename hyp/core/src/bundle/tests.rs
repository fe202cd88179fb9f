//! Bundles assembled here with another tree writer: what is wrong is named, damage never panics.

use super::*;
use crate::addr::Ipa;
use crate::memory::IpaRange;
use crate::tree::Tree;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;

fn property(node: &mut DeviceTreeNode, name: &str, value: &[u8]) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

fn cells(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

const DATA_AT: usize = 0x1000;

/// An image node of `len` bytes whose data begins `at` bytes behind [`DATA_AT`].
fn image(name: &str, load: u64, at: usize, len: usize, data: &[u8]) -> DeviceTreeNode {
    let mut hash = DeviceTreeNode::new_unchecked("hash-1");
    property(&mut hash, "algo", b"crc32\0");
    let checksum = crc32::update(0, &data[at..at + len]);
    property(&mut hash, "value", &checksum.to_be_bytes());
    let mut node = DeviceTreeNode::new_unchecked(name);
    property(&mut node, "load", &load.to_be_bytes());
    let position = u32::try_from(DATA_AT + at).unwrap();
    property(&mut node, "data-position", &position.to_be_bytes());
    property(&mut node, "data-size", &u32::try_from(len).unwrap().to_be_bytes());
    node.add_child(hash);
    node
}

/// The properties of a sound VM.
fn sound() -> Vec<(&'static str, Vec<u8>)> {
    std::vec![
        ("loadables", b"kernel\0initrd\0".to_vec()),
        ("fdt", b"tree-2\0tree-3\0".to_vec()),
        ("postern,type", numbers(&[0x8000_0028])),
        ("postern,dialect", b"pkvm\0".to_vec()),
        ("postern,vcpus", cells(&[2])),
        ("postern,memory", numbers(&[0x8000_0000, 0x20_0000, 0x4000_0000, 0x40_0000])),
        ("postern,entry", numbers(&[0x4020_0040])),
    ]
}

/// A bundle whose one VM has these properties.
fn bundle(vm: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut data: Vec<u8> = (0_u32..256).map(|at| u8::try_from(at).unwrap() ^ 0x5a).collect();
    // What stands before the values of the trees' two properties.
    for (at, len) in [(128 + 4, 8), (128 + 20, 16), (192 + 4, 8), (192 + 20, 32)] {
        data[at..at + 8].copy_from_slice(&cells(&[3, len]));
    }
    let mut images = DeviceTreeNode::new_unchecked("images");
    images.add_child(image("kernel", 0x4020_0000, 0, 100, &data));
    images.add_child(image("initrd", 0x8000_0000, 100, 28, &data));
    images.add_child(image("outside", 0x5000_0000, 0, 1, &data));
    images.add_child(image("clash", 0x4020_0063, 0, 1, &data));
    for (name, gic, at) in [("tree-2", 2, 128), ("tree-3", 3, 192)] {
        let mut tree = image(name, 0x4030_0000, at, 64, &data);
        property(&mut tree, "postern,gic", &cells(&[gic]));
        property(&mut tree, "postern,seeds", &cells(&[16, 8, 32, gic * 16 - 16]));
        images.add_child(tree);
    }
    let mut node = DeviceTreeNode::new_unchecked("guest");
    vm.iter().for_each(|(name, value)| property(&mut node, name, value));
    let mut configurations = DeviceTreeNode::new_unchecked("configurations");
    configurations.add_child(node);
    let mut tree = DeviceTree::new();
    property(&mut tree.root, "postern,version", &cells(&[1]));
    property(&mut tree.root, "postern,crc32", &cells(&[0]));
    tree.root.add_child(images);
    tree.root.add_child(configurations);
    let mut file = tree.to_dtb();
    seal(&mut file);
    assert!(file.len() <= DATA_AT);
    file.resize(DATA_AT, 0);
    file.extend(data);
    file
}

/// Computes the tree's checksum anew.
fn seal(file: &mut [u8]) {
    let tree = Tree::new(file).unwrap();
    let (at, len) = (tree.root().property(b"postern,crc32").unwrap().at, tree.bytes().len());
    file[at..at + 4].fill(0);
    let checksum = crc32::update(0, &file[..len]);
    file[at..at + 4].copy_from_slice(&checksum.to_be_bytes());
}

fn read(file: &[u8], gic: GicVersion) -> Result<VmDescription<'_>, BundleError> {
    Bundle::open(file, crc32::update)?.vm(0, gic)
}

/// The message for a VM in which `change` replaces or adds one property.
fn refusal(name: &'static str, value: &[u8]) -> String {
    let mut vm = sound();
    vm.retain(|(have, _)| *have != name);
    vm.push((name, value.to_vec()));
    read(&bundle(&vm), GicVersion::V3).unwrap_err().to_string()
}

#[test]
fn a_sound_bundle_reads_with_its_defaults() {
    let file = bundle(&sound());
    let vm = read(&file, GicVersion::V3).unwrap();
    assert_eq!((vm.name, vm.type_word, vm.vcpus), ("guest", 0x8000_0028, 2));
    assert_eq!((vm.dialect, vm.guard, vm.smc), (Dialect::Pkvm, None, SmcPolicy::Serve));
    let range = |base, size| IpaRange::new(Ipa(base), size).unwrap();
    assert_eq!(vm.memory[..], [range(0x4000_0000, 0x40_0000), range(0x8000_0000, 0x20_0000)]);
    assert_eq!(vm.memory_size(), 0x60_0000);
    assert_eq!(vm.images[0].data, &file[DATA_AT..DATA_AT + 100]);
    assert_eq!(vm.images[1].ipa, Ipa(0x8000_0000));
    assert_eq!(vm.tree.image.data, &file[DATA_AT + 192..DATA_AT + 256]);
    assert_eq!(vm.tree.seeds[..], [SeedField { at: 16, len: 8 }, SeedField { at: 32, len: 32 }]);
    assert_eq!((vm.entry, vm.x0()), (Ipa(0x4020_0040), 0x4030_0000));
    assert!(vm.guarded.is_empty() && !vm.insecure_entropy);
    let other = read(&file, GicVersion::V2).unwrap();
    assert_eq!(other.tree.image.name, "tree-2");
}

#[test]
fn impossible_descriptions_are_named() {
    for (name, value, expected) in [
        ("loadables", &b""[..], "names no image"),
        ("loadables", b"kernel\0nothing\0", "no image nothing"),
        ("loadables", b"kernel\0outside\0", "image outside (IPA 0x50000000) lies outside"),
        ("loadables", b"kernel\0clash\0", "image clash (IPA 0x40200063) overlaps"),
        ("loadables", b"kernel\0kernel\0", "overlaps"),
        ("loadables", &b"kernel\0".repeat(9), "too many images"),
        ("fdt", b"tree-2\0", "no device tree for a GICv3"),
        ("fdt", b"tree\0", "no image tree"),
        ("postern,type", b"", "postern,type"),
        ("postern,dialect", b"pkvm", "postern,dialect"),
        ("postern,dialect", b"other\0", "postern,dialect"),
        ("postern,smc", b"forward\0", "postern,smc"),
        ("postern,guard", &cells(&[2]), "postern,guard"),
        ("postern,vcpus", &cells(&[0]), "postern,vcpus"),
        ("postern,vcpus", &cells(&[9]), "postern,vcpus"),
        ("postern,memory", b"", "lists no memory"),
        ("postern,memory", &numbers(&[0x4000_0000]), "misaligned"),
        ("postern,memory", &numbers(&[0x4000_0000, 0x10_0000]), "misaligned"),
        ("postern,memory", &numbers(&[0x4000_0000, 0]), "empty"),
        ("postern,memory", &numbers(&[u64::MAX - 0x1f_ffff, 0x20_0000]), "wraps"),
        ("postern,memory", &numbers(&[0x3fe0_0000, 0x40_0000]), "devices below"),
        ("postern,memory", &numbers(&[0x4000_0000, 0x40_0000, 0x4020_0000, 0x20_0000]), "itself"),
        ("postern,memory", &numbers(&[1 << 30, 1 << 21].repeat(5)), "too many"),
        ("postern,entry", &numbers(&[0x4020_0042]), "instruction"),
        ("postern,entry", &numbers(&[0x4040_0000]), "instruction"),
        ("postern,guarded", &numbers(&[0x4000_0000, 0x1000]), "cannot be guarded"),
        ("postern,guarded", &numbers(&[0x0900_0800, 0x1000]), "misaligned"),
    ] {
        let text = refusal(name, value);
        assert!(text.contains("guest") && text.contains(expected), "{name} {value:?}: {text}");
    }
}

#[test]
fn a_seed_that_is_no_property_is_refused() {
    let good = bundle(&sound());
    let at = {
        let tree = Tree::new(&good).unwrap();
        tree.find(b"/images/tree-3").unwrap().property(b"postern,seeds").unwrap().at
    };
    for (field, len) in [(60, 8), (12, 8), (16, 4), (18, 8), (0, 8), (u32::MAX, 8), (16, u32::MAX)]
    {
        let mut file = good.clone();
        file[at..at + 8].copy_from_slice(&cells(&[field, len]));
        seal(&mut file);
        let error = read(&file, GicVersion::V3).unwrap_err().to_string();
        assert!(error.contains("names no property"), "{field}: {error}");
        assert!(read(&file, GicVersion::V2).is_ok());
    }
}

/// Taken out it would reach up to three bytes behind the tree.
#[test]
fn a_seed_without_its_padding_is_refused() {
    let mut tree = std::vec![0; 63];
    tree[20..28].copy_from_slice(&cells(&[3, 31]));
    let field = SeedField { at: 32, len: 31 };
    assert!(!field.is_property(&tree));
    tree.push(0);
    assert!(field.is_property(&tree));
    assert!(field.removal().all(|(at, word)| at + word.len() <= tree.len()));
}

#[test]
fn an_erased_seed_is_no_longer_in_the_tree() {
    let mut tree = include_bytes!("../tree/testdata/virt-gicv3.dtb").to_vec();
    let names = |tree: &[u8]| {
        let chosen = Tree::new(tree).unwrap().find(b"/chosen").unwrap();
        chosen.properties().map(|property| property.name.bytes().to_vec()).collect::<Vec<_>>()
    };
    let before = names(&tree);
    let at = |name| Tree::new(&tree).unwrap().find(b"/chosen").unwrap().property(name).unwrap().at;
    let field = SeedField { at: at(b"rng-seed"), len: 32 };
    assert!(field.is_property(&tree) && !SeedField { at: field.at, len: 31 }.is_property(&tree));
    let removal: Vec<_> = field.removal().collect();
    for (at, word) in removal {
        tree[at..at + 4].copy_from_slice(&word);
    }
    let expected: Vec<_> = before.into_iter().filter(|name| name != b"rng-seed").collect();
    assert_eq!((names(&tree), expected.len()), (expected, 2));
    // A value that is no whole number of words has its filling taken out too.
    let odd = SeedField { at: 24, len: 5 };
    assert_eq!(odd.removal().map(|(at, _)| at).collect::<Vec<_>>(), [12, 16, 20, 24, 28]);
}

#[test]
fn a_seed_is_filled_in_pieces_that_cover_it_once() {
    for len in [1, 8, 63, 64, 65, 200] {
        let field = SeedField { at: 20, len };
        let mut next = 20;
        for (at, bytes) in field.pieces(64) {
            assert!(at == next && (1..=64).contains(&bytes), "{len}: {at} {bytes}");
            next = at + bytes;
        }
        assert_eq!(next, 20 + len);
    }
    assert_eq!(SeedField { at: 20, len: 0 }.pieces(64).count(), 0);
}

#[test]
fn damage_names_what_is_damaged() {
    let good = bundle(&sound());
    let error = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        read(&bad, GicVersion::V3).unwrap_err()
    };
    let in_name = good.windows(5).position(|bytes| bytes == b"guest").unwrap();
    assert!(matches!(error(in_name), BundleError::TreeChecksum { .. }));
    assert!(matches!(error(DATA_AT), BundleError::ImageChecksum { .. }));
    assert!(error(DATA_AT + 100).to_string().contains("image initrd"));
    assert!(matches!(error(0), BundleError::Tree(_)));
    let cut = read(&good[..good.len() - 1], GicVersion::V3).unwrap_err();
    assert!(cut.to_string().contains("cut short inside the data of image tree-3"), "{cut}");
    let other = crate::tree::Tree::new(include_bytes!("../tree/testdata/virt-gicv3.dtb")).unwrap();
    assert_eq!(read(other.bytes(), GicVersion::V3).unwrap_err(), BundleError::Version);
    assert!(matches!(read(b"", GicVersion::V3).unwrap_err(), BundleError::Tree(_)));
}

proptest! {
    /// Damage that knows how to mend the checksum still meets no panic, and what is accepted keeps
    /// the promises of [`VmDescription`].
    #[test]
    fn sealed_damage_never_panics(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        gicv3: bool,
    ) {
        let mut file = bundle(&sound());
        let len = Tree::new(&file).unwrap().bytes().len();
        for (at, byte) in hits {
            file[56 + at.index(len - 56)] = byte;
        }
        let sealable = Tree::new(&file)
            .is_ok_and(|tree| tree.root().value(b"postern,crc32").is_some_and(|v| v.len() == 4));
        if sealable {
            seal(&mut file);
        }
        let gic = if gicv3 { GicVersion::V3 } else { GicVersion::V2 };
        if let Ok(vm) = read(&file, gic) {
            let inside = |ipa: Ipa, len: usize| {
                let range = IpaRange::new(ipa, u64::try_from(len).unwrap()).unwrap();
                vm.memory.iter().any(|memory| memory.covers(range))
            };
            prop_assert!(vm.images.iter().all(|image| inside(image.ipa, image.data.len())));
            prop_assert!(inside(vm.tree.image.ipa, vm.tree.image.data.len()));
            prop_assert!(inside(vm.entry, 4) && (1..=8).contains(&vm.vcpus));
            let len = vm.tree.image.data.len();
            prop_assert!(vm.tree.seeds.iter().all(|seed| seed.at + seed.len <= len));
        }
    }
}
