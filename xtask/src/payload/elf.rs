//! AArch64 ELF files, flattened by physical address.

use anyhow::{Context, Result, bail};
use object::LittleEndian;
use object::elf::{EM_AARCH64, ET_DYN, ET_EXEC, FileHeader64, PT_INTERP, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// Segments further apart than this are not joined into one piece.
const LARGEST: u64 = 256 << 20;

/// A file's segments as one run of bytes.
#[derive(Debug)]
pub(super) struct Flat {
    /// The bytes, holes filled with zeros.
    pub(super) bytes: Vec<u8>,
    /// Physical address of the first byte.
    pub(super) load: u64,
    /// First address behind the zeroed data.
    pub(super) end: u64,
    /// Physical address of the entry point.
    pub(super) entry: u64,
}

/// Whether `bytes` claim to be an ELF file.
pub(super) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// Puts the loadable segments where their physical addresses say.
pub(super) fn flatten(file: &[u8]) -> Result<Flat> {
    // e_ident: class at 4, byte order at 5; e_machine at 18 in both classes.
    if file.get(4) == Some(&1) {
        bail!("it is a 32-bit ELF file; Postern's guests are 64-bit: build it for AArch64");
    }
    if file.get(5) == Some(&2) {
        bail!("it is a big-endian ELF file; build it for little-endian AArch64");
    }
    let cut = "its ELF headers are damaged or cut short; build it again";
    let header = FileHeader64::<LittleEndian>::parse(file).context(cut)?;
    let machine = header.e_machine(LittleEndian);
    if machine != EM_AARCH64 {
        bail!("it is an ELF file for {}, not for AArch64", super::foreign::elf_machine(machine.0));
    }
    if ![ET_EXEC, ET_DYN].contains(&header.e_type(LittleEndian)) {
        bail!("it is an ELF file that is not linked to a program: link it");
    }
    let mut segments = Vec::new();
    for program in header.program_headers(LittleEndian, file).context(cut)? {
        if program.p_type(LittleEndian) == PT_INTERP {
            bail!(
                "it asks for a dynamic loader, and nobody runs one before a guest: compile it with \
                 -fno-pie and link it with -static -no-pie"
            );
        }
        if program.p_type(LittleEndian) != PT_LOAD || program.p_memsz(LittleEndian) == 0 {
            continue;
        }
        let data = program.data(LittleEndian, file).ok().context(
            "it is cut short: a segment's data lies behind its end; fetch or build it again",
        )?;
        // ELF gABI, "Program Header": "The file size may not be larger than the memory size."
        if u64::try_from(data.len())? > program.p_memsz(LittleEndian) {
            bail!("a segment of it is larger in the file than in memory: build it again");
        }
        segments.push(Segment {
            data,
            virtual_: program.p_vaddr(LittleEndian),
            physical: program.p_paddr(LittleEndian),
            size: program.p_memsz(LittleEndian),
        });
    }
    join(&segments, header.e_entry(LittleEndian))
}

/// One loadable segment.
struct Segment<'a> {
    data: &'a [u8],
    virtual_: u64,
    physical: u64,
    size: u64,
}

fn join(segments: &[Segment<'_>], entry: u64) -> Result<Flat> {
    let load = segments.iter().map(|segment| segment.physical).min();
    let load = load.context("it is an ELF file without anything to load")?;
    let mut end = load;
    for segment in segments {
        end = end.max(super::span(segment.physical, segment.size)?);
    }
    if end - load > LARGEST {
        bail!("its segments from {load:#x} to {end:#x} are more than {} MiB apart", LARGEST >> 20);
    }
    let mut bytes = Vec::new();
    // Zeroed data needs no bytes: memory is zero at the start and after a reset.
    for segment in segments.iter().filter(|segment| !segment.data.is_empty()) {
        let at = usize::try_from(segment.physical - load)?;
        let behind = at + segment.data.len();
        if bytes.len() < behind {
            bytes.resize(behind, 0);
        }
        bytes.splice(at..behind, segment.data.iter().copied());
    }
    // The entry is a virtual address; the machine starts with translation off.
    let entry = segments
        .iter()
        .find_map(|segment| {
            let offset = entry.checked_sub(segment.virtual_)?;
            (offset < segment.size).then(|| segment.physical + offset)
        })
        .with_context(|| format!("its entry point {entry:#x} lies in no segment; set ENTRY"))?;
    Ok(Flat { bytes, load, end, entry })
}
