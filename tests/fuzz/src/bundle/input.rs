//! What bytes mean as a bundle, or as a program: one that is sound, with changes.

use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use hyp_core::bundle::crc32;
use hyp_core::tree::Tree;

use crate::bytes::Bytes;

/// Where the data of images begins.
const DATA_AT: usize = 0x1000;

/// The properties of a VM, in the order in which an input names them, with what they are in a sound
/// bundle.
const VM: [(&str, &[u8]); 11] = [
    ("postern,type", &[0, 0, 0, 0, 0x80, 0, 0, 0]),
    ("postern,vcpus", &[0, 0, 0, 2]),
    ("postern,memory", &[0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0]),
    ("postern,entry", &[0, 0, 0, 0, 0x40, 0x20, 0, 0]),
    ("loadables", b"kernel\0initrd\0"),
    ("fdt", b"tree-2\0tree-3\0"),
    ("postern,dialect", b"pkvm\0"),
    ("postern,guard", &[0, 0, 0, 1]),
    ("postern,guarded", &[0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0]),
    ("postern,smc", b"serve\0"),
    ("postern,insecure-entropy", b""),
];

/// Images: name, load address, data.
const IMAGES: [(&str, u64, usize, usize); 4] = [
    ("kernel", 0x4020_0000, 0, 64),
    ("initrd", 0x4030_0000, 64, 32),
    ("tree-2", 0x4038_0000, 128, 64),
    ("tree-3", 0x4038_0000, 192, 64),
];

/// Values that are text.
const TEXTS: [&[u8]; 10] = [
    b"pkvm\0",
    b"list-2021\0",
    b"serve\0",
    b"undefined\0",
    b"kernel\0",
    b"initrd\0kernel\0",
    b"tree-3\0",
    b"tree-2\0tree-3\0",
    b"nowhere\0",
    b"kernel\0kernel\0",
];

/// Addresses and sizes that mean something.
const NUMBERS: [u64; 14] = [
    0,
    1,
    4,
    0x1000,
    0x20_0000,
    0x40_0000,
    0x900_0000,
    0x4000_0000,
    0x4020_0000,
    0x403f_fff8,
    0x8000_0000,
    0xffff_f000,
    0xffff_ffff_ffe0_0000,
    u64::MAX,
];

fn add(node: &mut DeviceTreeNode, name: &str, value: &[u8]) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

fn number(bytes: &mut Bytes<'_>) -> u64 {
    let number = bytes.choose(&NUMBERS);
    number.wrapping_add(u64::from(bytes.u8()).wrapping_mul(0x10_0000))
}

fn value(bytes: &mut Bytes<'_>) -> Vec<u8> {
    match bytes.u8() {
        form @ 0..=0x5f => TEXTS[usize::from(form) % TEXTS.len()].to_vec(),
        form @ 0x60..=0x9f => (0..form & 7).flat_map(|_| number(bytes).to_be_bytes()).collect(),
        form @ 0xa0..=0xbf => u32::from(form & 0x1f).to_be_bytes().to_vec(),
        form @ 0xc0..=0xcf => {
            (0..form & 15).flat_map(|_| u32::from(bytes.u8()).to_be_bytes()).collect()
        }
        form => bytes.take(usize::from(form & 31)).to_vec(),
    }
}

/// A bundle whose checksums are all zero.
pub(super) fn bundle(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut data: Vec<u8> = (0..=255).collect();
    // What stands before the values of the trees' two properties.
    for (at, len) in [(128 + 4, 8u32), (128 + 20, 16), (192 + 4, 8), (192 + 20, 32)] {
        data[at..at + 4].copy_from_slice(&3u32.to_be_bytes());
        data[at + 4..at + 8].copy_from_slice(&len.to_be_bytes());
    }
    let mut vms = vec![(0, Vec::from(VM.map(|(name, value)| (name, value.to_vec()))))];
    let mut images = IMAGES.map(|(name, load, at, len)| image(name, load, at, len));
    let count = bytes.below(12);
    for _ in 0..count {
        match bytes.u8() {
            0..=0x7f => {
                let property = bytes.below(VM.len());
                let vm = bytes.below(vms.len());
                vms[vm].1[property].1 = value(bytes);
            }
            0x80..=0x9f => {
                let property = bytes.below(VM.len());
                let vm = bytes.below(vms.len());
                vms[vm].1[property].0 = "removed";
            }
            0xa0..=0xaf if vms.len() < 10 => {
                let copy = vms[bytes.below(vms.len())].1.clone();
                vms.push((vms.len(), copy));
            }
            0xb0..=0xcf => {
                let (at, value) = (bytes.below(data.len()), bytes.u8());
                data[at] = value;
            }
            _ => {
                let node = &mut images[bytes.below(IMAGES.len())];
                let names = ["load", "data-position", "data-size", "postern,gic", "postern,seeds"];
                add(node, bytes.choose(&names), &value(bytes));
            }
        }
    }
    let mut tree = DeviceTree::new();
    add(&mut tree.root, "postern,version", &1u32.to_be_bytes());
    add(&mut tree.root, "postern,crc32", &[0; 4]);
    let mut list = DeviceTreeNode::new_unchecked("images");
    images.into_iter().for_each(|image| list.add_child(image));
    tree.root.add_child(list);
    let mut list = DeviceTreeNode::new_unchecked("configurations");
    for (index, vm) in vms {
        let mut node = DeviceTreeNode::new_unchecked(format!("vm{index}"));
        for (name, value) in vm {
            add(&mut node, name, &value);
        }
        list.add_child(node);
    }
    tree.root.add_child(list);
    let mut file = tree.to_dtb();
    // Now and then the data lies inside the tree, or behind the end.
    file.resize(file.len().max(DATA_AT), 0);
    file.truncate(DATA_AT.max(file.len()));
    file.extend(data);
    damage(&mut file, bytes);
    file
}

