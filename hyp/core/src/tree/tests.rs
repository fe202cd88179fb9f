//! Damaged trees never panic, loop or pass; sound ones read as a second implementation reads them.

use super::*;
use dtoolkit::fdt::Fdt;
use dtoolkit::{Node as _, Property as _};
use proptest::prelude::*;
use std::vec::Vec;

pub(super) const VIRT_GICV2: &[u8] = include_bytes!("testdata/virt-gicv2.dtb");
pub(super) const VIRT_GICV3: &[u8] = include_bytes!("testdata/virt-gicv3.dtb");

/// Overwrites the big-endian word at `at`.
fn with_word(tree: &[u8], at: usize, word: u32) -> Vec<u8> {
    let mut tree = tree.to_vec();
    tree[at..at + 4].copy_from_slice(&word.to_be_bytes());
    tree
}

fn word(tree: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(tree[at..at + 4].try_into().unwrap())
}

/// The smallest tree: a root and nothing in it.
fn empty_tree() -> Vec<u8> {
    let words: [u32; 17] = [
        0xd00d_feed,
        68,
        56,
        68,
        40,
        17,
        16,
        0,
        0,
        12, // header
        0,
        0,
        0,
        0, // reservations
        1,
        0,
        2,
    ];
    let mut tree: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    tree.extend(9_u32.to_be_bytes());
    let total = u32::try_from(tree.len()).unwrap();
    let tree = with_word(&tree, 4, total);
    let tree = with_word(&tree, 12, total);
    with_word(&tree, 36, 16)
}

/// Everything below `node`, read by our walk, compared with what dtoolkit reads.
fn compare(ours: Node<'_>, theirs: &dtoolkit::fdt::FdtNode<'_>) -> usize {
    assert_eq!(ours.name(), theirs.name().as_bytes());
    let mine: Vec<_> =
        ours.properties().map(|p| (p.name.bytes().to_vec(), p.value.to_vec())).collect();
    let other: Vec<_> =
        theirs.properties().map(|p| (p.name().as_bytes().to_vec(), p.value().to_vec())).collect();
    assert_eq!(mine, other);
    let mine: Vec<_> = ours.children().collect();
    let other: Vec<_> = theirs.children().collect();
    assert_eq!(mine.len(), other.len());
    mine.iter().zip(&other).map(|(mine, other)| compare(*mine, other)).sum::<usize>() + 1
}

#[test]
fn every_node_and_property_reads_as_dtoolkit_reads_it() {
    for tree in [VIRT_GICV2, VIRT_GICV3] {
        let ours = Tree::new(tree).unwrap();
        let nodes = compare(ours.root(), &Fdt::new(tree).unwrap().root());
        assert!(nodes > 50, "compared only {nodes} nodes");
    }
}

/// Linux's own trees have such names, against the specification's 31 characters (2.2.1, 2.2.4.1):
/// 604 of the 1023 for arm64 in Linux 6.12.
#[test]
fn long_names_are_read() {
    let (node, property) =
        ("mcu-r5fss0-core0-dma-memory-region", "snps,quirk-frame-length-adjustment");
    let mut tree = dtoolkit::model::DeviceTree::new();
    let mut child = dtoolkit::model::DeviceTreeNode::new_unchecked(node);
    child.add_property(dtoolkit::model::DeviceTreeProperty::new_unchecked(property, *b"\x20"));
    tree.root.add_child(child);
    let blob = tree.to_dtb();
    assert!(Fdt::new(&blob).is_err());
    assert!(Machine::from_tree(&blob).is_ok());
    let found = Tree::new(&blob).unwrap().root().child(node.as_bytes()).unwrap();
    assert_eq!(found.value(property.as_bytes()), Some(&b"\x20"[..]));
}

#[test]
fn a_tree_cut_at_any_byte_is_refused() {
    for len in 0..VIRT_GICV3.len() {
        let error = Machine::from_tree(&VIRT_GICV3[..len]).unwrap_err();
        assert!(matches!(error, TreeError::TooShort { .. }), "{len} bytes: {error}");
    }
}

