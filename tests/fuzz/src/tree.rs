//! Device trees from firmware: `hyp-core`'s reader against one written here from the specification,
//! against `dtoolkit`, and against what the EFI part makes of the same tree.

mod efi;
mod input;
pub(crate) mod machine;
pub(crate) mod reader;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node as _, Property as _};
use hyp_core::tree::{Machine, Node, Tree, TreeError};

use crate::bytes::Bytes;
use reader::{Document, Element};

/// One input: a tree.
pub(crate) fn run(input: &[u8]) {
    let blob = input::blob(&mut Bytes::new(input));
    let ours = Tree::new(&blob);
    let document = reader::read(&blob);
    let machine = Machine::from_tree(&blob);
    let salvaged = Machine::salvage(&blob);
    assert_eq!(ours.is_ok(), document.is_some(), "{:?}", ours.err());
    let (Ok(ours), Some(document)) = (ours, document) else {
        assert!(machine.is_err(), "a machine was read from a damaged tree");
        assert!(efi::write(&blob).is_err(), "a damaged tree was rewritten");
        return;
    };
    assert_eq!(ours.bytes().len(), document.size);
    // What is called something else is the root all the same.
    same(&document.root, ours.root(), b"");
    third(&blob, &document);
    size(&blob);
    match machine {
        Ok(machine) => machine::check(&document, &machine),
        Err(TreeError::Content { .. } | TreeError::TooMany { .. }) => {
            assert!(salvaged.is_some());
        }
        Err(other) => panic!("a sound tree is called damaged: {other}"),
    }
    efi::check(&blob, &document);
}

/// Compares a node that has to be called `name`, and everything below it.
fn same(expected: &Element<'_>, found: Node<'_>, name: &[u8]) {
    assert_eq!(name, found.name());
    let properties: Vec<_> =
        found.properties().map(|property| (property.name.bytes(), property.value)).collect();
    assert_eq!(expected.properties, properties);
    for (name, _) in &expected.properties {
        assert_eq!(found.value(name), expected.first(name));
    }
    let children: Vec<_> = found.children().collect();
    assert_eq!(expected.children.len(), children.len());
    for (expected, found) in expected.children.iter().zip(children) {
        same(expected, found, expected.name);
    }
}

/// The same with what `dtoolkit` reads, if it takes the tree: it wants more of names.
fn third(blob: &[u8], document: &Document<'_>) {
    fn compare(expected: &Element<'_>, found: &FdtNode<'_>) {
        assert_eq!(expected.name, found.name().as_bytes());
        let mut properties = found.properties();
        for (name, value) in &expected.properties {
            let property = properties.next().unwrap();
            assert_eq!((*name, *value), (property.name().as_bytes(), property.value()));
        }
        assert!(properties.next().is_none());
        let mut children = found.children();
        for expected in &expected.children {
            compare(expected, &children.next().unwrap());
        }
        assert!(children.next().is_none());
    }
    if let Ok(theirs) = Fdt::new(blob) {
        compare(&document.root, &theirs.root());
    }
}

/// The one question that EL2 asks the crate `fdt`: a tree that we read ends for both at one place.
fn size(blob: &[u8]) {
    if let Ok(machine) = Machine::from_tree(blob) {
        let theirs = fdt::Fdt::new(blob).unwrap();
        assert_eq!(theirs.total_size(), machine.tree_size);
    }
}
