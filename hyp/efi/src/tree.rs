//! The device tree for the hypervisor: the firmware's with a few fixed changes.
//!
//! One walk over the firmware's tree copies it token by token. Left out are its memory nodes, which
//! the firmware's memory map replaces (as the UEFI Specification has it, a tree says nothing about
//! memory), and what a boot loader puts into `/chosen`; both are written anew.
//!
//! Format: Devicetree Specification v0.4, chapter 5.

mod out;

use core::mem;

use hyp_core::memory::PaRange;
use hyp_core::tree::{Header, PropertyName, Token, Tokens, string, u32_value};

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
    let old_strings = bytes_at(old, word_at(old, 12), word_at(old, 32));
    let mut out = Out { bytes: out, at: 0, names: old_strings.len(), error: None };
    // The header is known last.
    out.put(&[0; HEADER]);
    for entry in header.reservations() {
        out.put(&entry.base.to_be_bytes());
        out.put(&entry.size.to_be_bytes());
    }
    out.put(&[0; 16]);
    let structure = out.at;
    copy(header, old, facts, &mut out);
    let strings = out.at;
    out.put(old_strings);
    for name in NAMES {
        out.put(name);
        out.put(&[0]);
    }
    let size = out.at;
    out.at = 0;
    out.put(bytes_at(old, 0, 4));
    // Size, three offsets, version, last compatible version; boot CPU; two sizes.
    for number in [size, structure, strings, HEADER, 17, 16] {
        out.number(number);
    }
    out.put(bytes_at(old, 28, 4));
    out.number(size.saturating_sub(strings));
    out.number(strings.saturating_sub(structure));
    out.error.map_or(Ok(size), Err)
}

/// What is written already of what goes into `/chosen`.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    words: bool,
    seed: bool,
}

/// Copies the structure block.
fn copy(header: Header<'_>, old: &[u8], facts: &Facts<'_>, out: &mut Out<'_>) {
    let mut tokens = Tokens::new(header);
    // Devicetree Specification v0.4, 2.3.5 "#address-cells and #size-cells": the defaults.
    let (mut address_cells, mut size_cells) = (2, 1);
    let mut in_chosen: Option<Written> = None;
    let mut has_chosen = false;
    loop {
        let token = match tokens.next_token() {
            Ok(Some(token)) => token,
            Ok(None) => return out.word(END),
            Err(_) => return out.fail(RewriteError::Tree),
        };
        // A node's properties end where its first child begins, or itself ends.
        if !matches!(token, Token::Property { .. })
            && let Some(written) = in_chosen.take()
        {
            out.chosen(facts, written);
        }
        match token {
            Token::Begin { .. } if is_memory(&tokens) => {
                // An error comes again.
                while tokens.depth() > 1 && tokens.next_token().is_ok() {}
            }
            Token::Begin { name, .. } => {
                out.begin(name);
                if tokens.depth() == 2 && name == b"chosen" {
                    in_chosen = Some(Written::default());
                    has_chosen = true;
                }
            }
            Token::Property { name, value, at } => {
                let place = in_chosen.as_mut().and_then(|written| Some((position(name)?, written)));
                match place {
                    Some((BOOTARGS, written)) => {
                        written.words = true;
                        out.words(string(value).unwrap_or_default(), facts);
                    }
                    Some((RNG_SEED, written)) => {
                        written.seed = true;
                        out.named(RNG_SEED, &[value, facts.seed]);
                    }
                    Some(_) => {}
                    // Before the value stand its length and where its name is among the strings,
                    // which is the same in the new tree.
                    None => out.property(word_at(old, at.saturating_sub(4)), &[value]),
                }
                if tokens.depth() == 1 && name.is(b"#address-cells") {
                    address_cells = u32_value(value).unwrap_or(0);
                } else if tokens.depth() == 1 && name.is(b"#size-cells") {
                    size_cells = u32_value(value).unwrap_or(0);
                }
            }
            Token::End => {
                if tokens.depth() == 0 {
                    if !has_chosen {
                        out.begin(b"chosen");
                        out.chosen(facts, Written::default());
                        out.word(END_NODE);
                    }
                    out.memory(facts.memory, address_cells, size_cells);
                }
                out.word(END_NODE);
            }
        }
    }
}

/// Which of the properties that are replaced in `/chosen` this is.
fn position(name: PropertyName<'_>) -> Option<usize> {
    NAMES.iter().take(IN_CHOSEN).position(|known| name.is(known))
}

/// Whether the node that `tokens` has just entered describes memory: a child of the root with the
/// device type that [`hyp_core::tree::Machine`] looks for. As there, the last of several counts.
fn is_memory(tokens: &Tokens<'_>) -> bool {
    let mut tokens = tokens.clone();
    if tokens.depth() != 2 {
        return false;
    }
    let mut is_memory = false;
    while let Ok(Some(Token::Property { name, value, .. })) = tokens.next_token() {
        if name.is(b"device_type") {
            is_memory = value == b"memory\0";
        }
    }
    is_memory
}

impl Out<'_> {
    /// A property that is called as [`NAMES`] says.
    fn named(&mut self, name: usize, value: &[&[u8]]) {
        let before = NAMES.iter().take(name).map(|name| name.len().saturating_add(1));
        let at = before.fold(self.names, |sum, len| sum.saturating_add(len));
        self.property(at, value);
    }

    /// What a boot loader puts into `/chosen`, less what is there already.
    fn chosen(&mut self, facts: &Facts<'_>, written: Written) {
        self.named(INITRD_START, &[&facts.bundle.base().0.to_be_bytes()]);
        self.named(INITRD_END, &[&facts.bundle.end().0.to_be_bytes()]);
        if !written.words {
            self.words(b"", facts);
        }
        if !written.seed {
            self.named(RNG_SEED, &[facts.seed]);
        }
    }

    fn words(&mut self, old: &[u8], facts: &Facts<'_>) {
        self.named(BOOTARGS, &[old, b" ", facts.words, b"\0"]);
    }

    fn memory(&mut self, banks: &[PaRange], address_cells: u32, size_cells: u32) {
        self.begin(b"memory");
        self.named(DEVICE_TYPE, &[b"memory\0"]);
        self.named(REG, &[]);
        let start = self.at;
        for bank in banks {
            let (mut base, mut rest) = (bank.base().0, bank.size());
            while rest > 0 {
                // Where a size is one word, a large bank is several that touch.
                let size = if size_cells == 1 { rest.min(1 << 31) } else { rest };
                self.cell(address_cells, base);
                self.cell(size_cells, size);
                base = base.saturating_add(size);
                rest = rest.saturating_sub(size);
            }
        }
        // Now it is known how long the value is.
        let end = mem::replace(&mut self.at, start.saturating_sub(8));
        self.number(end.saturating_sub(start));
        self.at = end;
        self.word(END_NODE);
    }
}

/// `len` bytes at `at`; none if they are not there, which in a checked tree they are.
fn bytes_at(tree: &[u8], at: usize, len: usize) -> &[u8] {
    tree.get(at..at.saturating_add(len)).unwrap_or_default()
}

/// The word at `at`; zero if it is not there, which in a checked tree it is.
fn word_at(tree: &[u8], at: usize) -> usize {
    let word = u32_value(bytes_at(tree, at, 4));
    word.and_then(|word| usize::try_from(word).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
