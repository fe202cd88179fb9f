//! Writes archives in the "newc" format that the kernel unpacks as its first file system.
//!
//! Format: kernel Documentation/driver-api/early-userspace/buffer-format.rst. A header of 110
//! characters (the magic and thirteen fields of eight hexadecimal digits), the name with its
//! NUL, padding to four bytes, the data, padding to four bytes; the end is an entry named
//! `TRAILER!!!`.

use anyhow::{Context, Result};

/// Mode of a directory that everybody may read.
const DIRECTORY: u32 = 0o040_755;

/// Mode of a program.
const PROGRAM: u32 = 0o100_755;

/// An archive under construction.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds an empty directory; its parent must have been added before.
    ///
    /// # Errors
    /// If the name is too long for the format.
    pub(super) fn directory(&mut self, name: &str) -> Result<()> {
        self.entry(name, DIRECTORY, 2, &[])
    }

    /// Adds an executable file; its directory must have been added before.
    ///
    /// # Errors
    /// If name or data are too long for the format.
    pub(super) fn program(&mut self, name: &str, data: &[u8]) -> Result<()> {
        self.entry(name, PROGRAM, 1, data)
    }

    /// The finished archive.
    ///
    /// # Errors
    /// Never in practice: the last entry always fits.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        self.entry("TRAILER!!!", 0, 1, &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, name: &str, mode: u32, links: u32, data: &[u8]) -> Result<()> {
        let too_long = || format!("{name} does not fit into an initramfs");
        let size = u32::try_from(data.len()).with_context(too_long)?;
        let name_size = u32::try_from(name.len() + 1).with_context(too_long)?;
        self.entries += 1;
        let (uid, gid, time, device, check) = (0, 0, 0, 0, 0);
        let fields = [
            self.entries,
            mode,
            uid,
            gid,
            links,
            time,
            size,
            device,
            device,
            device,
            device,
            name_size,
            check,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An independent reader: (name, mode, data) of each entry.
    fn read(mut rest: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut found = Vec::new();
        let whole = rest.len();
        loop {
            assert_eq!(&rest[..6], b"070701");
            let field = |index: usize| {
                let digits = std::str::from_utf8(&rest[6 + 8 * index..14 + 8 * index]).unwrap();
                u32::from_str_radix(digits, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = std::str::from_utf8(&rest[110..110 + name_size - 1]).unwrap().to_owned();
            assert_eq!(rest[110 + name_size - 1], 0);
            let start = (110 + name_size).next_multiple_of(4);
            let data = rest[start..start + size].to_vec();
            rest = &rest[(start + size).next_multiple_of(4)..];
            assert_eq!((whole - rest.len()) % 4, 0);
            if name == "TRAILER!!!" {
                assert!(rest.is_empty());
                return found;
            }
            found.push((name, mode, data));
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        // Each length of data and name modulo four.
        for size in 0..9_u8 {
            let data: Vec<u8> = (0..size).collect();
            let name = format!("bin/{}", "x".repeat(usize::from(size) + 1));
            let mut archive = Archive::default();
            archive.directory("bin").unwrap();
            archive.program(&name, &data).unwrap();
            let entries = read(&archive.finish().unwrap());
            assert_eq!(entries, [("bin".to_owned(), 0o040_755, vec![]), (name, 0o100_755, data)]);
        }
    }
}
