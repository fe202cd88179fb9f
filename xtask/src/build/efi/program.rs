//! The program that EFI firmware starts: from the ELF file to what the image has of it.

use anyhow::{Context, Result, ensure};
use object::elf::R_AARCH64_RELATIVE;
use object::pe::{self, ImageBaseRelocation};
use object::pod::bytes_of;
use object::{Object, ObjectSection, ObjectSymbol, RelocationFlags};

use super::format::{PAGE, pad, word};

/// What every panic calls.
const PANIC: &str = "rust_begin_unwind";

/// The EFI program, placed in the image.
pub(super) struct Program {
    /// Code and constants.
    pub(super) code: Vec<u8>,
    /// Where the firmware begins, from the start of the code.
    pub(super) entry: usize,
    /// The list of pointers that depend on where the firmware puts the image, as PE has it.
    pub(super) relocations: Vec<u8>,
}

impl Program {
    /// Reads the ELF file that `linker/efi.ld` makes, whose address 0 is to be at `base` of the
    /// image.
    ///
    /// # Errors
    ///
    /// It needs what the image does not have.
    pub(super) fn read(elf: &[u8], base: usize) -> Result<Self> {
        let file = object::File::parse(elf).context("the EFI part is not an ELF file")?;
        let text = file.section_by_name(".text").context("the EFI part has no .text")?;
        let start = usize::try_from(text.address())?;
        ensure!(start == PAGE, "the EFI part begins at {start:#x} instead of behind one page");
        let mut code = text.data()?.to_vec();
        ensure!(
            !file.symbols().any(|symbol| symbol.name().is_ok_and(|name| name.contains(PANIC))),
            "the EFI part can panic, with nobody to tell: find out where by its calls of {PANIC}"
        );
        let mut places = Vec::new();
        for (at, relocation) in file.dynamic_relocations().into_iter().flatten() {
            ensure!(
                relocation.flags() == RelocationFlags::Elf { r_type: R_AARCH64_RELATIVE },
                "the EFI part has a relocation of another kind at {at:#x}"
            );
            let at = usize::try_from(at)?;
            let value = u64::try_from(relocation.addend())? + u64::try_from(base)?;
            let in_code = at.checked_sub(start).unwrap_or(code.len());
            code.get_mut(in_code..in_code + size_of::<u64>())
                .context("the EFI part has a relocation outside its code")?
                .copy_from_slice(&value.to_le_bytes());
            places.push(base + at);
        }
        places.sort_unstable();
        let entry = usize::try_from(file.entry())?.checked_sub(start);
        let entry = entry.context("the EFI part begins before its code")?;
        Ok(Self { code, entry, relocations: base_relocations(&places)? })
    }
}

/// The list for pointers at `places` of the image, which are sorted: a block for each page.
pub(super) fn base_relocations(places: &[usize]) -> Result<Vec<u8>> {
    let mut list = Vec::new();
    for page in places.chunk_by(|a, b| a / PAGE == b / PAGE) {
        let mut entries = Vec::new();
        for place in page {
            let entry = u16::try_from(place % PAGE)? | pe::IMAGE_REL_BASED_DIR64.0 << 12;
            entries.extend(entry.to_le_bytes());
        }
        // Blocks begin at words; an entry of zero stands for nothing.
        pad(&mut entries, 4);
        let header = ImageBaseRelocation {
            virtual_address: word(page.first().map_or(0, |place| place / PAGE * PAGE))?,
            size_of_block: word(size_of::<ImageBaseRelocation>() + entries.len())?,
        };
        list.extend(bytes_of(&header));
        list.extend(entries);
    }
    Ok(list)
}
