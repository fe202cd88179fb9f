//! The header of a flattened tree and its memory reservation block.

use super::TreeError;
use super::value::{be32_at, be64_at};

/// First word of a flattened tree.
const MAGIC: u32 = 0xd00d_feed;
/// Bytes of the version 17 header.
const HEADER_SIZE: usize = 40;
/// The version that gave the structure block its size field.
const VERSION: u32 = 17;
/// Last version that a version 17 reader may still read.
const LAST_COMPATIBLE: u32 = 17;
/// Bytes of one memory reservation: address and size.
const RESERVATION_SIZE: usize = 16;

/// Bytes of the whole tree that begins with `start`, of which 8 bytes suffice.
///
/// For a loader that has to map a tree before it can check it; the size is only an allegation, so
/// the caller sets its own limit.
///
/// # Errors
///
/// [`TreeError::TooShort`] for less than 8 bytes, [`TreeError::BadMagic`] when no tree begins here.
pub fn blob_size(start: &[u8]) -> Result<usize, TreeError> {
    let short = TreeError::TooShort { need: 8, have: start.len() };
    let magic = be32_at(start, 0).ok_or(short)?;
    if magic != MAGIC {
        return Err(TreeError::BadMagic { magic: magic.into() });
    }
    size(be32_at(start, 4).ok_or(short)?)
}

/// A 32-bit size or offset as `usize`.
fn size(value: u32) -> Result<usize, TreeError> {
    usize::try_from(value).map_err(|_| TreeError::Block { block: "header" })
}

/// What a walk looks at. Each node and each walk has its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks<'a> {
    /// The blob up to the end of the structure block.
    pub(super) structure: &'a [u8],
    /// The strings block; not empty only if its last byte is NUL.
    pub(super) strings: &'a [u8],
}

/// The blocks of one tree, all inside the blob.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// The whole tree, as long as its header says.
    pub(super) blob: &'a [u8],
    /// Offset of the structure block.
    pub(super) structure: usize,
    /// What walks look at.
    pub(super) blocks: Blocks<'a>,
    /// Memory reservations, without the terminator.
    reservations: &'a [[u8; RESERVATION_SIZE]],
}

impl<'a> Header<'a> {
    /// Checks the header of the tree that `bytes` begin with; more bytes may follow the tree.
    ///
    /// # Errors
    ///
    /// [`TreeError::TooShort`], [`TreeError::BadMagic`], [`TreeError::Version`] and
    /// [`TreeError::Block`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, TreeError> {
        let total = blob_size(bytes)?.max(HEADER_SIZE);
        let short = TreeError::TooShort { need: total, have: bytes.len() };
        let blob = bytes.get(..total).ok_or(short)?;
        let mut words = [0; HEADER_SIZE / 4];
        for (word, bytes) in words.iter_mut().zip(blob.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        let [_, _, structure, strings, reservations, words @ ..] = words;
        let [version, last_compatible, _, strings_len, structure_len] = words;
        if version < VERSION || last_compatible > LAST_COMPATIBLE {
            let (version, last_compatible) = (version.into(), last_compatible.into());
            return Err(TreeError::Version { version, last_compatible });
        }
        let bad = |block| TreeError::Block { block };
        let (structure, structure_end) =
            block(blob, structure, structure_len, 4).ok_or(bad("structure"))?;
        let (strings, strings_end) = block(blob, strings, strings_len, 1).ok_or(bad("strings"))?;
        let strings = blob.get(strings..strings_end).unwrap_or_default();
        let blocks = Blocks { structure: blob.get(..structure_end).unwrap_or_default(), strings };
        // With this every name that begins inside the block also ends inside it.
        if strings.last().is_some_and(|byte| *byte != 0) {
            return Err(bad("strings"));
        }
        let outside = bad("memory reservation");
        let (reservations, _) = block(blob, reservations, 0, 8).ok_or(outside)?;
        // The block ends with an entry of two zeros inside the blob.
        let entries = blob.get(reservations..).unwrap_or_default().as_chunks().0;
        let count = entries.iter().position(|entry| entry.iter().all(|byte| *byte == 0));
        let reservations = count.and_then(|count| entries.get(..count)).ok_or(outside)?;
        Ok(Self { blob, structure, blocks, reservations })
    }

    /// Bytes of the whole tree.
    #[must_use]
    pub fn size(&self) -> usize {
        self.blob.len()
    }

    /// The strings block.
    #[must_use]
    pub fn strings(&self) -> &'a [u8] {
        self.blocks.strings
    }

    /// The bytes of the memory reservation block, without its terminator.
    #[must_use]
    pub fn reservation_bytes(&self) -> &'a [u8] {
        self.reservations.as_flattened()
    }

    /// The memory reservation block, without its terminator.
    pub fn reservations(&self) -> impl Iterator<Item = Reservation> + use<'a> {
        self.reservations.iter().map_while(|entry| {
            Some(Reservation { base: be64_at(entry, 0)?, size: be64_at(entry, 8)? })
        })
    }
}

/// Begin and end of a block of `len` bytes at `offset`, if it is aligned, behind the header and in the
/// blob.
#[inline(never)]
fn block(blob: &[u8], offset: u32, len: u32, align: usize) -> Option<(usize, usize)> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    let is_good = start >= HEADER_SIZE && end <= blob.len() && start.is_multiple_of(align);
    is_good.then_some((start, end))
}

/// One memory reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// Physical address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}
