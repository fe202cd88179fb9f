//! U-Boot's legacy image header, in which it takes scripts and RAM disks.

use anyhow::{Context, Result};
use hyp_core::bundle::crc32;

/// `IH_MAGIC` and the codes below: U-Boot's `include/image.h`.
const MAGIC: u32 = 0x2705_1956;
const OS_LINUX: u8 = 5;
const ARCH_ARM64: u8 = 22;
const TYPE_RAMDISK: u8 = 3;
const TYPE_SCRIPT: u8 = 6;
const COMPRESSION_NONE: u8 = 0;

/// Where the header has its own checksum, which is computed with zeros in its place.
const HEADER_CHECKSUM: usize = 4;

/// The file `boot.scr` that runs `commands`.
///
/// # Errors
///
/// The script is too long for its format.
pub(super) fn script(commands: &str) -> Result<Vec<u8>> {
    // A script is one part of a multi-part image: its size, a zero that ends the sizes, the text.
    let mut payload = u32::try_from(commands.len())?.to_be_bytes().to_vec();
    payload.extend([0; 4]);
    payload.extend(commands.as_bytes());
    wrap(TYPE_SCRIPT, &payload)
}

/// A bundle for U-Boot to pass on as the initial RAM disk. Bare it would not do: a bundle begins
/// as a FIT, and U-Boot would look for a RAM disk within it.
///
/// # Errors
///
/// The bundle is too long for the format.
pub(super) fn ramdisk(bundle: &[u8]) -> Result<Vec<u8>> {
    wrap(TYPE_RAMDISK, bundle)
}

fn wrap(kind: u8, payload: &[u8]) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    // Magic, header's checksum, time, size, load address, entry, payload's checksum.
    let size = u32::try_from(payload.len()).context("more than 4 GiB for U-Boot in one file")?;
    for word in [MAGIC, 0, 0, size, 0, 0, crc32::update(0, payload)] {
        file.extend(word.to_be_bytes());
    }
    file.extend([OS_LINUX, ARCH_ARM64, kind, COMPRESSION_NONE]);
    // The name has 32 bytes.
    file.extend(b"Postern");
    file.resize(64, 0);
    let checksum = crc32::update(0, &file).to_be_bytes();
    if let Some(place) = file.get_mut(HEADER_CHECKSUM..HEADER_CHECKSUM + checksum.len()) {
        place.copy_from_slice(&checksum);
    }
    file.extend(payload);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_what_mkimage_makes() {
        // mkimage -A arm64 -T script -C none -n Postern -d boot.cmd boot.scr, of U-Boot 2023.01,
        // with SOURCE_DATE_EPOCH=0 and "echo hello\n" in boot.cmd.
        let expected = include_bytes!("testdata/hello.scr");
        assert_eq!(script("echo hello\n").unwrap(), expected);
    }
}