#[test]
fn a_tree_whose_header_also_claims_the_cut_is_refused() {
    for len in (0..VIRT_GICV3.len()).step_by(4) {
        let cut = with_word(VIRT_GICV3, 4, u32::try_from(len).unwrap());
        assert!(Machine::from_tree(&cut[..len.max(40)]).is_err(), "{len} bytes");
        // The structure block cut short, with an end put there.
        let structure = usize::try_from(word(VIRT_GICV3, 8)).unwrap();
        if len >= 4 && structure + len < usize::try_from(word(VIRT_GICV3, 12)).unwrap() - 4 {
            let cut = with_word(VIRT_GICV3, 36, u32::try_from(len).unwrap());
            let cut = with_word(&cut, structure + len - 4, 9);
            assert!(Tree::new(&cut).is_err(), "structure of {len} bytes");
        }
    }
}

#[test]
fn more_bytes_behind_the_tree_do_not_matter() {
    let mut padded = VIRT_GICV3.to_vec();
    padded.resize(0x1_0000, 0xa5);
    assert_eq!(Tree::new(&padded).unwrap().bytes(), VIRT_GICV3);
    assert_eq!(blob_size(&padded[..8]), Ok(VIRT_GICV3.len()));
}

#[test]
fn header_faults_are_named() {
    let error = |tree: Vec<u8>| Tree::new(&tree).unwrap_err();
    let tree = VIRT_GICV3;
    assert_eq!(error(with_word(tree, 0, 0x5441_0001)), TreeError::BadMagic { magic: 0x5441_0001 });
    assert_eq!(
        error(with_word(tree, 20, 16)),
        TreeError::Version { version: 16, last_compatible: 16 }
    );
    assert_eq!(
        error(with_word(tree, 24, 18)),
        TreeError::Version { version: 17, last_compatible: 18 }
    );
    for (at, block) in [(8, "structure"), (12, "strings"), (16, "memory reservation")] {
        for bad in [0, 36, u32::MAX - 7, word(tree, 4) + 8] {
            assert_eq!(error(with_word(tree, at, bad)), TreeError::Block { block }, "{bad:#x}");
        }
    }
    assert_eq!(
        error(with_word(tree, 8, word(tree, 8) + 2)),
        TreeError::Block { block: "structure" }
    );
    assert_eq!(error(with_word(tree, 36, u32::MAX)), TreeError::Block { block: "structure" });
    assert_eq!(
        error(with_word(tree, 32, word(tree, 32) - 1)),
        TreeError::Block { block: "strings" }
    );
}

#[test]
fn a_reservation_block_without_terminator_is_refused() {
    let tree = empty_tree();
    assert!(Tree::new(&tree).is_ok());
    // All that follows the block's start is not zero up to the end of the blob.
    let mut full = tree[..40].to_vec();
    full.resize(40 + 16, 0xff);
    full.extend_from_slice(&tree[56..]);
    assert_eq!(Tree::new(&full).unwrap_err(), TreeError::Block { block: "memory reservation" });
}

