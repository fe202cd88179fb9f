//! The tree that the EFI part hands over: the firmware's with the memory and the bundle that are
//! true.

use hyp_core::addr::Pa;
use hyp_core::memory::PaRange;
use hyp_core::tree::Machine;
use hyp_efi::tree::{Facts, RewriteError, room};

use super::machine;
use super::reader::{self, Document, Element};

const BANKS: [(u64, u64); 2] = [(0x4000_0000, 0x1000_0000), (0x8000_0000, 0x20_0000)];
const BUNDLE: (u64, u64) = (0x4400_0000, 0x1_2345);
/// What the EFI part writes anew in `/chosen`.
const ANEW: [&[u8]; 4] = [b"linux,initrd-start", b"linux,initrd-end", b"bootargs", b"rng-seed"];

fn range((base, size): (u64, u64)) -> PaRange {
    PaRange::new(Pa(base), size).unwrap()
}

/// The tree in `blob`, rewritten.
pub(super) fn write(blob: &[u8]) -> Result<Vec<u8>, RewriteError> {
    let banks = BANKS.map(range);
    let facts = Facts { bundle: range(BUNDLE), words: b"postern.log=debug", seed: &[7; 32] };
    let mut new = vec![0xa5; room(blob.len(), &facts)];
    let size = hyp_efi::tree::write(blob, &facts, &banks, &mut new)?;
    new.truncate(size);
    Ok(new)
}

/// What was not to be changed is as it was, and EL2 reads what it is to know.
pub(super) fn check(blob: &[u8], old: &Document<'_>) {
    let new = match write(blob) {
        Ok(new) => new,
        Err(RewriteError::Cells) => return,
        Err(error) => panic!("a sound tree is not rewritten: {error}"),
    };
    let written = reader::read(&new).expect("the new tree is sound");
    assert_eq!(written.size, new.len());
    assert_eq!(written.reservations, old.reservations);
    let is_chosen = |node: &Element<'_>| node.name == b"chosen";
    let mut expected = old.root.children.iter();
    let mut found = written.root.children.iter().peekable();
    assert_eq!(old.root.name, written.root.name);
    assert_eq!(old.root.properties, written.root.properties);
    let is_kept = |old: &&Element<'_>| old.last(b"device_type") != Some(b"memory\0");
    let has_chosen = old.root.children.iter().filter(is_kept).any(is_chosen);
    while let Some(node) = found.next() {
        if found.peek().is_none() {
            assert_eq!(node.name, b"memory");
            break;
        }
        match expected.by_ref().find(is_kept) {
            Some(old) => unchanged(old, node, is_chosen(node)),
            // The tree had none.
            None => assert!(is_chosen(node) && !has_chosen),
        }
    }
    if let Ok(machine) = Machine::from_tree(&new) {
        machine::memory(&BANKS, &machine);
        assert_eq!(machine.initrd, Some(range(BUNDLE)));
        assert!(machine.bootargs.ends_with(" postern.log=debug"));
        assert!(machine.rng_seed.is_some_and(|seed| seed.bytes.ends_with(&[7; 32])));
    } else {
        assert!(Machine::from_tree(blob).is_err(), "EL2 reads the old tree but not the new one");
    }
}

fn unchanged(old: &Element<'_>, new: &Element<'_>, is_chosen: bool) {
    assert_eq!(old.name, new.name);
    let kept = |node: &Element<'_>| -> Vec<(Vec<u8>, Vec<u8>)> {
        let kept = node.properties.iter().filter(|(name, _)| !is_chosen || !ANEW.contains(name));
        kept.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    };
    assert_eq!(kept(old), kept(new));
    assert_eq!(old.children.len(), new.children.len());
    for (old, new) in old.children.iter().zip(&new.children) {
        unchanged(old, new, false);
    }
}
