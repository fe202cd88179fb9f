//! ELF file to flat arm64 `Image`.
//!
//! What a boot loader copies into memory is the loadable segments, laid out by their load
//! addresses from the lowest on, and nothing else. The header at its start was written by the
//! boot assembly; here it is checked, because a loader that believes a wrong header overwrites
//! memory without a word.

use anyhow::{Context, Result, bail, ensure};
use object::Endianness;
use object::elf::{EM_AARCH64, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// Linux `Documentation/arch/arm64/booting.rst`, section 4: header fields and the magic.
const HEADER_LEN: usize = 64;
const TEXT_OFFSET_AT: usize = 8;
const IMAGE_SIZE_AT: usize = 16;
const MAGIC_AT: usize = 56;
const MAGIC: &[u8; 4] = b"ARM\x64";
/// No hypervisor of ours is larger; a linker script gone wrong is.
const MOST: u64 = 16 << 20;

/// The flat image in the ELF file `elf`.
///
/// # Errors
///
/// Not an AArch64 program, nothing to load, or a header that does not describe the image.
pub fn arm64_image(elf: &[u8]) -> Result<Vec<u8>> {
    let header = FileHeader64::<Endianness>::parse(elf).context("not a 64-bit ELF file")?;
    let endian = header.endian()?;
    ensure!(
        endian == Endianness::Little && header.e_machine(endian) == EM_AARCH64,
        "not a little-endian AArch64 program"
    );
    let segments: Vec<_> = header
        .program_headers(endian, elf)?
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_LOAD && segment.p_memsz(endian) > 0)
        .collect();
    let Some(base) = segments.iter().map(|segment| segment.p_paddr(endian)).min() else {
        bail!("no loadable segment");
    };

    let mut image = Vec::new();
    let mut extent = 0;
    for segment in segments {
        let offset = segment.p_paddr(endian) - base;
        let end = offset.checked_add(segment.p_memsz(endian)).context("segment beyond 64 bits")?;
        ensure!(end <= MOST, "segments spread over {end:#x} bytes: wrong load addresses?");
        extent = extent.max(end);
        let Ok(data) = segment.data(endian, elf) else {
            bail!("a segment lies outside the file");
        };
        let start = usize::try_from(offset)?;
        // Zeroed memory alone takes no place in the file.
        let needed = if data.is_empty() { 0 } else { start + data.len() };
        if image.len() < needed {
            image.resize(needed, 0);
        }
        if let Some(place) = image.get_mut(start..needed) {
            place.copy_from_slice(data);
        }
    }
    check_header(&image, extent)?;
    Ok(image)
}

/// Checks the `Image` header against what was laid out; `extent` counts zeroed memory too.
fn check_header(image: &[u8], extent: u64) -> Result<()> {
    ensure!(image.len() >= HEADER_LEN, "only {} bytes to load", image.len());
    ensure!(
        &image[MAGIC_AT..MAGIC_AT + MAGIC.len()] == MAGIC,
        "no arm64 Image magic at byte {MAGIC_AT}: the boot code is not first in the image"
    );
    let text_offset = word(image, TEXT_OFFSET_AT);
    ensure!(text_offset == 0, "text_offset is {text_offset:#x}, must be 0");
    let claimed = word(image, IMAGE_SIZE_AT);
    ensure!(
        claimed >= extent,
        "the header claims {claimed:#x} bytes of memory, the segments fill {extent:#x}"
    );
    Ok(())
}

/// The little-endian 64-bit word at byte `at`; inside the header, whose length was checked.
fn word(image: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&image[at..at + 8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with `segments` of (load address, contents, bytes in memory), made by hand from
    /// the ELF-64 object file format, so that the reader under test is not its own oracle.
    fn elf(machine: u16, segments: &[(u64, Vec<u8>, u64)]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend(2_u16.to_le_bytes());
        file.extend(machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        for word in [0_u64, 64, 0] {
            file.extend(word.to_le_bytes());
        }
        file.extend(0_u32.to_le_bytes());
        for half in [64, 56, u16::try_from(segments.len()).unwrap(), 64, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        let mut at = 64 + 56 * segments.len() as u64;
        for (address, data, memory) in segments {
            file.extend(1_u32.to_le_bytes());
            file.extend(7_u32.to_le_bytes());
            // The virtual address is elsewhere: only the load address counts.
            let length = data.len() as u64;
            for word in [at, address + 0xffff_0000_0000, *address, length, *memory, 8] {
                file.extend(word.to_le_bytes());
            }
            at += length;
        }
        for (_, data, _) in segments {
            file.extend(data);
        }
        file
    }

    fn header(text_offset: u64, image_size: u64) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[8..16].copy_from_slice(&text_offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&image_size.to_le_bytes());
        bytes[56..60].copy_from_slice(b"ARMd");
        bytes
    }

    const AARCH64: u16 = 183;

    #[test]
    fn segments_lie_by_load_address_with_zeros_between() {
        let file = elf(AARCH64, &[(0x1100, vec![0xaa; 4], 0x400), (0x1000, header(0, 0x500), 64)]);
        let image = arm64_image(&file).unwrap();
        assert_eq!(image.len(), 0x104);
        assert_eq!(image[..64], header(0, 0x500));
        assert!(image[64..0x100].iter().all(|byte| *byte == 0));
        assert_eq!(image[0x100..], [0xaa; 4]);
    }

    #[test]
    fn zeroed_memory_takes_no_place() {
        let file = elf(AARCH64, &[(0x1000, header(0, 0x5000), 64), (0x3000, Vec::new(), 0x1000)]);
        assert_eq!(arm64_image(&file).unwrap().len(), 64);
    }

    #[test]
    fn what_a_loader_would_misplace_is_refused() {
        let refused = |file: Vec<u8>| arm64_image(&file).unwrap_err().to_string();
        assert!(refused(b"MZ".to_vec()).contains("ELF"));
        assert!(refused(elf(62, &[(0, header(0, 64), 64)])).contains("AArch64"));
        assert!(refused(elf(AARCH64, &[])).contains("no loadable"));
        assert!(refused(elf(AARCH64, &[(0, vec![0; 64], 64)])).contains("magic"));
        assert!(refused(elf(AARCH64, &[(0, header(0x8_0000, 64), 64)])).contains("text_offset"));
        assert!(refused(elf(AARCH64, &[(0, header(0, 64), 65)])).contains("claims"));
        assert!(
            refused(elf(AARCH64, &[(0, header(0, 64), 64), (1 << 40, vec![1], 1)]))
                .contains("spread")
        );
        assert!(
            refused(elf(AARCH64, &[(0, header(0, 64), u64::MAX), (8, vec![1], u64::MAX)]))
                .contains("64 bits")
                || refused(elf(AARCH64, &[(0, header(0, 64), u64::MAX)])).contains("spread")
        );
    }

    #[test]
    fn a_file_cut_short_is_an_error_at_every_length() {
        let file = elf(AARCH64, &[(0, header(0, 64), 64)]);
        for length in 0..file.len() {
            assert!(arm64_image(&file[..length]).is_err(), "{length}");
        }
    }
}
