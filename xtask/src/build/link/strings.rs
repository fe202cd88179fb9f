//! Texts that end with a zero: the compiler puts all of them into one section, for the linker to merge,
//! and so those of boot would stay. Here they move.
//!
//! They go behind a constant of boot's in the object, and what refers to them is made to name that
//! constant instead. Format: System V ABI, chapter 4 "Object Files", 64-bit.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, Rela as _, SectionHeader as _, Sym as _};
use object::{LittleEndian as Little, SectionIndex};

/// Bytes of a section header, and where in it are the section's place in the file and its size.
const HEADER: u64 = 64;
const OFFSET_AT: u64 = 24;
const SIZE_AT: u64 = 32;
/// Bytes of a relocation, and where in it are symbol and type, and the addend.
const RELOCATION: u64 = 24;
const INFO_AT: u64 = 8;
const ADDEND_AT: u64 = 16;

/// Whose a section is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Needed while guests run.
    Resident,
    /// Needed by boot only.
    Boot,
    /// Not loaded.
    Nobody,
}

/// A reference to a text.
struct Reference {
    /// Where the relocation is in the file.
    relocation: u64,
    kind: u32,
    /// Where the text begins, and what is named, in the section of texts.
    text: u64,
    target: u64,
    owner: Owner,
}

/// The constant behind which texts go.
struct Host {
    /// Where its section's header is in the file.
    header: u64,
    data: Vec<u8>,
    /// A symbol in it, and that symbol's value.
    symbol: u64,
    value: u64,
}

/// Moves the texts of `object` to which only boot refers. `owner` says whose each section is.
///
/// # Errors
///
/// The object is damaged.
pub fn move_boots(object: &mut Vec<u8>, owner: impl Fn(SectionIndex) -> Owner) -> Result<()> {
    let (mut host, texts, references) = match read(object, owner)? {
        Some(found) => found,
        None => return Ok(()),
    };
    let of = |owner| {
        let references = references.iter().filter(move |reference| reference.owner == owner);
        references.map(|reference| reference.text).collect::<BTreeSet<_>>()
    };
    let mut places = BTreeMap::new();
    for start in of(Owner::Boot).difference(&of(Owner::Resident)) {
        places.insert(*start, host.data.len() as u64);
        host.data.extend(text(&texts, *start)?);
    }
    for reference in &references {
        let Some(place) = places.get(&reference.text) else { continue };
        let within = reference.target - reference.text;
        let info = host.symbol << 32 | u64::from(reference.kind);
        put(object, reference.relocation + INFO_AT, info)?;
        let addend = (place + within).wrapping_sub(host.value);
        put(object, reference.relocation + ADDEND_AT, addend)?;
    }
    object.resize(object.len().next_multiple_of(16), 0);
    let end = object.len() as u64;
    put(object, host.header + OFFSET_AT, end)?;
    put(object, host.header + SIZE_AT, host.data.len() as u64)?;
    object.extend(host.data);
    Ok(())
}

/// The constant that has room behind it, the texts, and what refers to them; `None` if there are no
/// texts or nowhere to put them.
#[expect(clippy::type_complexity, reason = "three things that one look at the object finds")]
fn read(
    object: &[u8],
    owner: impl Fn(SectionIndex) -> Owner,
) -> Result<Option<(Host, Vec<u8>, Vec<Reference>)>> {
    let file = FileHeader64::<Little>::parse(object).context("not a 64-bit ELF file")?;
    let headers_at = file.e_shoff(Little);
    let sections = file.sections(Little, object)?;
    let symbols = sections.symbols(Little, object, elf::SHT_SYMTAB)?;
    let is_texts = |section: &elf::SectionHeader64<Little>| {
        let wanted = elf::SHF_ALLOC | elf::SHF_MERGE | elf::SHF_STRINGS;
        section.sh_flags(Little).contains(wanted) && section.sh_entsize(Little) == 1
    };
    let Some((texts_index, texts)) = sections.enumerate().find(|(_, one)| is_texts(one)) else {
        return Ok(None);
    };
    let texts = texts.data(Little, object)?.to_vec();
    // Of a kind that the linker leaves as it is.
    let is_host = |index: SectionIndex| {
        sections.section(index).is_ok_and(|section| {
            let constant = section.sh_flags(Little) == elf::SHF_ALLOC;
            constant && section.sh_type(Little) == elf::SHT_PROGBITS && owner(index) == Owner::Boot
        })
    };
    let host = symbols.enumerate().find_map(|(index, symbol)| {
        let section = symbols.symbol_section(Little, symbol, index).ok()??;
        is_host(section).then_some((index, symbol.st_value(Little), section))
    });
    let Some((symbol, value, section)) = host else { return Ok(None) };
    let host = Host {
        header: headers_at + HEADER * section.0 as u64,
        data: sections.section(section)?.data(Little, object)?.to_vec(),
        symbol: symbol.0 as u64,
        value,
    };
    let mut references = Vec::new();
    for section in sections.iter() {
        let Some((relocations, _)) = section.rela(Little, object)? else { continue };
        let owner = owner(section.info_link(Little));
        if owner == Owner::Nobody {
            continue;
        }
        for (number, relocation) in relocations.iter().enumerate() {
            let Some(index) = relocation.symbol(Little, false) else { continue };
            let symbol = symbols.symbol(index)?;
            if symbols.symbol_section(Little, symbol, index)? != Some(texts_index) {
                continue;
            }
            let addend = relocation.r_addend(Little);
            let target = symbol.st_value(Little).wrapping_add_signed(addend);
            references.push(Reference {
                relocation: section.sh_offset(Little) + RELOCATION * number as u64,
                kind: relocation.r_type(Little, false).0,
                text: start(&texts, target)?,
                target,
                owner,
            });
        }
    }
    Ok(Some((host, texts, references)))
}

/// Where the text begins that has byte `at`.
fn start(texts: &[u8], at: u64) -> Result<u64> {
    let before = texts.get(..usize::try_from(at)?).context("a text outside of its section")?;
    Ok(before.iter().rposition(|byte| *byte == 0).map_or(0, |end| end as u64 + 1))
}

/// The text that begins at `start`, with its zero.
fn text(texts: &[u8], start: u64) -> Result<&[u8]> {
    let text = texts.get(usize::try_from(start)?..).unwrap_or_default();
    text.split_inclusive(|byte| *byte == 0).next().context("a text without an end")
}

/// Writes the little-endian doubleword at `at`.
fn put(object: &mut [u8], at: u64, value: u64) -> Result<()> {
    let place = object.get_mut(usize::try_from(at)?..).and_then(|rest| rest.first_chunk_mut());
    *place.context("an object is cut short")? = value.to_le_bytes();
    Ok(())
}
