//! The device tree for the hypervisor: the firmware's with a few fixed changes.
//!
//! One walk over the firmware's tree copies it token by token. Left out are its memory nodes, which
//! the firmware's memory map replaces (as the UEFI Specification has it, a tree says nothing about
//! memory), and what a boot loader puts into `/chosen`; both are written anew.
//!
//! Format: Devicetree Specification v0.4, chapter 5.

mod out;

use hyp_core::memory::PaRange;
use hyp_core::tree::{Header, Token, Tokens, string, u32_value};

pub use out::RewriteError;
use out::{END, END_NODE, Out};

/// What the hypervisor is told.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Memory, less all that the firmware keeps.
    pub memory: &'a [PaRange],
    /// Where the bundle is.
    pub bundle: PaRange,
    /// Words for Postern, added to those that the tree has.
    pub words: &'a [u8],
    /// Random bytes, added to those that the tree has.
    pub seed: &'a [u8],
}

/// Properties of `/chosen` and of the memory node, written anew.
const NAMES: [&[u8]; 6] =
    [b"linux,initrd-start", b"linux,initrd-end", b"bootargs", b"rng-seed", b"device_type", b"reg"];
const INITRD_START: usize = 0;
const INITRD_END: usize = 1;
const BOOTARGS: usize = 2;
const RNG_SEED: usize = 3;
const DEVICE_TYPE: usize = 4;
const REG: usize = 5;
/// So many of them, from the first, are replaced in `/chosen`.
const IN_CHOSEN: usize = 4;

/// Bytes of the header.
const HEADER: usize = 40;

/// Bytes that are enough for the new tree, where the old one has `old`.
#[must_use]
pub fn room(old: usize, facts: &Facts<'_>) -> usize {
    /// Tokens, names and numbers of all that is added, with plenty to spare.
    const ADDED: usize = 4096;
    [old, facts.words.len(), facts.seed.len()]
        .iter()
        .fold(ADDED, |sum, len| sum.saturating_add(*len))
}

/// Writes the tree to the start of `out`, from the `old` one; the answer is its size in bytes.
///
/// # Errors
///
/// [`RewriteError`].
pub fn write(old: &[u8], facts: &Facts<'_>, out: &mut [u8]) -> Result<usize, RewriteError> {
    let header = Header::read(old).map_err(|_| RewriteError::Tree)?;
    let strings_size = word_at(old, 32)?;
    let mut out = Out { bytes: out, at: 0, names: strings_size };
    // The header is known last.
    out.put(&[0; HEADER])?;
    for entry in header.reservations() {
        out.put(&entry.base.to_be_bytes())?;
        out.put(&entry.size.to_be_bytes())?;
    }
    out.put(&[0; 16])?;
    let structure = out.at;
    copy(header, old, facts, &mut out)?;
    let strings = out.at;
    out.put(bytes_at(old, word_at(old, 12)?, strings_size)?)?;
    for name in NAMES {
        out.put(name)?;
        out.put(&[0])?;
    }
    let size = out.at;
    out.at = 0;
    out.put(bytes_at(old, 0, 4)?)?;
    // Size, three offsets, version, last compatible version; boot CPU; two sizes.
    for number in [size, structure, strings, HEADER, 17, 16] {
        out.number(number)?;
    }
    out.put(bytes_at(old, 28, 4)?)?;
    out.number(size.saturating_sub(strings))?;
    out.number(strings.saturating_sub(structure))?;
    Ok(size)
}

/// What is written already of what goes into `/chosen`.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    words: bool,
    seed: bool,
}

