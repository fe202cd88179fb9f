//! The program that EFI firmware starts: from the ELF file to what the image has of it.

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, ObjectSymbol};

use super::format::PAGE;

/// What every panic calls.
const PANIC: &str = "rust_begin_unwind";

/// The EFI program, placed in the image.
pub(super) struct Program {
    /// Code and constants.
    pub(super) code: Vec<u8>,
    /// Where the firmware begins, from the start of the code.
    pub(super) entry: usize,
}

impl Program {
    /// Reads the ELF file that `linker/efi.ld` makes.
    ///
    /// # Errors
    ///
    /// It needs what the image does not have.
    pub(super) fn read(elf: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf).context("the EFI part is not an ELF file")?;
        let text = file.section_by_name(".text").context("the EFI part has no .text")?;
        let start = usize::try_from(text.address())?;
        ensure!(start == PAGE, "the EFI part begins at {start:#x} instead of behind one page");
        let code = text.data()?.to_vec();
        ensure!(
            !file.symbols().any(|symbol| symbol.name().is_ok_and(|name| name.contains(PANIC))),
            "the EFI part can panic, with nobody to tell: find out where by its calls of {PANIC}"
        );
        if let Some((at, _)) = file.dynamic_relocations().into_iter().flatten().next() {
            bail!(
                "the EFI part has a pointer at {at:#x}, which depends on where firmware puts the image: \
                 make the list of references that it belongs to one constant without any"
            );
        }
        let entry = usize::try_from(file.entry())?.checked_sub(start);
        let entry = entry.context("the EFI part begins before its code")?;
        Ok(Self { code, entry })
    }
}
