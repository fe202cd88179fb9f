use object::SectionIndex;

use super::strings::{Owner, move_boots};

/// A section: type, flags, link, info, bytes of an entry, contents.
type Section = (u32, u64, u32, u32, u64, Vec<u8>);

/// An object of `sections` behind the empty one, made by hand from the ELF-64 object file format.
fn object(sections: &[Section]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    let mut headers = vec![0; 64];
    for (kind, flags, link, info, entry, contents) in sections {
        headers.extend(0_u32.to_le_bytes());
        headers.extend(kind.to_le_bytes());
        for word in [*flags, 0, file.len() as u64, contents.len() as u64] {
            headers.extend(word.to_le_bytes());
        }
        headers.extend([link.to_le_bytes(), info.to_le_bytes()].concat());
        headers.extend([1_u64.to_le_bytes(), entry.to_le_bytes()].concat());
        file.extend(contents);
        file.resize(file.len().next_multiple_of(8), 0);
    }
    // Type, machine; where the headers are; their size and number, and which of them has names.
    file[16..20].copy_from_slice(&[1, 0, 183, 0]);
    let at = file.len() as u64;
    file[40..48].copy_from_slice(&at.to_le_bytes());
    let number = u8::try_from(sections.len() + 1).unwrap();
    file[58..64].copy_from_slice(&[64, 0, number, 0, number - 1, 0]);
    file.extend(headers);
    file
}

fn symbol(section: u8, value: u64) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 3, 0, section, 0];
    bytes.extend([value.to_le_bytes(), 0_u64.to_le_bytes()].concat());
    bytes
}

/// Relocations of type 275 by (symbol, addend).
fn relocations(all: &[(u64, u64)]) -> Vec<u8> {
    let words = all.iter().flat_map(|(symbol, addend)| [0, symbol << 32 | 275, *addend]);
    words.flat_map(u64::to_le_bytes).collect()
}

const TEXTS: usize = 3;
const HOST: usize = 4;
const RESIDENTS: usize = 5;
const BOOTS: usize = 6;

fn parts() -> Vec<Section> {
    let symbols = [symbol(0, 0), symbol(3, 0), symbol(4, 2)].concat();
    vec![
        (1, 6, 0, 0, 0, vec![0; 4]), // 1: code that stays
        (1, 6, 0, 0, 0, vec![0; 4]), // 2: boot's code
        (1, 0x32, 0, 0, 1, b"stays\0both\0boot's\0".to_vec()),
        (1, 2, 0, 0, 0, b"host".to_vec()),
        (4, 0, 7, 1, 24, relocations(&[(1, 0), (1, 6)])),
        (4, 0, 7, 2, 24, relocations(&[(1, 6), (1, 11), (1, 13)])),
        (2, 0, 8, 3, 24, symbols), // 7
        (3, 0, 0, 0, 0, vec![0]),  // 8: names
    ]
}

fn owner(index: SectionIndex) -> Owner {
    match index.0 {
        1 | TEXTS => Owner::Resident,
        2 | HOST => Owner::Boot,
        _ => Owner::Nobody,
    }
}

/// Contents of section `index`.
fn contents(object: &[u8], index: usize) -> Vec<u8> {
    let word = |at: usize| {
        usize::try_from(u64::from_le_bytes(object[at..at + 8].try_into().unwrap())).unwrap()
    };
    let header = word(40) + 64 * index;
    let (at, size) = (word(header + 24), word(header + 32));
    object[at..at + size].to_vec()
}

#[test]
fn texts_of_boot_alone_move_behind_a_constant_of_boots() {
    let mut object = object(&parts());
    move_boots(&mut object, owner).unwrap();
    assert_eq!(contents(&object, HOST), b"hostboot's\0");
    assert_eq!(contents(&object, RESIDENTS), relocations(&[(1, 0), (1, 6)]));
    // The symbol in the host has the value 2.
    assert_eq!(contents(&object, BOOTS), relocations(&[(1, 6), (2, 2), (2, 4)]));
    assert_eq!(contents(&object, TEXTS), b"stays\0both\0boot's\0");
}

#[test]
fn without_texts_or_a_place_for_them_nothing_changes() {
    let whole = object(&parts());
    let mut same = whole.clone();
    move_boots(&mut same, |_| Owner::Resident).unwrap();
    assert!(same == whole);
    let mut none = parts();
    none[TEXTS - 1].1 = 2;
    let whole = object(&none);
    let mut same = whole.clone();
    move_boots(&mut same, owner).unwrap();
    assert!(same == whole);
}

#[test]
fn a_damaged_object_is_refused() {
    assert!(move_boots(&mut b"\x7fELF".to_vec(), owner).is_err());
    let mut outside = parts();
    outside[BOOTS - 1].5 = relocations(&[(1, 99)]);
    assert!(move_boots(&mut object(&outside), owner).is_err());
}