/// Copies the structure block.
fn copy(
    header: Header<'_>,
    old: &[u8],
    facts: &Facts<'_>,
    out: &mut Out<'_>,
) -> Result<(), RewriteError> {
    let mut tokens = Tokens::new(header);
    // Devicetree Specification v0.4, 2.3.5 "#address-cells and #size-cells": the defaults.
    let (mut address_cells, mut size_cells) = (2, 1);
    let mut in_chosen: Option<Written> = None;
    let mut has_chosen = false;
    while let Some(token) = tokens.next_token().map_err(|_| RewriteError::Tree)? {
        let Token::Property { name, value, at } = token else {
            // A node's properties end where its first child begins, or itself ends.
            if let Some(written) = in_chosen.take() {
                out.chosen(facts, written)?;
            }
            if let Token::Begin { name, .. } = token {
                if is_memory(&tokens) {
                    while tokens.depth() > 1 {
                        tokens.next_token().map_err(|_| RewriteError::Tree)?;
                    }
                    continue;
                }
                out.begin(name)?;
                if tokens.depth() == 2 && name == b"chosen" {
                    in_chosen = Some(Written::default());
                    has_chosen = true;
                }
            } else {
                if tokens.depth() == 0 {
                    if !has_chosen {
                        out.begin(b"chosen")?;
                        out.chosen(facts, Written::default())?;
                        out.word(END_NODE)?;
                    }
                    out.memory(facts.memory, address_cells, size_cells)?;
                }
                out.word(END_NODE)?;
            }
            continue;
        };
        if tokens.depth() == 1 {
            let cells =
                || u32_value(value).filter(|n| matches!(n, 1..=2)).ok_or(RewriteError::Cells);
            if name.is(b"#address-cells") {
                address_cells = cells()?;
            } else if name.is(b"#size-cells") {
                size_cells = cells()?;
            }
        }
        if let Some(written) = &mut in_chosen {
            match NAMES.iter().take(IN_CHOSEN).position(|known| name.is(known)) {
                Some(BOOTARGS) => {
                    written.words = true;
                    out.words(string(value).unwrap_or_default(), facts)?;
                    continue;
                }
                Some(RNG_SEED) => {
                    written.seed = true;
                    out.named(RNG_SEED, &[value, facts.seed])?;
                    continue;
                }
                Some(_) => continue,
                None => {}
            }
        }
        // Before the value stand its length and where its name is among the strings, which is the
        // same in the new tree.
        out.property(word_at(old, at.saturating_sub(4))?, &[value])?;
    }
    out.word(END)
}

/// Whether the node that `tokens` has just entered describes memory: a child of the root with the
/// device type that [`hyp_core::tree::Machine`] looks for.
fn is_memory(tokens: &Tokens<'_>) -> bool {
    let mut tokens = tokens.clone();
    if tokens.depth() != 2 {
        return false;
    }
    while let Ok(Some(Token::Property { name, value, .. })) = tokens.next_token() {
        if name.is(b"device_type") {
            return value == b"memory\0";
        }
    }
    false
}

impl Out<'_> {
    /// A property that is called as [`NAMES`] says.
    fn named(&mut self, name: usize, value: &[&[u8]]) -> Result<(), RewriteError> {
        let before = NAMES.iter().take(name).map(|name| name.len().saturating_add(1));
        let at = before.fold(self.names, |sum, len| sum.saturating_add(len));
        self.property(at, value)
    }

    /// What a boot loader puts into `/chosen`, less what is there already.
    fn chosen(&mut self, facts: &Facts<'_>, written: Written) -> Result<(), RewriteError> {
        self.named(INITRD_START, &[&facts.bundle.base().0.to_be_bytes()])?;
        self.named(INITRD_END, &[&facts.bundle.end().0.to_be_bytes()])?;
        if !written.words {
            self.words(b"", facts)?;
        }
        if !written.seed {
            self.named(RNG_SEED, &[facts.seed])?;
        }
        Ok(())
    }

    fn words(&mut self, old: &[u8], facts: &Facts<'_>) -> Result<(), RewriteError> {
        self.named(BOOTARGS, &[old, b" ", facts.words, b"\0"])
    }

    fn memory(
        &mut self,
        banks: &[PaRange],
        address_cells: u32,
        size_cells: u32,
    ) -> Result<(), RewriteError> {
        self.begin(b"memory")?;
        self.named(DEVICE_TYPE, &[b"memory\0"])?;
        self.named(REG, &[])?;
        let start = self.at;
        for bank in banks {
            let mut rest = *bank;
            while !rest.is_empty() {
                // Where a size is one word, a large bank is several that touch.
                let most = if size_cells == 1 { 1 << 31 } else { u64::MAX };
                let size = rest.size().min(most);
                self.cell(address_cells, rest.base().0)?;
                self.cell(size_cells, size)?;
                let next = rest.base().checked_add(size).ok_or(RewriteError::Cells)?;
                rest = PaRange::between(next, rest.end());
            }
        }
        // Now it is known how long the value is.
        let len = self.at.saturating_sub(start);
        let end = core::mem::replace(&mut self.at, start.saturating_sub(8));
        self.number(len)?;
        self.at = end;
        self.word(END_NODE)
    }
}

/// `len` bytes at `at` of a checked tree.
fn bytes_at(tree: &[u8], at: usize, len: usize) -> Result<&[u8], RewriteError> {
    tree.get(at..at.saturating_add(len)).ok_or(RewriteError::NoRoom)
}

/// The word at `at` of a checked tree.
fn word_at(tree: &[u8], at: usize) -> Result<usize, RewriteError> {
    let word = u32_value(bytes_at(tree, at, 4)?).and_then(|word| usize::try_from(word).ok());
    word.ok_or(RewriteError::NoRoom)
}

#[cfg(test)]
mod tests;
