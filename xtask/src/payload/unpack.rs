//! Unpacks gzip, and the kernel inside an EFI zboot file.

use std::io::Read;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;

/// First bytes of a gzip member with the one compression method there is (RFC 1952, 2.3).
const GZIP: &[u8] = &[0x1f, 0x8b, 8];
/// No payload is larger than this when unpacked: a limit against files made to fill memory.
const LIMIT: u64 = 1 << 30;

/// `file` itself, or what is packed in it.
pub(super) fn unpack(file: Vec<u8>) -> Result<Vec<u8>> {
    if let Some(kernel) = zboot(&file)? {
        return gunzip(kernel);
    }
    if file.starts_with(GZIP) { gunzip(&file) } else { Ok(file) }
}

fn gunzip(packed: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed)
        .take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .context("its gzip data is damaged or cut short; fetch or pack it again")?;
    if u64::try_from(bytes.len())? > LIMIT {
        bail!("it unpacks to more than {} MiB", LIMIT >> 20);
    }
    Ok(bytes)
}

/// The packed kernel in an EFI zboot file (Linux, `drivers/firmware/efi/libstub/zboot-header.S`):
/// "MZ", "zimg" at 4, offset and size of the payload at 8 and 12, name of the packing at 24.
fn zboot(file: &[u8]) -> Result<Option<&[u8]>> {
    if !file.starts_with(b"MZ") || file.get(4..8) != Some(b"zimg") {
        return Ok(None);
    }
    let word = |at: usize| {
        let bytes = file.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let cut = "its EFI zboot data is cut short; fetch it again";
    let (at, size) = word(8).zip(word(12)).context(cut)?;
    let packed = at.checked_add(size).and_then(|end| file.get(at..end)).context(cut)?;
    let packing = file.get(24..56).context(cut)?;
    let packing = packing.split(|byte| *byte == 0).next().unwrap_or_default();
    if packing != b"gzip" {
        bail!(
            "it is an EFI zboot kernel packed with {}, of which only gzip is understood: \
             unpack it to a plain arm64 Image first",
            String::from_utf8_lossy(packing)
        );
    }
    Ok(Some(packed))
}
