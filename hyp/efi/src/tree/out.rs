//! The tokens and numbers of a tree that is being written.
//!
//! Format: Devicetree Specification v0.4, chapter 5.

use core::mem;

use thiserror::Error;

/// Why no tree can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RewriteError {
    /// The firmware's tree breaks its format.
    #[error("the device tree is damaged")]
    Tree,
    /// More than [`super::room`] foresees.
    #[error("the device tree has no room for the memory map")]
    NoRoom,
    /// The root counts addresses or sizes in a way that cannot be.
    #[error("device tree: #address-cells and #size-cells of the root must be 1 or 2")]
    Cells,
}

// Devicetree Specification v0.4, 5.4.1 "Lexical structure".
pub(super) const END_NODE: u32 = 2;
const PROP: u32 = 3;
pub(super) const END: u32 = 9;

/// The tree being written. The first thing that goes wrong is kept, and what follows it is lost:
/// who writes asks in the end.
pub(super) struct Out<'a> {
    /// Room for it.
    pub(super) bytes: &'a mut [u8],
    /// Bytes that are written.
    pub(super) at: usize,
    /// Where new names will be in the strings block.
    pub(super) names: usize,
    /// Where the value of the property being written begins.
    pub(super) value: usize,
    /// What went wrong.
    pub(super) error: Option<RewriteError>,
}

impl Out<'_> {
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        let Some(place) = self.bytes.get_mut(self.at..end) else {
            return self.fail(RewriteError::NoRoom);
        };
        // As `copy_from_slice`, which is larger by the message for lengths that differ.
        place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.at = end;
    }

    pub(super) fn fail(&mut self, error: RewriteError) {
        self.error.get_or_insert(error);
    }

    pub(super) fn word(&mut self, word: u32) {
        self.put(&word.to_be_bytes());
    }

    /// A number of the header or of a token, which fits where the tree itself fits.
    pub(super) fn number(&mut self, number: usize) {
        match u32::try_from(number) {
            Ok(word) => self.word(word),
            Err(_) => self.fail(RewriteError::NoRoom),
        }
    }

    /// Begins a property whose name is so far behind the first of the new ones; its value follows.
    pub(super) fn property(&mut self, name: usize) {
        self.word(PROP);
        self.word(0);
        self.number(self.names.saturating_add(name));
        self.value = self.at;
    }

    /// Ends the value of a property: now it is known how long it is.
    pub(super) fn end_property(&mut self) {
        let end = mem::replace(&mut self.at, self.value.saturating_sub(8));
        self.number(end.saturating_sub(self.value));
        self.at = end;
        // Up to the next token, which begins at a word.
        self.put([0; 3].get(..end.wrapping_neg() % 4).unwrap_or_default());
    }

    /// A number of so many cells.
    pub(super) fn cell(&mut self, cells: u32, number: u64) {
        match u32::try_from(number) {
            _ if cells == 2 => self.put(&number.to_be_bytes()),
            Ok(word) if cells == 1 => self.word(word),
            _ => self.fail(RewriteError::Cells),
        }
    }
}