fn image(name: &str, load: u64, at: usize, len: usize) -> DeviceTreeNode {
    let mut hash = DeviceTreeNode::new_unchecked("hash-1");
    add(&mut hash, "algo", b"crc32\0");
    add(&mut hash, "value", &[0; 4]);
    let mut node = DeviceTreeNode::new_unchecked(name);
    let cell = |value: usize| u32::try_from(value).unwrap().to_be_bytes();
    add(&mut node, "load", &load.to_be_bytes());
    add(&mut node, "data-position", &cell(DATA_AT + at));
    add(&mut node, "data-size", &cell(len));
    if let Some(version) = name.strip_prefix("tree-") {
        let version = version.parse().unwrap();
        add(&mut node, "postern,gic", &cell(version));
        let seeds = [16, 8, 32, version * 16 - 16];
        add(&mut node, "postern,seeds", &seeds.map(cell).concat());
    }
    node.add_child(hash);
    node
}

/// Overwrites bytes wherever the rest of the input says.
fn damage(file: &mut Vec<u8>, bytes: &mut Bytes<'_>) {
    while !bytes.is_empty() && !file.is_empty() {
        let at = usize::from(bytes.u16());
        match bytes.u8() {
            0xff => file.truncate(at),
            value => {
                if let Some(byte) = file.get_mut(at) {
                    *byte = value;
                }
            }
        }
    }
}

/// The same bundle with the checksums that belong to it, as far as it has places for them.
pub(super) fn sealed(file: &[u8]) -> Vec<u8> {
    let mut sealed = file.to_vec();
    let Ok(tree) = Tree::new(file) else { return sealed };
    let number = |value: Option<&[u8]>| {
        value.and_then(|value| Some(u32::from_be_bytes(value.try_into().ok()?) as usize))
    };
    let mut put = |at: usize, checksum: u32| {
        if let Some(place) = sealed.get_mut(at..at + 4) {
            place.copy_from_slice(&checksum.to_be_bytes());
        }
    };
    for image in tree.find(b"/images").iter().flat_map(|images| images.children()) {
        let place = image.child(b"hash-1").and_then(|hash| hash.property(b"value"));
        let (at, len) = (number(image.value(b"data-position")), number(image.value(b"data-size")));
        if let (Some(place), Some(at), Some(len)) = (place, at, len) {
            put(place.at, super::slow_crc32(file.get(at..at + len).unwrap_or_default()));
        }
    }
    let Some(place) = tree.root().property(b"postern,crc32").map(|property| property.at) else {
        return sealed;
    };
    if let Some(field) = sealed.get_mut(place..place + 4) {
        field.fill(0);
        let checksum = crc32::update(0, &sealed[..tree.bytes().len().min(sealed.len())]);
        sealed[place..place + 4].copy_from_slice(&checksum.to_be_bytes());
    }
    sealed
}

/// A program: an ELF file or an `Image`, with changes.
pub(super) fn program(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut file = match bytes.u8() & 3 {
        0 => elf(bytes),
        1 => kernel(bytes),
        2 => zboot(bytes),
        _ => {
            let mut file = kernel(bytes);
            file.splice(..2, *b"MZ");
            file[60..64].copy_from_slice(&64u32.to_le_bytes());
            file[64..68].copy_from_slice(b"PE\0\0");
            file[70] = bytes.u8() & 3;
            file[84] = bytes.u8() & 7;
            file
        }
    };
    damage(&mut file, bytes);
    file
}

/// "EI_CLASS 64-bit, little-endian", an executable for AArch64 with up to three segments.
fn elf(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let count = bytes.u8() & 3;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0".to_vec();
    let entry = number(bytes);
    for word in [entry, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    // e_flags, e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, count, 0, 64, 0, 0, 0, 0, 0]);
    for _ in 0..count {
        file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
        let (at, load) = (number(bytes), number(bytes));
        let size = u64::from(bytes.u16());
        let zeroed = u64::from(bytes.u16());
        for word in [at & 0xfff, load, number(bytes), size & 0xfff, zeroed, 0x1000] {
            file.extend(word.to_le_bytes());
        }
    }
    file.resize(0x400, 0x55);
    file
}

/// The header of an `Image` and some code.
fn kernel(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut file = vec![0x1f; 8];
    for _ in 0..3 {
        file.extend(number(bytes).to_le_bytes());
    }
    file.extend([0; 24]);
    file.extend(b"ARM\x64\0\0\0\0");
    file.resize(0x100, 0x1f);
    file
}

/// An EFI zboot file, or packed data by itself.
fn zboot(bytes: &mut Bytes<'_>) -> Vec<u8> {
    // An empty deflate stream and a stored one.
    let packed: &[u8] = if bytes.u8() & 1 == 0 {
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"
    } else {
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\x04\0\xfb\xff\x1f\x20\x03\xd5"
    };
    if bytes.u8() & 1 == 0 {
        return packed.to_vec();
    }
    let mut file = b"MZ\0\0zimg".to_vec();
    file.extend(64u32.to_le_bytes());
    file.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
    file.extend([0; 8]);
    file.extend(b"gzip");
    file.resize(64, 0);
    file.extend(packed);
    file
}
