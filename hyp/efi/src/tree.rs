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
    /// Where the bundle is.
    pub bundle: PaRange,
    /// Words for Postern, added to those that the tree has.
    pub words: &'a [u8],
    /// Random bytes, added to those that the tree has.
    pub seed: &'a [u8],
}

/// Names of properties of `/chosen` and of the memory node, written anew. One text for all: a list of
/// several would be pointers, which depend on where the program is.
const NAMES: &[u8] =
    b"linux,initrd-start\0linux,initrd-end\0bootargs\0rng-seed\0device_type\0reg\0";

// Where each begins.
const INITRD_START: usize = 0;
const INITRD_END: usize = INITRD_START + b"linux,initrd-start\0".len();
const BOOTARGS: usize = INITRD_END + b"linux,initrd-end\0".len();
const RNG_SEED: usize = BOOTARGS + b"bootargs\0".len();
const DEVICE_TYPE: usize = RNG_SEED + b"rng-seed\0".len();
const REG: usize = DEVICE_TYPE + b"device_type\0".len();

/// The beginnings of nodes: token, name, padding.
const CHOSEN: &[u8] = b"\0\0\0\x01chosen\0\0";
const MEMORY: &[u8] = b"\0\0\0\x01memory\0\0";

/// Bytes of the header.
const HEADER: usize = 40;
/// Where the header has the size of the tree and behind it where its three blocks are.
const PLACES: usize = 4;
/// Where it has the sizes of two of them.
const SIZES: usize = 32;

/// Bytes of a memory reservation; zeros end the list of them.
const RESERVATION: usize = 16;

/// Bytes that are enough for the new tree, where the old one has `old`.
#[must_use]
pub fn room(old: usize, facts: &Facts<'_>) -> usize {
    /// Tokens, names and numbers of all that is added, with plenty to spare.
    const ADDED: usize = 4096;
    ADDED.saturating_add(old).saturating_add(facts.words.len()).saturating_add(facts.seed.len())
}

/// Writes the tree to the start of `out`, from the `old` one; the answer is its size in bytes. `memory` is
/// what there is, less all that the firmware keeps.
///
/// # Errors
///
/// [`RewriteError`].
pub fn write(
    old: &[u8],
    facts: &Facts<'_>,
    memory: &[PaRange],
    out: &mut [u8],
) -> Result<usize, RewriteError> {
    let Ok(header) = Header::read(old) else { return Err(RewriteError::Tree) };
    let old_strings = header.strings();
    let mut out = Out { bytes: out, at: 0, names: old_strings.len(), value: 0, error: None };
    out.put(old.get(..HEADER).unwrap_or_default());
    out.put(header.reservation_bytes());
    out.put(&[0; RESERVATION]);
    let structure = out.at;
    copy(header, old, facts, memory, &mut out);
    let strings = out.at;
    out.put(old_strings);
    out.put(NAMES);
    let size = mem::replace(&mut out.at, PLACES);
    out.number(size);
    out.number(structure);
    out.number(strings);
    out.number(HEADER);
    out.at = SIZES;
    out.number(size.saturating_sub(strings));
    out.number(strings.saturating_sub(structure));
    out.error.map_or(Ok(size), Err)
}

/// Copies the structure block.
fn copy(header: Header<'_>, old: &[u8], facts: &Facts<'_>, memory: &[PaRange], out: &mut Out<'_>) {
    let mut tokens = Tokens::new(header);
    let (mut address_cells, mut size_cells) = (0, 0);
    let (mut in_chosen, mut has_chosen) = (false, false);
    loop {
        let start = tokens.position();
        let Ok(token) = tokens.advance() else { return out.fail(RewriteError::Tree) };
        let depth = tokens.depth();
        // What is not changed means the same in the new tree: names are where they were among the strings.
        let same = old.get(start..tokens.position()).unwrap_or_default();
        match token {
            Some(Token::Begin { .. })
                if depth == 2 && value(&tokens, b"device_type") == Some(b"memory\0") =>
            {
                // An error comes again.
                while tokens.depth() > 1 && tokens.advance().is_ok() {}
            }
            Some(Token::Begin { name, .. }) => {
                out.put(same);
                in_chosen = depth == 2 && name == b"chosen";
                if in_chosen {
                    has_chosen = true;
                    out.chosen(facts, value(&tokens, b"bootargs"), value(&tokens, b"rng-seed"));
                } else if depth == 1 {
                    // Devicetree Specification v0.4, 2.3.5 "#address-cells and #size-cells".
                    address_cells = cells(&tokens, b"#address-cells", 2);
                    size_cells = cells(&tokens, b"#size-cells", 1);
                }
            }
            Some(Token::Property { name, .. }) if in_chosen && is_replaced(name) => {}
            Some(Token::Property { .. }) => out.put(same),
            Some(Token::End) => {
                in_chosen = false;
                if depth == 0 {
                    if !has_chosen {
                        out.put(CHOSEN);
                        out.chosen(facts, None, None);
                        out.word(END_NODE);
                    }
                    out.memory(memory, address_cells, size_cells);
                }
                out.put(same);
            }
            None => return out.word(END),
        }
    }
}

/// Whether this is one of the properties that are replaced in `/chosen`.
fn is_replaced(name: PropertyName<'_>) -> bool {
    /// Without the NUL of the last.
    const REPLACED: usize = DEVICE_TYPE - 1;
    let mut replaced = NAMES.get(..REPLACED).unwrap_or_default().split(|byte| *byte == 0);
    replaced.any(|known| name.is(known))
}

/// The property called `name` of the node that `tokens` has just entered; of several the last, as for
/// [`hyp_core::tree::Machine`].
fn value<'a>(tokens: &Tokens<'a>, name: &[u8]) -> Option<&'a [u8]> {
    let mut tokens = tokens.clone();
    let mut found = None;
    while let Ok(Some(Token::Property { name: this, value, .. })) = tokens.advance() {
        if this.is(name) {
            found = Some(value);
        }
    }
    found
}

/// A count of cells among the properties of the node that `tokens` has just entered; zero if it is no number.
fn cells(tokens: &Tokens<'_>, name: &[u8], default: u32) -> u32 {
    value(tokens, name).map_or(default, |value| u32_value(value).unwrap_or(0))
}

impl Out<'_> {
    /// What a boot loader puts into `/chosen`, with the words and the seed that are there already.
    fn chosen(&mut self, facts: &Facts<'_>, words: Option<&[u8]>, seed: Option<&[u8]>) {
        self.property(INITRD_START);
        self.cell(2, facts.bundle.base().0);
        self.end_property();
        self.property(INITRD_END);
        self.cell(2, facts.bundle.end().0);
        self.end_property();
        self.property(BOOTARGS);
        self.put(words.and_then(string).unwrap_or_default());
        self.put(b" ");
        self.put(facts.words);
        self.put(&[0]);
        self.end_property();
        self.property(RNG_SEED);
        self.put(seed.unwrap_or_default());
        self.put(facts.seed);
        self.end_property();
    }

    fn memory(&mut self, banks: &[PaRange], address_cells: u32, size_cells: u32) {
        self.put(MEMORY);
        self.property(DEVICE_TYPE);
        self.put(b"memory\0");
        self.end_property();
        self.property(REG);
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
        self.end_property();
        self.word(END_NODE);
    }
}

#[cfg(test)]
mod tests;
