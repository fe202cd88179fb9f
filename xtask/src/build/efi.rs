//! The image as an EFI application: the program that EFI firmware starts goes behind the
//! hypervisor, and a PE header into the room that the hypervisor's boot code has for it.
//!
//! Firmware loads the file as it lies, at one address for all of it and with the memory that the
//! `Image` header asks for, so that the hypervisor can run where the firmware has put it. The EFI
//! part lies where the hypervisor's zero-filled memory begins and is gone once that is in use.
//!
//! Format: Microsoft's "PE Format"; UEFI Specification 2.10, 2.1.1 "UEFI Images".

mod format;
mod program;

#[cfg(test)]
mod tests;

use anyhow::{Context, Result, ensure};
use object::pe::{
    self, ImageDataDirectory, ImageFileHeader, ImageNtHeaders64, ImageOptionalHeader64,
    ImageSectionHeader,
};
use object::pod::bytes_of;
use object::{LittleEndian, U16, U32, U64};

use format::{PAGE, SECTOR, blank, half, pad, word};
use program::Program;

/// Where an `Image` header says how much memory it takes, and a PE file where its header is.
const IMAGE_SIZE_AT: usize = 16;
const PE_OFFSET_AT: usize = 60;

/// The hypervisor's `image` with the EFI program in the ELF file `elf`.
///
/// # Errors
///
/// The program cannot be put anywhere, or the two do not fit together.
pub fn attach(mut image: Vec<u8>, elf: &[u8]) -> Result<Vec<u8>> {
    // The hypervisor's own first page has the headers.
    image.resize(image.len().max(PAGE), 0);
    pad(&mut image, SECTOR);
    place(image, &Program::read(elf)?)
}

/// Puts `program` behind the hypervisor, whole sectors, and writes the header.
///
/// In memory each section begins at a page, in this order: the hypervisor; a copy of the page with the
/// headers, because firmware loads just the headers of it; the program; and what the hypervisor takes
/// besides, because U-Boot allots no more than the sections take. No section has base relocations, and
/// neither is it said that they were taken away, after which firmware need not load the image.
fn place(mut image: Vec<u8>, program: &Program) -> Result<Vec<u8>> {
    let memory = number(&image, IMAGE_SIZE_AT)?;
    let header_at = number(&image, PE_OFFSET_AT)?;
    let hypervisor_end = image.len();
    image.extend(&program.code);
    pad(&mut image, SECTOR);

    let part = |name, at, file_at, file_end| Part { name, at, file_at, file_end };
    let hypervisor = part(b".postern", PAGE, PAGE, hypervisor_end);
    let behind = hypervisor_end.next_multiple_of(PAGE);
    let head = part(b".head\0\0\0", behind, SECTOR, PAGE);
    let code = part(b".text\0\0\0", head.at + PAGE, hypervisor_end, image.len());
    let rest = part(b".bss\0\0\0\0", code.at + program.code.len().next_multiple_of(PAGE), 0, 0);
    ensure!(memory.is_multiple_of(PAGE), "the image takes {memory:#x} bytes, not whole pages");
    let rest_size = memory.checked_sub(rest.at).filter(|size| *size > 0);
    let rest_size = rest_size.with_context(|| {
        format!("the EFI part ends at {:#x}, the image's memory at {memory:#x}", rest.at)
    })?;

    let (read, write) = (pe::IMAGE_SCN_MEM_READ, pe::IMAGE_SCN_MEM_WRITE);
    let data = pe::IMAGE_SCN_CNT_INITIALIZED_DATA | read;
    let executable = pe::IMAGE_SCN_CNT_CODE | pe::IMAGE_SCN_MEM_EXECUTE | read;
    let sections = [
        hypervisor.header(hypervisor.size(), data)?,
        head.header(head.size(), data)?,
        code.header(program.code.len(), executable)?,
        rest.header(rest_size, pe::IMAGE_SCN_CNT_UNINITIALIZED_DATA | read | write)?,
    ];
    let directories: [ImageDataDirectory; 6] = [blank()?; _];
    let header = ImageNtHeaders64 {
        signature: U32::new(LittleEndian, pe::IMAGE_NT_SIGNATURE),
        file_header: ImageFileHeader {
            machine: U16::new(LittleEndian, pe::IMAGE_FILE_MACHINE_ARM64),
            number_of_sections: half(sections.len())?,
            size_of_optional_header: half(
                size_of::<ImageOptionalHeader64>() + size_of_val(&directories),
            )?,
            characteristics: U16::new(
                LittleEndian,
                pe::IMAGE_FILE_EXECUTABLE_IMAGE
                    | pe::IMAGE_FILE_LARGE_ADDRESS_AWARE
                    | pe::IMAGE_FILE_DEBUG_STRIPPED,
            ),
            ..blank()?
        },
        optional_header: ImageOptionalHeader64 {
            magic: half(usize::from(pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC))?,
            size_of_code: word(code.size())?,
            size_of_initialized_data: word(hypervisor.size() + head.size())?,
            size_of_uninitialized_data: word(rest_size)?,
            address_of_entry_point: word(code.at + program.entry)?,
            base_of_code: word(code.at)?,
            image_base: U64::default(),
            section_alignment: word(PAGE)?,
            file_alignment: word(SECTOR)?,
            size_of_image: word(memory)?,
            size_of_headers: word(SECTOR)?,
            subsystem: U16::new(LittleEndian, pe::IMAGE_SUBSYSTEM_EFI_APPLICATION),
            dll_characteristics: U16::new(LittleEndian, pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT),
            number_of_rva_and_sizes: word(directories.len())?,
            ..blank()?
        },
    };
    let mut bytes = bytes_of(&header).to_vec();
    directories.iter().for_each(|directory| bytes.extend(bytes_of(directory)));
    sections.iter().for_each(|section| bytes.extend(bytes_of(section)));
    let room = image.get_mut(header_at..SECTOR).and_then(|room| room.get_mut(..bytes.len()));
    let room = room.context("the boot code has no room for the PE header")?;
    ensure!(
        room.iter().all(|byte| *byte == 0),
        "the boot code has no room of {} bytes for the PE header at {header_at:#x}",
        bytes.len()
    );
    room.copy_from_slice(&bytes);
    Ok(image)
}

/// A section.
struct Part {
    name: &'static [u8; 8],
    /// Where it is in memory, from the image's start.
    at: usize,
    file_at: usize,
    file_end: usize,
}

impl Part {
    /// Bytes in the file.
    fn size(&self) -> usize {
        self.file_end - self.file_at
    }

    fn header(&self, memory: usize, flags: pe::SectionFlags) -> Result<ImageSectionHeader> {
        Ok(ImageSectionHeader {
            name: *self.name,
            virtual_size: word(memory)?,
            virtual_address: word(self.at)?,
            size_of_raw_data: word(self.size())?,
            pointer_to_raw_data: word(self.file_at)?,
            characteristics: U32::new(LittleEndian, flags),
            ..ImageSectionHeader::default()
        })
    }
}

/// The little-endian word at byte `at` of the image's header.
fn number(image: &[u8], at: usize) -> Result<usize> {
    let bytes = image.get(at..).and_then(|rest| rest.first_chunk());
    Ok(usize::try_from(u32::from_le_bytes(*bytes.context("no Image header")?))?)
}
