//! A disk with one partition, which is a FAT volume: what firmware reads on every board.

use std::io::{Cursor, Write};

use anyhow::{Context, Result};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions, format_volume};

/// A file of the volume.
#[derive(Debug)]
pub(super) struct File<'a> {
    /// Folder, or empty for the root.
    pub(super) folder: &'a str,
    /// Name within it.
    pub(super) name: &'a str,
    /// Contents.
    pub(super) bytes: &'a [u8],
}

/// Room for the file system's own tables and for who adds files later.
const SPARE: u64 = 8 << 20;

/// Small volumes become FAT12, which some firmware does not read.
const SMALLEST: u64 = 32 << 20;

/// Where the partition begins, as partitioning programs do it.
const START: u64 = 1 << 20;
const SECTOR: u64 = 512;

/// Partition types for FAT addressed by sector number.
const FAT16: u8 = 0x0e;
const FAT32: u8 = 0x0c;

/// The disk. The same files give the same bytes.
///
/// # Errors
///
/// The files are more than FAT can hold.
pub(super) fn fat(files: &[File<'_>]) -> Result<Vec<u8>> {
    let mut contents = 0;
    for file in files {
        contents += u64::try_from(file.bytes.len())?;
    }
    // The tables take at most 1/64, with the smallest clusters.
    let size = (contents + contents / 64 + SPARE).max(SMALLEST).next_multiple_of(1 << 20);
    let mut disk = vec![0; usize::try_from(START + size)?];
    let (head, partition) = disk.split_at_mut(usize::try_from(START)?);
    let kind = fill(Cursor::new(partition), files).context("could not make the FAT volume")?;
    let table = partition_table(kind, START / SECTOR, size / SECTOR)?;
    head.get_mut(TABLE..TABLE + table.len())
        .context("the partition table has no place")?
        .copy_from_slice(&table);
    Ok(disk)
}

/// Where a disk's first sector has the table.
const TABLE: usize = 0x1be;

/// The table with one partition, marked as the one to boot, and the signature behind it.
fn partition_table(kind: u8, first: u64, count: u64) -> Result<Vec<u8>> {
    /// What stands for an address that cylinder, head and sector cannot say.
    const NO_CHS: [u8; 3] = [0xfe, 0xff, 0xff];
    const BOOTABLE: u8 = 0x80;
    const ENTRIES: usize = 4 * 16;

    let mut table = vec![BOOTABLE];
    table.extend(NO_CHS);
    table.push(kind);
    table.extend(NO_CHS);
    table.extend(u32::try_from(first)?.to_le_bytes());
    table.extend(u32::try_from(count)?.to_le_bytes());
    table.resize(ENTRIES, 0);
    table.extend([0x55, 0xaa]);
    Ok(table)
}

/// Makes the volume; the answer is its partition type.
fn fill(mut disk: Cursor<&mut [u8]>, files: &[File<'_>]) -> std::io::Result<u8> {
    format_volume(&mut disk, FormatVolumeOptions::new().volume_label(*b"POSTERN    "))?;
    let volume = FileSystem::new(disk, FsOptions::new())?;
    for file in files {
        let root = volume.root_dir();
        let folder = if file.folder.is_empty() { root } else { root.create_dir(file.folder)? };
        let mut written = folder.create_file(file.name)?;
        written.write_all(file.bytes)?;
        written.flush()?;
    }
    let kind = if volume.fat_type() == FatType::Fat32 { FAT32 } else { FAT16 };
    volume.unmount()?;
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn files_come_back_from_the_partition() {
        let large: Vec<u8> = (0..3_000_001_u32).map(|n| n.to_le_bytes()[1]).collect();
        let files = [
            File { folder: "extlinux", name: "extlinux.conf", bytes: b"default postern\n" },
            File { folder: "", name: "postern.img", bytes: &large },
        ];
        let mut disk = fat(&files).unwrap();
        assert_eq!(fat(&files).unwrap(), disk);
        assert_eq!(disk.get(510..512), Some(&[0x55, 0xaa][..]));
        // Bootable, FAT16 by sector number, from sector 2048, all that is left.
        assert_eq!((disk[0x1be], disk[0x1c2]), (0x80, 0x0e));
        assert_eq!(disk.get(0x1c6..0x1ca), Some(&[0, 8, 0, 0][..]));
        let sectors = u32::from_le_bytes(disk[0x1ca..0x1ce].try_into().unwrap());
        assert_eq!(u64::from(sectors) * 512 + (1 << 20), disk.len() as u64);

        let partition = disk.get_mut(1 << 20..).unwrap();
        let volume = FileSystem::new(Cursor::new(partition), FsOptions::new()).unwrap();
        for (path, expected) in
            [("extlinux/extlinux.conf", files[0].bytes), ("POSTERN.IMG", files[1].bytes)]
        {
            let mut found = Vec::new();
            volume.root_dir().open_file(path).unwrap().read_to_end(&mut found).unwrap();
            assert!(found == expected, "{path}");
        }
    }
}
