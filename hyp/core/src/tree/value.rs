//! Values of properties: big-endian cells and NUL-terminated strings.

/// Whether the two are the same. A call, where the compiler would compare byte by byte with what it knows.
#[inline(never)]
pub(crate) fn same(value: &[u8], other: &[u8]) -> bool {
    value == other
}

/// What of `bytes` is before the first `end`; `None` if there is none.
#[inline(never)]
pub(super) fn before(bytes: &[u8], end: u8) -> Option<&[u8]> {
    bytes.get(..bytes.iter().position(|byte| *byte == end)?)
}

/// The big-endian word at `at`.
pub(super) fn be32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// The big-endian doubleword at `at`.
pub(super) fn be64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_be_bytes(*word))
}

/// A value of exactly one cell.
#[must_use]
#[inline(never)]
pub fn u32_value(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

/// A value of exactly one cell or two.
#[must_use]
#[inline(never)]
pub fn u64_value(value: &[u8]) -> Option<u64> {
    u32_value(value).map(u64::from).or_else(|| Some(u64::from_be_bytes(value.try_into().ok()?)))
}

/// A value that is one string: without its NUL; `None` if that is missing or is not the last byte.
#[must_use]
pub fn string(value: &[u8]) -> Option<&[u8]> {
    let text = before(value, 0)?;
    (text.len() == value.len().saturating_sub(1)).then_some(text)
}

/// A value that is one string, as [`string`], in UTF-8.
#[must_use]
pub fn text(value: &[u8]) -> Option<&str> {
    str::from_utf8(string(value)?).ok()
}

/// Walks a value that is a list of NUL-terminated strings; an unterminated tail is left out.
#[derive(Debug, Clone)]
pub struct Strings<'a>(pub &'a [u8]);

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let text = before(self.0, 0)?;
        self.0 = self.0.get(text.len()..)?.get(1..)?;
        Some(text)
    }
}

/// Takes numbers of one or two cells (or none, which read as 0) off the front of a value.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a>(pub &'a [u8]);

impl Cells<'_> {
    /// The next number, `width` cells wide; `None` when the value is used up or `width` is above 2.
    #[inline(never)]
    pub fn take(&mut self, width: u32) -> Option<u64> {
        let (number, used) = match width {
            0 => (0, 0),
            1 => (u64::from(be32_at(self.0, 0)?), 4),
            2 => (be64_at(self.0, 0)?, 8),
            _ => return None,
        };
        self.0 = self.0.get(used..)?;
        Some(number)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Walks a value that is a list of single cells; a tail of less than four bytes is left out.
pub fn cells(value: &[u8]) -> impl Iterator<Item = u32> {
    let (words, _) = value.as_chunks();
    words.iter().map(|word| u32::from_be_bytes(*word))
}
