//! The header of an arm64 Linux `Image` (Linux, `Documentation/arch/arm64/booting.rst`, section 4).

use anyhow::{Context, Result, bail};

/// Bytes of the header.
const SIZE: usize = 64;
/// "ARM\x64" at offset 56.
const MAGIC: &[u8] = b"ARM\x64";
/// The load address is a multiple of this plus `text_offset`.
const ALIGN: u64 = 2 << 20;
/// Where kernels before 3.17, which have an `image_size` of 0, expect to be.
const OLD_TEXT_OFFSET: u64 = 0x8_0000;
/// A file with less than this part of its `image_size` is worth a word.
const USUAL_PART: u64 = 4;

/// The fields that matter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    text_offset: u64,
    image_size: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u16::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?).into())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?).into())
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

impl Header {
    /// The header of `bytes`, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// The kernel is big-endian.
    pub(super) fn find(bytes: &[u8]) -> Result<Option<Self>> {
        if bytes.get(SIZE - 8..SIZE - 4) != Some(MAGIC) {
            return Ok(None);
        }
        let field = |at| u64_at(bytes, at).context("its Image header is cut short");
        let (text_offset, image_size, flags) = (field(8)?, field(16)?, field(24)?);
        if flags & 1 != 0 {
            bail!("it is a big-endian arm64 kernel; build it little-endian");
        }
        Ok(Some(match image_size {
            0 => Self { text_offset: OLD_TEXT_OFFSET, image_size },
            _ => Self { text_offset, image_size },
        }))
    }

    /// Where the kernel goes if asked to be near `base`.
    ///
    /// # Errors
    ///
    /// `base` is not a multiple of 2 MiB.
    pub(super) fn load(&self, base: u64) -> Result<u64> {
        if !base.is_multiple_of(ALIGN) {
            bail!("the load address {base:#x} of an arm64 Image is not a multiple of 2 MiB");
        }
        super::span(base, self.text_offset)
    }

    /// Bytes of memory that the kernel uses, of which the file has `len`.
    pub(super) fn memory_size(&self, len: usize) -> Result<u64> {
        Ok(self.image_size.max(u64::try_from(len)?))
    }

    /// What is odd about the length of the file, which the header does not say; `None` if nothing is.
    ///
    /// # Errors
    ///
    /// The sections that its own PE header lists are not all there.
    pub(super) fn check_length(&self, bytes: &[u8]) -> Result<Option<String>> {
        let have = u64::try_from(bytes.len())?;
        match sections_end(bytes) {
            Some(need) if have < need => {
                bail!("it is cut short: {have} bytes of at least {need}; fetch or build it again")
            }
            Some(_) => Ok(None),
            None if bytes.starts_with(b"MZ") => Ok(Some(
                "it begins like an EFI program and its PE header makes no sense: if it does not start, \
                 fetch or build it again"
                    .to_owned(),
            )),
            // Zeroed data and stacks may be of any size.
            None if have < self.image_size / USUAL_PART => Ok(Some(format!(
                "the file has {have} bytes and its header asks for {} of memory: if it does not start, \
                 it may be cut short",
                self.image_size
            ))),
            None => Ok(None),
        }
    }
}

/// Where the PE header of an EFI program is (PE Format, "MS-DOS Stub").
fn pe_header(bytes: &[u8]) -> Option<usize> {
    if !bytes.starts_with(b"MZ") {
        return None;
    }
    let pe = usize::try_from(u32_at(bytes, 60)?).ok()?;
    (bytes.get(pe..pe.checked_add(4)?)? == b"PE\0\0").then_some(pe)
}

/// Whether it is an EFI program.
pub(super) fn has_pe_header(bytes: &[u8]) -> bool {
    pe_header(bytes).is_some()
}

/// Where the data of the last section ends (PE Format, "Section Table"); `None` without PE header.
fn sections_end(bytes: &[u8]) -> Option<u64> {
    let pe = pe_header(bytes)?;
    let count = usize::try_from(u16_at(bytes, pe.checked_add(6)?)?).ok()?;
    let optional = usize::try_from(u16_at(bytes, pe.checked_add(20)?)?).ok()?;
    let table = pe.checked_add(24)?.checked_add(optional)?;
    (0..count)
        .map(|section| {
            let entry = table.checked_add(section.checked_mul(40)?)?;
            u32_at(bytes, entry.checked_add(16)?)?
                .checked_add(u32_at(bytes, entry.checked_add(20)?)?)
        })
        .try_fold(0, |end, section| Some(end.max(section?)))
}
