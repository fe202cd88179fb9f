//! Programs that adapt themselves to where they are loaded, as `relocate` in `tests/runtime/src/macros.S`
//! does.

use anyhow::{Context, Result, ensure};
use object::elf::R_AARCH64_RELATIVE;
use object::{Object as _, ObjectSection as _};

/// Bytes of an Elf64_Rela: r_offset, r_info, r_addend.
const ENTRY: usize = 24;

/// Checks that the linker has noted where pointers are, and nothing that takes more than adding to them.
///
/// # Errors
///
/// There is no such note, or it has relocations of another kind.
pub fn check(elf: &[u8]) -> Result<()> {
    let file = object::File::parse(elf)?;
    let section = file.section_by_name(".rela.dyn").context("it has no .rela.dyn")?;
    let mut pointers = 0;
    for entry in section.data()?.chunks_exact(ENTRY) {
        let kind = u64::from_le_bytes(entry[8..16].try_into()?);
        // Zeroes fill the last page.
        ensure!(
            kind == 0 || kind == u64::from(R_AARCH64_RELATIVE.0),
            "relocation {kind:#x} is not R_AARCH64_RELATIVE"
        );
        pointers += usize::from(kind != 0);
    }
    ensure!(pointers > 0, "it has pointers, and .rela.dyn names none");
    Ok(())
}
