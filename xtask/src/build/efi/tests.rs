//! What was put together, as a PE reader sees it.

use object::read::pe::{ImageNtHeaders as _, PeFile64};
use object::{Object, ObjectSection, SectionKind};

use super::format::{PAGE, SECTOR};
use super::program::Program;
use super::*;

/// A hypervisor of three pages that takes `memory` bytes and has its header at `header_at`.
fn hypervisor(memory: u64, header_at: u32) -> Vec<u8> {
    let mut image: Vec<u8> = (0..3 * PAGE).map(|at| (at % 251 + 1).to_le_bytes()[0]).collect();
    image[..64].fill(0);
    image[..2].copy_from_slice(b"MZ");
    image[16..24].copy_from_slice(&memory.to_le_bytes());
    image[60..64].copy_from_slice(&header_at.to_le_bytes());
    image[64..SECTOR].fill(0);
    image
}

fn program() -> Program {
    Program { code: vec![0x5a; 5000], entry: 0x18 }
}

#[test]
fn a_pe_reader_finds_each_part_where_it_belongs() {
    let whole = hypervisor(0x20000, 64);
    let made = place(whole.clone(), &program()).unwrap();
    let file = PeFile64::parse(&*made).unwrap();
    assert_eq!(file.entry(), 0x4018);
    let header = file.nt_headers().optional_header();
    let value =
        |field: object::U32<LittleEndian>| usize::try_from(field.get(LittleEndian)).unwrap();
    assert_eq!(value(header.size_of_image), 0x20000);
    assert_eq!(value(header.size_of_headers), SECTOR);

    let sections: Vec<_> = file.sections().collect();
    let found: Vec<_> = sections
        .iter()
        .map(|section| (section.name().unwrap(), section.address(), section.size()))
        .collect();
    let expected = [
        (".postern", 0x1000, 0x2000),
        (".head", 0x3000, 0xe00),
        (".text", 0x4000, 5000),
        (".bss", 0x6000, 0x1a000),
    ];
    assert_eq!(found, expected);
    assert_eq!(sections[2].kind(), SectionKind::Text);
    assert_eq!(sections[0].data().unwrap(), &whole[PAGE..]);
    assert_eq!(sections[1].data().unwrap(), &whole[SECTOR..PAGE]);
    assert_eq!(sections[2].data().unwrap(), [0x5a; 5000]);
    // EDK2 refuses sections that reach beyond the file.
    for section in &sections {
        let header = section.pe_section();
        let (at, size) = (value(header.pointer_to_raw_data), value(header.size_of_raw_data));
        assert!(at + size <= made.len());
        assert_eq!((at % 512, size % 512), (0, 0));
    }

    // Nothing of the hypervisor but the room for the header has changed.
    assert_eq!(made[..64], whole[..64]);
    assert_eq!(made[SECTOR..3 * PAGE], whole[SECTOR..]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |image: Vec<u8>| place(image, &program()).unwrap_err().to_string();
    assert!(refused(hypervisor(0x6000, 64)).contains("ends at 0x6000"));
    assert!(refused(hypervisor(0x20010, 64)).contains("whole pages"));
    assert!(refused(hypervisor(0x20000, 300)).contains("no room"));
    let mut taken = hypervisor(0x20000, 64);
    taken[100] = 1;
    assert!(refused(taken).contains("no room"));
    assert!(attach(vec![0; 64], b"MZ").is_err());
}
