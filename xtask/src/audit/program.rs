//! An EL2 image as the audit reads it: its code cut into functions, its constants, its names.

use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};

/// One piece of code: a function, or the assembly from one label to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// First address.
    pub start: u64,
    /// Behind the last instruction.
    pub end: u64,
    /// Its name; several if the compiler has found equal functions.
    pub names: Vec<String>,
    /// The compiler gives functions a size, assembly has none.
    pub is_assembly: bool,
}

impl Piece {
    /// One name, for a reader.
    pub fn name(&self) -> &str {
        self.names.first().map_or("?", String::as_str)
    }
}

/// Code and constants of an AArch64 ELF file.
#[derive(Debug)]
pub struct Program {
    code: (u64, Vec<u8>),
    constants: Vec<(u64, Vec<u8>)>,
    pieces: Vec<Piece>,
}

impl Program {
    /// Reads an ELF file.
    ///
    /// # Errors
    ///
    /// It is none, has no symbols, or its code is scattered.
    pub fn read(elf_file: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf_file).context("not an ELF file")?;
        let mut codes = Vec::new();
        let mut constants = Vec::new();
        for section in file.sections().filter(|section| section.address() != 0) {
            let contents = || section.data().map(<[u8]>::to_vec);
            match section.kind() {
                SectionKind::Text => codes.push((section.address(), contents()?)),
                SectionKind::ReadOnlyData | SectionKind::ReadOnlyString | SectionKind::Data => {
                    constants.push((section.address(), contents()?));
                }
                _ => {}
            }
        }
        let code = joined(codes)?;
        let end = code.0 + code.1.len() as u64;
        let mut symbols = Vec::new();
        for symbol in file.symbols() {
            let name = symbol.name()?;
            let is_here = (code.0..end).contains(&symbol.address());
            // `$x` and `$d` are the linker's marks for code and data.
            if is_here && !symbol.is_undefined() && !name.is_empty() && !name.starts_with('$') {
                let name = addr2line::demangle_auto(name.into(), None).into_owned();
                symbols.push((symbol.address(), symbol.size(), name));
            }
        }
        ensure!(!symbols.is_empty(), "the file names no functions");
        Ok(Self { code, constants, pieces: pieces(symbols, end) })
    }

    /// Code at 0, of functions `(name, words, is_assembly)`, with these constants behind it.
    #[cfg(test)]
    pub fn of(functions: &[(&str, &[u32], bool)], constants: &[u64]) -> Self {
        let (mut code, mut symbols) = (Vec::new(), Vec::new());
        for (name, words, is_assembly) in functions {
            let size = if *is_assembly { 0 } else { 4 * words.len() as u64 };
            symbols.push((code.len() as u64, size, (*name).to_owned()));
            code.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        }
        let end = code.len() as u64;
        let constants = constants.iter().flat_map(|word| word.to_le_bytes()).collect();
        let constants = vec![(end.next_multiple_of(4096), constants)];
        Self { code: (0, code), constants, pieces: pieces(symbols, end) }
    }

    /// All pieces, by address.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The piece that `address` lies in.
    pub fn piece(&self, address: u64) -> Option<&Piece> {
        let index = self.pieces.partition_point(|piece| piece.start <= address).checked_sub(1)?;
        self.pieces.get(index).filter(|piece| address < piece.end)
    }

    /// The piece of that name.
    pub fn named(&self, name: &str) -> Option<&Piece> {
        self.pieces.iter().find(|piece| piece.names.iter().any(|other| other == name))
    }

    /// The instruction at `address`.
    pub fn word(&self, address: u64) -> Option<u32> {
        let at = usize::try_from(address.checked_sub(self.code.0)?).ok()?;
        self.code.1.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// The doubleword among the code at `address`.
    pub fn literal(&self, address: u64) -> Option<u64> {
        let low = self.word(address)?;
        let high = self.word(address.checked_add(4)?)?;
        Some(u64::from(high) << 32 | u64::from(low))
    }

    /// Every aligned doubleword of the constants and variables that is an address of code: entries
    /// of tables of methods, of `static` function pointers and the like.
    pub fn pointers(&self) -> impl Iterator<Item = u64> {
        self.constants
            .iter()
            .flat_map(|(base, bytes)| {
                let skip = usize::try_from(base.wrapping_neg() % 8).unwrap_or(0);
                let (words, _) = bytes.get(skip..).unwrap_or(&[]).as_chunks::<8>();
                words.iter().map(|word| u64::from_le_bytes(*word))
            })
            .filter(|value| self.piece(*value).is_some())
    }
}

/// Sections as one piece of memory, with zeros, which are no instruction, up to where a page ends.
fn joined(mut sections: Vec<(u64, Vec<u8>)>) -> Result<(u64, Vec<u8>)> {
    sections.sort();
    let mut sections = sections.into_iter();
    let (start, mut bytes) = sections.next().context("no code in the file")?;
    for (address, contents) in sections {
        let at = usize::try_from(address - start)?;
        let gap = at.checked_sub(bytes.len());
        ensure!(gap.is_some_and(|gap| gap < 4096), "code at {address:#x}, far from the rest");
        bytes.resize(at, 0);
        bytes.extend(contents);
    }
    Ok((start, bytes))
}

/// Cuts the code at each symbol. `symbols` are address, size and name.
fn pieces(mut symbols: Vec<(u64, u64, String)>, end: u64) -> Vec<Piece> {
    symbols.sort();
    let mut pieces: Vec<Piece> = Vec::new();
    for (start, size, name) in symbols {
        match pieces.last_mut() {
            Some(last) if last.start == start => {
                last.names.push(name);
                last.end = last.end.max(start + size);
                last.is_assembly &= size == 0;
            }
            _ => pieces.push(Piece {
                start,
                end: start + size,
                names: vec![name],
                is_assembly: size == 0,
            }),
        }
    }
    let starts: Vec<u64> = pieces.iter().map(|piece| piece.start).skip(1).chain([end]).collect();
    for (piece, next) in pieces.iter_mut().zip(starts) {
        if piece.is_assembly {
            piece.end = next;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_one_piece_of_code() {
        let parts = vec![(0x1008, vec![3; 4]), (0x1000, vec![1, 2, 3, 4])];
        assert_eq!(joined(parts).unwrap(), (0x1000, vec![1, 2, 3, 4, 0, 0, 0, 0, 3, 3, 3, 3]));
        assert!(joined(vec![(0x1000, vec![0; 4]), (0x2004, vec![0; 4])]).is_err());
        assert!(joined(vec![(0x1000, vec![0; 8]), (0x1004, vec![0; 4])]).is_err());
        assert!(joined(Vec::new()).is_err());
    }

    #[test]
    fn code_is_cut_at_names_and_equal_functions_share_a_piece() {
        let symbols = [(16, 8, "b"), (0, 0, "label"), (16, 8, "a"), (8, 4, "c"), (24, 0, "last")];
        let symbols = symbols.map(|(at, size, name)| (at, size, name.to_owned())).to_vec();
        let cut = pieces(symbols, 40);
        let shown: Vec<_> = cut
            .iter()
            .map(|piece| (piece.start, piece.end, piece.names.join("+"), piece.is_assembly))
            .collect();
        assert_eq!(
            shown,
            [
                (0, 8, "label".to_owned(), true),
                (8, 12, "c".to_owned(), false),
                (16, 24, "a+b".to_owned(), false),
                (24, 40, "last".to_owned(), true),
            ]
        );
    }
}
