//! Files that are surely for something else, so that they are not started as raw binaries.

use anyhow::{Result, bail};

/// A sign at a fixed place.
struct Sign {
    at: usize,
    bytes: &'static [u8],
    what: &'static str,
}

const SIGNS: &[Sign] = &[
    // Linux, Documentation/arch/riscv/boot-image-header.rst
    Sign { at: 56, bytes: b"RSC\x05", what: "a RISC-V Linux Image" },
    // Linux, Documentation/arch/x86/boot.rst
    Sign { at: 0x202, bytes: b"HdrS", what: "an x86 Linux kernel (bzImage)" },
    // Linux, arch/arm/boot/compressed/head.S
    Sign { at: 36, bytes: &[0x18, 0x28, 0x6f, 0x01], what: "a 32-bit Arm Linux zImage" },
    // U-Boot, include/image.h
    Sign {
        at: 0,
        bytes: &[0x27, 0x05, 0x19, 0x56],
        what: "a U-Boot legacy image; give the file that was packed into it",
    },
    Sign {
        at: 0,
        bytes: &[0xd0, 0x0d, 0xfe, 0xed],
        what: "a flattened device tree or FIT, not a program",
    },
    Sign {
        at: 0,
        bytes: &[0xfd, 0x37, 0x7a, 0x58, 0x5a],
        what: "an xz file; unpack it first (`xz -dk`)",
    },
    // LZ4 frame format, and the older one that the kernel's build makes
    Sign {
        at: 0,
        bytes: &[0x04, 0x22, 0x4d, 0x18],
        what: "an LZ4 file; unpack it first (`lz4 -d`)",
    },
    Sign {
        at: 0,
        bytes: &[0x02, 0x21, 0x4c, 0x18],
        what: "an LZ4 file; unpack it first (`lz4 -d`)",
    },
    Sign { at: 0, bytes: b"\x89LZO\0\r\n\x1a\n", what: "an LZO file; unpack it first (`lzop -d`)" },
    Sign {
        at: 0,
        bytes: &[0x28, 0xb5, 0x2f, 0xfd],
        what: "a zstd file; unpack it first (`zstd -d`)",
    },
    // The head of its first block; `BZh` and a digit before it would be too little.
    Sign { at: 4, bytes: b"1AY&SY", what: "a bzip2 file; unpack it first (`bzip2 -dk`)" },
    Sign { at: 0, bytes: b"070701", what: "a cpio archive: is it the initrd?" },
    Sign { at: 0, bytes: b"!<arch>\n", what: "a package or library archive" },
];

/// Refuses bytes that carry the sign of something that cannot run.
pub(super) fn refuse(bytes: &[u8]) -> Result<()> {
    for sign in SIGNS {
        if bytes.get(sign.at..).is_some_and(|rest| rest.starts_with(sign.bytes)) {
            bail!("it is {}", sign.what);
        }
    }
    // Two letters are also the half of an instruction.
    if super::image::has_pe_header(bytes) {
        bail!("it is an EFI program without an arm64 Image header");
    }
    Ok(())
}

/// An ELF machine's name (ELF gABI, `e_machine`).
pub(super) fn elf_machine(machine: u16) -> String {
    match machine {
        3 => "x86 (32-bit)".to_owned(),
        8 => "MIPS".to_owned(),
        21 => "PowerPC (64-bit)".to_owned(),
        40 => "32-bit Arm".to_owned(),
        62 => "x86-64".to_owned(),
        243 => "RISC-V".to_owned(),
        other => format!("machine {other}"),
    }
}
