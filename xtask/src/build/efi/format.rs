//! Numbers and headers as PE files have them.

use anyhow::{Context, Result};
use object::pod::{Pod, from_bytes};
use object::{LittleEndian, U16, U32};

/// What sections begin at in memory, and what firmware asks for if it is to protect them.
pub(super) const PAGE: usize = 4096;
/// What sections begin at in the file; the headers take one.
pub(super) const SECTOR: usize = 512;

/// A header with nothing in it.
pub(super) fn blank<T: Pod + Copy>() -> Result<T> {
    let bytes = vec![0; size_of::<T>()];
    let (header, _) = from_bytes(&bytes).ok().context("a PE header has an alignment")?;
    Ok(*header)
}

/// Fills up to a multiple of `to` bytes.
pub(super) fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

/// A number in a header.
pub(super) fn word(value: usize) -> Result<U32<LittleEndian>> {
    Ok(U32::new(LittleEndian, u32::try_from(value)?))
}

/// A short number in a header.
pub(super) fn half(value: usize) -> Result<U16<LittleEndian>> {
    Ok(U16::new(LittleEndian, u16::try_from(value)?))
}