#[test]
fn grammar_faults_are_named() {
    let structure = 56;
    let with = |tokens: &[u32]| {
        let mut tree = empty_tree()[..structure].to_vec();
        tree.extend(tokens.iter().flat_map(|word| word.to_be_bytes()));
        let strings = u32::try_from(tree.len()).unwrap();
        tree.extend(*b"a\0");
        let tree = with_word(&tree, 4, strings + 2);
        let tree = with_word(&tree, 12, strings);
        let tree = with_word(&tree, 32, 2);
        with_word(&tree, 36, strings - 56)
    };
    let problem = |tokens: &[u32]| match Tree::new(&with(tokens)) {
        Ok(_) => "",
        Err(TreeError::Structure { problem, .. }) => problem,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(problem(&[1, 0, 2, 9]), "");
    assert_eq!(problem(&[4, 1, 0, 4, 3, 0, 0, 4, 2, 4, 9]), "");
    assert_eq!(problem(&[9]), "the tree has no root");
    assert_eq!(problem(&[1, 0, 9]), "the tree ends inside a node");
    assert_eq!(problem(&[1, 0, 2, 2, 9]), "a node ends twice");
    assert_eq!(problem(&[1, 0, 2, 1, 0, 2, 9]), "a second root begins");
    assert_eq!(problem(&[1, 0, 2, 9, 4]), "something follows the end");
    assert_eq!(problem(&[1, 0, 2]), "the structure block ends early");
    assert_eq!(problem(&[1, 0, 5, 2, 9]), "unknown token");
    assert_eq!(problem(&[1, 0x6161_6161]), "a node's name does not end");
    let outside = "a property stands outside a node or behind a child";
    assert_eq!(problem(&[3, 0, 0, 1, 0, 2, 9]), outside);
    assert_eq!(problem(&[1, 0, 1, 0, 2, 3, 0, 0, 2, 9]), outside);
    assert_eq!(problem(&[1, 0, 3]), "a property is cut short");
    let past = "a property's value runs past the structure block";
    assert_eq!(problem(&[1, 0, 3, 64, 0, 2, 9]), past);
    assert_eq!(problem(&[1, 0, 3, u32::MAX, 0, 2, 9]), past);
    let name = "a property's name lies outside the strings block";
    assert_eq!(problem(&[1, 0, 3, 0, 2, 2, 9]), name);
    assert_eq!(problem(&[1, 0, 3, 0, u32::MAX, 2, 9]), name);
    let nested = |depth: usize| {
        let mut tokens = [1, 0].repeat(depth);
        tokens.extend([2].repeat(depth));
        tokens.push(9);
        tokens
    };
    assert_eq!(problem(&nested(MAX_DEPTH)), "");
    assert_eq!(problem(&nested(MAX_DEPTH + 1)), "nodes nest too deep");
}

#[test]
fn paths_find_nodes_with_and_without_unit_address() {
    let tree = Tree::new(VIRT_GICV3).unwrap();
    let uart = tree.find(b"/pl011@9000000").unwrap();
    assert_eq!(tree.find(b"/pl011").unwrap().id(), uart.id());
    assert_eq!(tree.find(b"/cpus/cpu@3").unwrap().value(b"reg"), Some(&[0, 0, 0, 3][..]));
    assert!(tree.find(b"/pl01").is_none());
    assert!(tree.find(b"/pl011@900000").is_none());
    assert!(tree.find(b"pl011").is_none());
    assert!(tree.find(b"/cpus/cpu@3/none").is_none());
    assert_eq!(tree.find(b"/").unwrap().id(), tree.root().id());
}

#[test]
fn strings_and_cells_stop_at_what_is_cut_off() {
    let strings: Vec<_> = Strings(b"a\0\0bc\0rest").collect();
    assert_eq!(strings, [&b"a"[..], b"", b"bc"]);
    assert_eq!(string(b"text\0"), Some(&b"text"[..]));
    assert_eq!((string(b"text"), string(b""), string(b"a\0b\0")), (None, None, None));
    assert_eq!(cells(&[0, 0, 0, 1, 0, 0, 1, 0, 9]).collect::<Vec<_>>(), [1, 256]);
    let mut rest = Cells(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
    assert_eq!((rest.take(2), rest.take(3), rest.take(0)), (Some(0x1_0000_0002), None, Some(0)));
    assert_eq!((rest.take(1), rest.is_empty(), rest.take(1)), (Some(3), true, None));
}

proptest! {
    /// Whatever is overwritten, the reader ends without a panic, and what it accepts can be walked.
    #[test]
    fn damage_never_panics(
        gicv3: bool,
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        words in prop::collection::vec((any::<prop::sample::Index>(), damaging_word()), 0..4),
    ) {
        let mut tree = if gicv3 { VIRT_GICV3 } else { VIRT_GICV2 }.to_vec();
        for (at, byte) in hits {
            let at = at.index(tree.len());
            tree[at] = byte;
        }
        for (at, word) in words {
            let at = at.index(tree.len() / 4) * 4;
            tree[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        let machine = Machine::from_tree(&tree).is_ok();
        let _whatever = Machine::salvage(&tree);
        match Tree::new(&tree) {
            Ok(tree) => {
                prop_assert!(tree.root().children().count() < 1000);
                // EL2's only question to `fdt`.
                let other = fdt::Fdt::new(tree.bytes()).unwrap();
                prop_assert_eq!(other.total_size(), tree.bytes().len());
                let _console = tree.find(b"/chosen").and_then(|node| node.value(b"stdout-path"));
            }
            Err(_) => prop_assert!(!machine, "read a machine from a damaged tree"),
        }
    }

    /// Bytes that are no tree at all behind a plausible header.
    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..256)) {
        let mut tree = empty_tree();
        tree.extend(noise);
        let total = u32::try_from(tree.len()).unwrap();
        let tree = with_word(&tree, 4, total);
        let tree = with_word(&tree, 36, total - 56);
        let _whatever = Machine::from_tree(&tree);
    }
}

/// Words that mean something in a tree.
fn damaging_word() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(1_u32),
        Just(2),
        Just(3),
        Just(4),
        Just(9),
        Just(0),
        Just(u32::MAX),
        0_u32..0x3000,
        any::<u32>(),
    ]
}
