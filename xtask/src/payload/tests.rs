//! Files put together from the formats' own documents.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn recognize(bytes: Vec<u8>) -> Result<Payload> {
    Payload::recognize(Path::new("payload"), bytes, None)
}

fn refusal(bytes: Vec<u8>) -> String {
    format!("{:#}", recognize(bytes).unwrap_err())
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// An arm64 `Image` of `len` bytes that uses `memory` bytes.
fn image(len: usize, memory: u64, flags: u64) -> Vec<u8> {
    let mut bytes = vec![0x11; len];
    put(&mut bytes, 8, &0x1_0000_u64.to_le_bytes());
    put(&mut bytes, 16, &memory.to_le_bytes());
    put(&mut bytes, 24, &flags.to_le_bytes());
    put(&mut bytes, 56, b"ARM\x64");
    bytes
}

/// The same as an EFI program whose one section ends at `end`.
fn efi_image(len: usize, end: u32) -> Vec<u8> {
    let mut bytes = image(len, 0x8000, 0);
    put(&mut bytes, 0, b"MZ");
    put(&mut bytes, 60, &64_u32.to_le_bytes());
    put(&mut bytes, 64, b"PE\0\0");
    put(&mut bytes, 70, &1_u16.to_le_bytes());
    put(&mut bytes, 84, &16_u16.to_le_bytes());
    // The section table begins at 64 + 24 + 16.
    put(&mut bytes, 104 + 16, &(end - 0x400).to_le_bytes());
    put(&mut bytes, 104 + 20, &0x400_u32.to_le_bytes());
    bytes
}

/// One loadable segment: offset in the file, virtual and physical address, bytes, bytes in memory.
type Segment = (u64, u64, u64, u64, u64);

/// An ELF64 program of 0x400 bytes for `machine`.
fn elf(machine: u16, entry: u64, segments: &[Segment]) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..0x400).map(|at: usize| at.to_le_bytes()[0]).collect();
    put(&mut bytes, 0, b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    put(&mut bytes, 16, &2_u16.to_le_bytes());
    put(&mut bytes, 18, &machine.to_le_bytes());
    put(&mut bytes, 20, &1_u32.to_le_bytes());
    put(&mut bytes, 24, &entry.to_le_bytes());
    put(&mut bytes, 32, &64_u64.to_le_bytes());
    put(&mut bytes, 40, &0_u64.to_le_bytes());
    put(&mut bytes, 48, &0_u32.to_le_bytes());
    for (at, value) in [(52, 64_u16), (54, 56), (56, u16::try_from(segments.len()).unwrap())] {
        put(&mut bytes, at, &value.to_le_bytes());
    }
    put(&mut bytes, 58, &[64, 0, 0, 0, 0, 0]);
    for (index, (offset, virtual_, physical, file, memory)) in segments.iter().enumerate() {
        let at = 64 + index * 56;
        put(&mut bytes, at, &1_u32.to_le_bytes());
        for (field, value) in
            [(8, offset), (16, virtual_), (24, physical), (32, file), (40, memory)]
        {
            put(&mut bytes, at + field, &value.to_le_bytes());
        }
    }
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn an_image_goes_where_its_header_says() {
    let payload = recognize(image(0x4000, 0x9000, 10)).unwrap();
    assert_eq!(payload.kind, Kind::Image);
    assert_eq!((payload.load, payload.entry), (0x4021_0000, 0x4021_0000));
    assert_eq!((payload.end, payload.bytes.len()), (0x4021_9000, 0x4000));
    // Before Linux 3.17 the size is 0 and the offset is not what the field says.
    let old = recognize(image(0x4000, 0, 0)).unwrap();
    assert_eq!((old.load, old.end), (0x4028_0000, 0x4028_4000));
    let path = Path::new("payload");
    let moved = Payload::recognize(path, image(0x4000, 0x9000, 0), Some(0x5000_0000)).unwrap();
    assert_eq!(moved.load, 0x5001_0000);
    let odd = Payload::recognize(path, image(0x4000, 0x9000, 0), Some(0x5010_0000)).unwrap_err();
    assert!(odd.to_string().contains("2 MiB"), "{odd}");
}

#[test]
fn packed_files_are_unpacked() {
    let plain = image(0x4000, 0x9000, 0);
    assert_eq!(recognize(gzip(&plain)).unwrap(), recognize(plain.clone()).unwrap());
    let packed = gzip(&plain);
    let text = refusal(packed[..packed.len() / 2].to_vec());
    assert!(text.contains("cut short"), "{text}");
    let mut damaged = packed.clone();
    let middle = damaged.len() - 6;
    damaged[middle] ^= 1;
    assert!(refusal(damaged).contains("damaged"));

    let mut zboot = vec![0; 0x100];
    put(&mut zboot, 0, b"MZ\0\0zimg");
    put(&mut zboot, 8, &0x100_u32.to_le_bytes());
    put(&mut zboot, 12, &u32::try_from(packed.len()).unwrap().to_le_bytes());
    put(&mut zboot, 24, b"gzip\0");
    zboot.extend(&packed);
    assert_eq!(recognize(zboot.clone()).unwrap(), recognize(plain).unwrap());
    assert!(refusal(zboot[..zboot.len() - 1].to_vec()).contains("cut short"));
    put(&mut zboot, 24, b"zstd\0");
    assert!(refusal(zboot).contains("zstd"));
}

#[test]
fn a_cut_image_is_refused() {
    assert!(recognize(efi_image(0x1000, 0x1000)).is_ok());
    let text = refusal(efi_image(0xfff, 0x1000));
    assert!(text.contains("cut short: 4095 bytes of at least 4096"), "{text}");
    assert!(refusal(Vec::new()).contains("empty"));
}

/// booting.rst sets no relation between a file's length and `image_size`.
#[test]
fn a_short_image_with_much_memory_is_told_of_and_taken() {
    for (file, words) in [
        (image(0x1000, 64 << 20, 0), &["4096 bytes", "67108864", "cut short"][..]),
        (efi_image(0x1000, 0x1000)[..80].to_vec(), &["PE header"]),
    ] {
        let payload = recognize(file).unwrap();
        assert_eq!(payload.kind, Kind::Image);
        let doubt = payload.doubt.unwrap();
        assert!(words.iter().all(|word| doubt.contains(word)), "{doubt}");
    }
    assert_eq!(recognize(image(0x1000, 64 << 20, 0)).unwrap().end, 0x4421_0000);
    for sound in [image(0x4000, 0x9000, 0), efi_image(0x1000, 0x1000)] {
        assert_eq!(recognize(sound).unwrap().doubt, None);
    }
}

#[test]
fn an_elf_file_is_flattened_by_physical_address() {
    // Linked high, loaded low, data before text, zeroed data behind.
    let high = 0xffff_0000_0000_0000;
    let text = (0x300, high + 0x40_2000, 0x4040_2000, 0x20, 0x20);
    let data = (0x200, high + 0x40_0000, 0x4040_0000, 0x10, 0x10);
    let bss = (0, high + 0x40_3000, 0x4040_3000, 0, 0x1800);
    let payload = recognize(elf(183, high + 0x40_2008, &[text, data, bss])).unwrap();
    assert_eq!(payload.kind, Kind::Elf);
    assert_eq!((payload.load, payload.entry), (0x4040_0000, 0x4040_2008));
    assert_eq!((payload.end, payload.bytes.len()), (0x4040_4800, 0x2020));
    let expected = |at: usize| match at {
        0..0x10 => at.to_le_bytes()[0],
        0x2000.. => (at - 0x2000).to_le_bytes()[0],
        _ => 0,
    };
    assert!(payload.bytes.iter().enumerate().all(|(at, byte)| *byte == expected(at)));
}

#[test]
fn impossible_elf_files_are_refused() {
    let segment = (0x200, 0x4040_0000, 0x4040_0000, 0x100, 0x100);
    assert!(recognize(elf(183, 0x4040_0000, &[segment])).is_ok());
    let path = Path::new("payload");
    let moved =
        Payload::recognize(path, elf(183, 0x4040_0000, &[segment]), Some(0x5000_0000)).unwrap_err();
    assert!(moved.to_string().contains("own addresses"), "{moved}");
    assert!(refusal(elf(62, 0x4040_0000, &[segment])).contains("for x86-64"));
    assert!(refusal(elf(243, 0x4040_0000, &[segment])).contains("for RISC-V"));
    assert!(refusal(elf(183, 0x4050_0000, &[segment])).contains("entry point"));
    assert!(refusal(elf(183, 0, &[])).contains("anything to load"));
    let cut = (0x380, 0x4040_0000, 0x4040_0000, 0x100, 0x100);
    assert!(refusal(elf(183, 0x4040_0000, &[cut])).contains("cut short"));
    let far = (0x200, 0x1_4040_0000, 0x1_4040_0000, 0x10, 0x10);
    assert!(refusal(elf(183, 0x4040_0000, &[segment, far])).contains("apart"));
    let wraps = (0x200, 0x4040_0000, u64::MAX - 8, 0x10, 0x10);
    assert!(refusal(elf(183, 0x4040_0000, &[wraps])).contains("wrap"));
    // Far behind a segment that lies high: in no segment, and no address either.
    let high = (0x200, 0, 0x4040_0000, 0x100, 0x100);
    assert!(refusal(elf(183, u64::MAX - 0x100, &[high])).contains("entry point"));
    // Its end in memory would lie inside what is loaded.
    let larger = (0x200, 0x4040_0000, 0x4040_0000, 0x100, 0x10);
    assert!(refusal(elf(183, 0x4040_0000, &[larger])).contains("larger in the file"));
    let mut narrow = elf(40, 0x4040_0000, &[segment]);
    narrow[4] = 1;
    assert!(refusal(narrow).contains("32-bit"));
    let mut big = elf(183, 0x4040_0000, &[segment]);
    big[5] = 2;
    assert!(refusal(big).contains("big-endian"));
    assert!(refusal(b"\x7fELF\x02\x01".to_vec()).contains("cut short"));
}

#[test]
fn a_program_for_a_dynamic_loader_is_refused() {
    let mut program = elf(183, 0x4020_0000, &[(0, 0x4020_0000, 0x4020_0000, 0x400, 0x400)]);
    assert!(recognize(program.clone()).is_ok());
    // The type of a segment, PT_INTERP (ELF gABI, "Program Header").
    put(&mut program, 64, &3_u32.to_le_bytes());
    assert!(refusal(program).contains("-static -no-pie"));
}

#[test]
fn foreign_kernels_are_named() {
    let with = |at: usize, sign: &[u8]| {
        let mut bytes = vec![0x77; 0x400];
        put(&mut bytes, at, sign);
        refusal(bytes)
    };
    assert!(with(56, b"RSC\x05").contains("RISC-V"));
    assert!(with(0x202, b"HdrS").contains("x86"));
    assert!(with(36, &0x016f_2818_u32.to_le_bytes()).contains("32-bit Arm"));
    assert!(with(0, b"070701").contains("initrd"));
    assert!(with(0, b"\xd0\x0d\xfe\xed").contains("device tree"));
    assert!(with(0, b"\xfd7zXZ\0").contains("xz -dk"));
    assert!(with(0, b"\x28\xb5\x2f\xfd").contains("zstd -d"));
    assert!(with(0, b"BZh91AY&SY").contains("bzip2 -dk"));
    let mut efi = efi_image(0x1000, 0x1000);
    put(&mut efi, 56, &[0; 4]);
    assert!(refusal(efi).contains("EFI program"));
    assert!(with(0, b"\x04\x22\x4d\x18").contains("lz4 -d"));
    assert!(with(0, b"\x02\x21\x4c\x18").contains("lz4 -d"));
    assert!(refusal(image(0x4000, 0x9000, 1)).contains("big-endian"));
}

#[test]
fn anything_else_is_a_raw_binary() {
    let payload = recognize(vec![0x1f; 10]).unwrap();
    assert_eq!((payload.kind, payload.load, payload.entry), (Kind::Raw, 0x4020_0000, 0x4020_0000));
    assert_eq!(payload.end, 0x4020_000a);
    // The first two bytes of `add x13, x18, #0x16`, and letters.
    for start in [&b"MZ\0\x91"[..], b"BZh9"] {
        let mut bytes = vec![0x1f; 0x400];
        put(&mut bytes, 0, start);
        assert_eq!(recognize(bytes).unwrap().kind, Kind::Raw);
    }
    let at = |address| Payload::recognize(Path::new("payload"), vec![0; 8], Some(address));
    assert_eq!(at(0x4000_0000).unwrap().entry, 0x4000_0000);
    assert!(at(0x4000_0002).unwrap_err().to_string().contains("multiple of 4"));
    assert!(at(u64::MAX - 3).unwrap_err().to_string().contains("wrap"));
}
