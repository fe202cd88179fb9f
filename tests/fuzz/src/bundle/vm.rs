//! What `hyp_abi::bundle` says of a VM, against what EL2 read.

use hyp_core::bundle::{Dialect, GicVersion, LoadImage, SmcPolicy, VmDescription};
use hyp_core::memory::IpaRange;

use crate::tree::reader::{Document, Element};

fn number(value: &[u8]) -> u64 {
    assert!(matches!(value.len(), 4 | 8), "{value:?} is no number");
    value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Pairs of two cells each.
fn pairs(value: Option<&[u8]>) -> Vec<(u64, u64)> {
    let value = value.unwrap_or_default();
    assert!(value.len().is_multiple_of(16));
    value.chunks_exact(16).map(|pair| (number(&pair[..8]), number(&pair[8..]))).collect()
}

fn names(value: Option<&[u8]>) -> Vec<&[u8]> {
    let value = value.unwrap_or_default();
    let terminated = value.iter().rposition(|byte| *byte == 0);
    terminated.map_or_else(Vec::new, |end| value[..end].split(|byte| *byte == 0).collect())
}

fn spans(ranges: &[IpaRange]) -> Vec<(u64, u64)> {
    ranges.iter().map(|range| (range.base().get(), range.size())).collect()
}

fn contains(memory: &[(u64, u64)], at: u64, len: u64) -> bool {
    memory.iter().any(|(base, size)| {
        at >= *base && u128::from(at) + u128::from(len) <= u128::from(*base) + u128::from(*size)
    })
}

/// Compares the VM of `node` with `found`.
pub(super) fn check(
    file: &[u8],
    document: &Document<'_>,
    node: &Element<'_>,
    found: &VmDescription<'_>,
    gic: GicVersion,
) {
    let images = document.root.children.iter().find(|node| node.name == b"images").unwrap();
    assert_eq!(found.name.as_bytes(), node.name);
    assert!((1..=31).contains(&found.name.len()));
    assert_eq!(found.type_word, number(node.first(b"postern,type").unwrap()));
    let dialect = match node.first(b"postern,dialect") {
        None | Some(b"pkvm\0") => Dialect::Pkvm,
        Some(b"list-2021\0") => Dialect::List2021,
        Some(other) => panic!("dialect {other:?}"),
    };
    assert_eq!(found.dialect, dialect);
    let smc = match node.first(b"postern,smc") {
        None | Some(b"serve\0") => SmcPolicy::Serve,
        Some(b"undefined\0") => SmcPolicy::Undefined,
        Some(other) => panic!("smc {other:?}"),
    };
    assert_eq!(found.smc, smc);
    let guard = node.first(b"postern,guard").map(|value| number(value) == 1);
    assert_eq!(found.guard, guard);
    assert_eq!(found.insecure_entropy, node.first(b"postern,insecure-entropy").is_some());
    let vcpus = number(node.first(b"postern,vcpus").unwrap());
    assert_eq!(found.vcpus as u64, vcpus);
    assert!((1..=8).contains(&vcpus));
    let mut memory = pairs(node.first(b"postern,memory"));
    memory.sort_unstable();
    assert_eq!(spans(&found.memory), memory);
    assert_eq!(found.memory_size(), memory.iter().map(|(_, size)| size).sum::<u64>());
    let mut below = 0x4000_0000;
    for (base, size) in &memory {
        assert!(*base >= below && *size > 0 && (base | size).is_multiple_of(0x20_0000));
        below = base.checked_add(*size).unwrap();
    }
    let entry = number(node.first(b"postern,entry").unwrap());
    assert_eq!(found.entry.get(), entry);
    assert!(entry.is_multiple_of(4) && contains(&memory, entry, 4));
    let guarded = pairs(node.first(b"postern,guarded"));
    assert_eq!(spans(&found.guarded), guarded);
    for (base, size) in &guarded {
        assert!((base | size).is_multiple_of(0x1000) && *size > 0);
        let end = base.checked_add(*size).unwrap();
        assert!(memory.iter().all(|(at, len)| end <= *at || *base >= at + len));
    }
    let loadables = names(node.first(b"loadables"));
    assert_eq!(found.images.len(), loadables.len());
    for (found, name) in found.images.iter().zip(&loadables) {
        image(file, images, found, name, &memory);
    }
    let version = match gic {
        GicVersion::V2 => 2u32,
        GicVersion::V3 => 3,
    };
    let is_for = |name: &&&[u8]| {
        let node = images.children.iter().find(|node| node.name == **name).unwrap();
        node.first(b"postern,gic") == Some(&version.to_be_bytes())
    };
    let trees = names(node.first(b"fdt"));
    let tree = trees.iter().find(is_for).expect("a tree was read that is not there");
    image(file, images, &found.tree.image, tree, &memory);
    assert_eq!(found.x0(), found.tree.image.ipa.get());
    assert!(found.x0().is_multiple_of(8));
    apart(found);
}

/// One image: its bytes in the file, its place in memory.
fn image(
    file: &[u8],
    images: &Element<'_>,
    found: &LoadImage<'_>,
    name: &[u8],
    memory: &[(u64, u64)],
) {
    assert_eq!(found.name.as_bytes(), name);
    let node = images.children.iter().find(|node| node.name == name).unwrap();
    let value = |name: &[u8]| number(node.first(name).unwrap());
    let at = usize::try_from(value(b"data-position")).unwrap();
    let len = usize::try_from(value(b"data-size")).unwrap();
    assert_eq!(found.data, &file[at..at + len]);
    assert_eq!(found.ipa.get(), value(b"load"));
    assert!(contains(memory, found.ipa.get(), len as u64));
}

/// What is loaded does not overwrite each other.
fn apart(vm: &VmDescription<'_>) {
    let images: Vec<_> = vm.images.iter().chain([&vm.tree.image]).collect();
    for (index, one) in images.iter().enumerate() {
        for other in &images[index + 1..] {
            let end = |image: &LoadImage<'_>| image.ipa.get() + image.data.len() as u64;
            let overlap = one.ipa < other.ipa.checked_add(other.data.len() as u64).unwrap()
                && other.ipa.get() < end(one);
            assert!(!overlap, "{} and {}", one.name, other.name);
        }
    }
}
