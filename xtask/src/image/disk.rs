//! A disk with one partition, which is a FAT volume: what firmware reads on every board.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use anyhow::{Context, Result};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions, format_volume};
use gpt::GptConfig;
use gpt::mbr::ProtectiveMBR;
use gpt::partition::{Partition, PartitionAttributes};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::board::Table;

/// A file of the volume.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    /// Folder, its parts separated by slashes, or empty for the root.
    pub(super) folder: &'a str,
    /// Name within it.
    pub(super) name: &'a str,
    /// Contents.
    pub(super) bytes: &'a [u8],
}

/// Room for the file system's own tables and for who adds files later, boot firmware for instance.
const SPARE: u64 = 24 << 20;
/// Small volumes become FAT12, which some firmware does not read.
const SMALLEST: u64 = 64 << 20;
/// Behind the partition: a GPT's copy at the end of the disk.
const TAIL: u64 = 1 << 20;
const SECTOR: u64 = 512;

/// Partition types for FAT addressed by sector number.
const FAT16: u8 = 0x0e;
const FAT32: u8 = 0x0c;

/// The disk, as large as a card can be: a power of two, which QEMU demands of a card. The same
/// files give the same bytes.
///
/// `start` is where the partition begins; what is before it, behind the table, stays zero.
///
/// # Errors
///
/// The files are more than FAT can hold.
pub(super) fn fat(files: &[File<'_>], table: Table, start: u64) -> Result<Vec<u8>> {
    let mut contents = 0;
    for file in files {
        contents += u64::try_from(file.bytes.len())?;
    }
    // The tables take at most 1/64, with the smallest clusters.
    let size = start + contents + contents / 64 + SPARE + TAIL;
    let size = size.max(SMALLEST).next_power_of_two();
    let mut disk = vec![0; usize::try_from(size)?];
    let place = usize::try_from(start)?..usize::try_from(size - TAIL)?;
    let volume = disk.get_mut(place).context("the partition has no place")?;
    let kind = fill(Cursor::new(volume), files).context("could not make the FAT volume")?;
    let (first, count) = (start / SECTOR, (size - TAIL - start) / SECTOR);
    match table {
        Table::Mbr => write_mbr(&mut disk, kind, first, count)?,
        Table::Gpt => write_gpt(&mut disk, files, first, count)?,
    }
    Ok(disk)
}

/// Where a disk's first sector has the table.
const TABLE: usize = 0x1be;

/// Writes a table with one partition, marked as the one to boot, and the signature behind it.
fn write_mbr(disk: &mut [u8], kind: u8, first: u64, count: u64) -> Result<()> {
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
    disk.get_mut(TABLE..TABLE + table.len())
        .context("the partition table has no place")?
        .copy_from_slice(&table);
    Ok(())
}

/// Writes both copies of a GUID partition table and the old table that guards them.
fn write_gpt(disk: &mut [u8], files: &[File<'_>], first: u64, count: u64) -> Result<()> {
    let sectors = u64::try_from(disk.len())? / SECTOR;
    let mut device = Cursor::new(disk);
    ProtectiveMBR::with_lb_size(u32::try_from(sectors - 1)?)
        .overwrite_lba0(&mut device)
        .context("could not write the protective partition table")?;
    let partition = Partition {
        part_type_guid: gpt::partition_types::EFI,
        part_guid: name_of(files, b"partition"),
        first_lba: first,
        last_lba: first + count - 1,
        flags: PartitionAttributes::BOOTABLE.bits(),
        name: "postern".to_owned(),
    };
    let mut table = GptConfig::new()
        .writable(true)
        .create_from_device(device, Some(name_of(files, b"disk")))?;
    table.update_partitions(BTreeMap::from([(1, partition)]))?;
    table.write().context("could not write the partition table")?;
    Ok(())
}

/// A name for the world to know the disk by, made of its contents: the same ones have the same.
fn name_of(files: &[File<'_>], what: &[u8]) -> Uuid {
    let mut sum = Sha256::new();
    sum.update(what);
    for file in files {
        sum.update(file.folder);
        sum.update(file.name);
        sum.update(file.bytes);
    }
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(sum.finalize()).for_each(|(to, from)| *to = from);
    // RFC 9562, 5.8: what the maker likes, marked as such.
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Makes the volume; the answer is its partition type.
fn fill(mut disk: Cursor<&mut [u8]>, files: &[File<'_>]) -> std::io::Result<u8> {
    format_volume(&mut disk, FormatVolumeOptions::new().volume_label(*b"POSTERN    "))?;
    let volume = FileSystem::new(disk, FsOptions::new())?;
    for file in files {
        let mut folder = volume.root_dir();
        for name in file.folder.split('/').filter(|name| !name.is_empty()) {
            // One that is there already is opened.
            folder = folder.create_dir(name)?;
        }
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

    fn assert_files(partition: &mut [u8], files: &[File<'_>]) {
        let volume = FileSystem::new(Cursor::new(partition), FsOptions::new()).unwrap();
        for file in files {
            let mut found = Vec::new();
            let path = format!("{}/{}", file.folder, file.name);
            let mut open = volume.root_dir().open_file(path.trim_start_matches('/')).unwrap();
            open.read_to_end(&mut found).unwrap();
            assert!(found == file.bytes, "{path}");
        }
    }

    #[test]
    fn files_come_back_from_the_partition() {
        let large: Vec<u8> = (0..3_000_001_u32).map(|n| n.to_le_bytes()[1]).collect();
        let files = [
            File { folder: "extlinux", name: "extlinux.conf", bytes: b"default postern\n" },
            File { folder: "EFI/BOOT", name: "one", bytes: b"1" },
            File { folder: "EFI/BOOT", name: "two", bytes: b"2" },
            File { folder: "", name: "postern.img", bytes: &large },
        ];
        let mut disk = fat(&files, Table::Mbr, 1 << 20).unwrap();
        assert_eq!(fat(&files, Table::Mbr, 1 << 20).unwrap(), disk);
        assert_eq!(disk.len(), 64 << 20);
        assert_eq!(disk.get(510..512), Some(&[0x55, 0xaa][..]));
        // Bootable, FAT16 by sector number, from sector 2048, up to the last MiB.
        assert_eq!((disk[0x1be], disk[0x1c2]), (0x80, 0x0e));
        assert_eq!(disk.get(0x1c6..0x1ca), Some(&[0, 8, 0, 0][..]));
        let sectors = u32::from_le_bytes(disk[0x1ca..0x1ce].try_into().unwrap());
        assert_eq!(u64::from(sectors) * 512 + (2 << 20), disk.len() as u64);
        assert_files(&mut disk[1 << 20..63 << 20], &files);
    }

    #[test]
    fn a_guid_table_has_two_sound_copies_and_leaves_room_for_firmware() {
        let files = [File { folder: "", name: "postern.img", bytes: b"image" }];
        let mut disk = fat(&files, Table::Gpt, 8 << 20).unwrap();
        assert_eq!(fat(&files, Table::Gpt, 8 << 20).unwrap(), disk);
        let table = GptConfig::new()
            .only_valid_headers(true)
            .open_from_device(Cursor::new(disk.clone()))
            .unwrap();
        assert!(table.primary_header().is_ok() && table.backup_header().is_ok());
        let partition = &table.partitions()[&1];
        assert_eq!(partition.first_lba, (8 << 20) / 512);
        assert_eq!(partition.last_lba, (63 << 20) / 512 - 1);
        // UEFI 2.10, table 5.8: attribute 2 is what U-Boot looks for beside the type.
        assert_eq!(partition.flags, 4);
        // The protective entry, and nothing where i.MX boot ROMs look for firmware.
        assert_eq!(disk[0x1c2], 0xee);
        assert!(disk[32 << 10..8 << 20].iter().all(|byte| *byte == 0));
        assert_files(&mut disk[8 << 20..63 << 20], &files);
    }
}
