//! Bundles as EL2 reads them, and the kernels and programs that go into them.

mod input;
mod payload;
mod vm;

use hyp_core::bundle::{Bundle, Crc32, GicVersion, crc32};
use hyp_core::tree::Tree;

use crate::bytes::Bytes;
use crate::tree::reader;

/// A checksum that is always right where nobody wrote one, so that what lies behind it is reached.
fn no_checksum(_: u32, _: &[u8]) -> u32 {
    0
}

/// CRC-32 as in ISO 3309, bit by bit.
fn slow_crc32(data: &[u8]) -> u32 {
    let mut rest = u32::MAX;
    for byte in data {
        rest ^= u32::from(*byte);
        for _ in 0..8 {
            rest = if rest & 1 == 0 { rest >> 1 } else { rest >> 1 ^ 0xedb8_8320 };
        }
    }
    !rest
}

/// One input: a bundle, or a file that is to go into one.
pub(crate) fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    match bytes.u8() {
        0 => payload::check(bytes.rest().to_vec()),
        1 => payload::check(input::program(&mut bytes)),
        2 => checksum(bytes.rest()),
        3 => check(bytes.rest(), crc32::update),
        form => {
            let file = input::bundle(&mut bytes);
            check(&file, no_checksum);
            if form & 1 != 0 {
                check(&input::sealed(&file), crc32::update);
            }
        }
    }
}

/// In one piece and in two.
fn checksum(data: &[u8]) {
    let expected = slow_crc32(data);
    assert_eq!(crc32::update(0, data), expected);
    let (first, second) = data.split_at(data.len() / 3);
    assert_eq!(crc32::update(crc32::update(0, first), second), expected);
}

fn check(file: &[u8], crc: Crc32) {
    let Ok(bundle) = Bundle::open(file, crc) else { return };
    let document = reader::read(file).expect("EL2 takes a damaged tree");
    assert_eq!(bundle.tree_size(), document.size);
    let list = document.root.children.iter().find(|node| node.name == b"configurations");
    let list = list.expect("EL2 reads what is not there");
    assert_eq!(bundle.len(), list.children.len());
    assert!(bundle.vm(bundle.len(), GicVersion::V3).is_err());
    for (index, node) in list.children.iter().enumerate() {
        for gic in [GicVersion::V2, GicVersion::V3] {
            if let Ok(found) = bundle.vm(index, gic) {
                vm::check(file, &document, node, &found, gic);
                seeds(&found);
            }
        }
    }
}

/// Without a source of entropy the fields for it are taken out of the VM's tree.
fn seeds(vm: &hyp_core::bundle::VmDescription<'_>) {
    let before = vm.tree.image.data;
    let mut tree = before.to_vec();
    for field in &vm.tree.seeds {
        assert!(field.at + field.len <= tree.len(), "{field:?} is not in the tree");
        for (at, word) in field.removal() {
            // What is behind the tree in the VM's memory is not the tree's.
            tree[at..at + 4].copy_from_slice(&word);
        }
    }
    let is_apart = |at: usize| {
        vm.tree.seeds.iter().all(|seed| at + 12 < seed.at || at >= (seed.at + seed.len + 3) & !3)
    };
    for (at, (before, after)) in before.iter().zip(&tree).enumerate() {
        assert!(before == after || !is_apart(at), "byte {at} is no seed's and changed");
    }
    // A field is what it claims to be only in a tree that is one.
    let _whatever = Tree::new(&tree);
}
