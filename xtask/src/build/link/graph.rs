//! What of a compiled program refers to what, by section: each function and each constant has one.

use std::collections::HashMap;

use anyhow::{Context, Result};
use object::elf;
use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, RelocationFlags, RelocationTarget,
    SectionFlags, SectionIndex, SymbolKind, SymbolSection,
};

/// How to unwind each function, which is not loaded (`linker/hyp.ld`).
pub const UNWINDING: &str = ".eh_frame";

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A function.
    Function,
    /// Code that no function symbol is in.
    Assembly,
    /// What is only read.
    Constant,
    /// What can be written.
    Variable,
}

/// A reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Index of the section that is meant, which is another.
    pub to: usize,
    /// Whether it makes the address rather than going there.
    pub takes_address: bool,
}

/// A section that is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name, which is unique only as far as the compiler makes it so.
    pub name: String,
    pub kind: Kind,
    /// The function's name, demangled and without its hash; empty for all else.
    pub function: String,
    pub references: Vec<Reference>,
}

/// All sections of all objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    pub sections: Vec<Section>,
    /// Where each is in that list, by the number of its object and its own there.
    pub places: HashMap<(usize, SectionIndex), usize>,
}

impl Graph {
    /// Reads relocatable objects.
    ///
    /// # Errors
    ///
    /// One is damaged.
    pub fn of(objects: &[Vec<u8>]) -> Result<Self> {
        let files: Vec<_> = objects
            .iter()
            .map(|object| object::File::parse(&**object).context("an object is no ELF file"))
            .collect::<Result<_>>()?;
        let mut graph = Self::default();
        let mut places = HashMap::new();
        for (number, file) in files.iter().enumerate() {
            for section in file.sections() {
                let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
                let name = section.name()?;
                if !sh_flags.contains(elf::SHF_ALLOC) || name == UNWINDING {
                    continue;
                }
                places.insert((number, section.index()), graph.sections.len());
                let kind = if sh_flags.contains(elf::SHF_EXECINSTR) {
                    Kind::Assembly
                } else if sh_flags.contains(elf::SHF_WRITE) {
                    Kind::Variable
                } else {
                    Kind::Constant
                };
                let name = name.to_owned();
                let (function, references) = Default::default();
                graph.sections.push(Section { name, kind, function, references });
            }
        }
        // Symbols that are seen in other objects.
        let mut known = HashMap::new();
        for (number, file) in files.iter().enumerate() {
            for symbol in file.symbols() {
                let SymbolSection::Section(index) = symbol.section() else { continue };
                let Some(place) = places.get(&(number, index)).copied() else { continue };
                let name = symbol.name()?;
                if symbol.is_global() {
                    known.insert(name, place);
                }
                let section = &mut graph.sections[place];
                if symbol.kind() == SymbolKind::Text && section.kind == Kind::Assembly {
                    section.kind = Kind::Function;
                    section.function = readable(name);
                }
            }
        }
        for (number, file) in files.iter().enumerate() {
            for section in file.sections() {
                let Some(from) = places.get(&(number, section.index())).copied() else { continue };
                for (_, relocation) in section.relocations() {
                    let here = |index: SectionIndex| places.get(&(number, index)).copied();
                    let to = match relocation.target() {
                        RelocationTarget::Section(index) => here(index),
                        RelocationTarget::Symbol(index) => {
                            let symbol = file.symbol_by_index(index)?;
                            match symbol.section() {
                                SymbolSection::Section(index) => here(index),
                                _ => known.get(symbol.name()?).copied(),
                            }
                        }
                        _ => None,
                    };
                    // The linker's own names, and the compiler's library, which all stays.
                    let Some(to) = to.filter(|to| *to != from) else { continue };
                    let takes_address = takes_address(relocation.flags());
                    graph.sections[from].references.push(Reference { to, takes_address });
                }
            }
        }
        graph.places = places;
        Ok(graph)
    }
}

/// Whether a relocation is for an address that is made, not for a place that is gone to (ELF for the
/// Arm 64-bit Architecture, "Relocation"). Differences of addresses are in tables of a `match`.
fn takes_address(flags: RelocationFlags) -> bool {
    !matches!(
        flags,
        RelocationFlags::Elf {
            r_type: elf::R_AARCH64_CALL26
                | elf::R_AARCH64_JUMP26
                | elf::R_AARCH64_CONDBR19
                | elf::R_AARCH64_TSTBR14
                | elf::R_AARCH64_PREL32
        }
    )
}

/// A function's name as people write it.
fn readable(symbol: &str) -> String {
    let name = addr2line::demangle_auto(symbol.into(), None);
    // Of the older scheme: `::h` and 16 hexadecimal digits.
    match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name.to_owned(),
        _ => name.into_owned(),
    }
}
