//! The log in memory (`hyp_abi::log`), read out of the RAM of a machine that has ended.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use hyp_abi::log::{HEADER, MAGIC, RING, SIZE};
use hyp_core::addr::PAGE_SIZE;

/// The text of the log that is somewhere in the file `ram`, found as a person would: by how a page begins.
///
/// # Errors
///
/// The file cannot be read, or there is none in it.
pub fn read(ram: &Path) -> Result<Vec<u8>> {
    let memory = fs::read(ram).with_context(|| format!("could not read {}", ram.display()))?;
    let page = usize::try_from(PAGE_SIZE)?;
    let mut pages = (0..memory.len()).step_by(page);
    pages.find_map(|at| text(memory.get(at..at + SIZE)?)).context("there is no log in memory")
}

/// The text of the log `memory`, the oldest byte first; `None` if it is none.
fn text(memory: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize| memory.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let ring = memory.get(HEADER..SIZE).filter(|_| memory.starts_with(&MAGIC))?;
    let (size, written) = (number(MAGIC.len())?, number(MAGIC.len() + 8)?);
    if size != RING as u64 {
        return None;
    }
    let (newest, oldest) = ring.split_at(usize::try_from(written % size).ok()?);
    Some(if written < size { newest.to_vec() } else { [oldest, newest].concat() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of which `written` bytes have been written, and whose ring begins with `ring`.
    fn log(written: u64, ring: &[u8]) -> Vec<u8> {
        let mut memory = MAGIC.to_vec();
        memory.extend((RING as u64).to_le_bytes());
        memory.extend(written.to_le_bytes());
        memory.extend(ring);
        memory.resize(SIZE, b'.');
        memory
    }

    #[test]
    fn the_oldest_byte_that_is_left_comes_first() {
        assert_eq!(text(&log(0, b"old")), Some(Vec::new()));
        assert_eq!(text(&log(2, b"abc")).unwrap(), b"ab");
        let full = text(&log(2 * RING as u64 + 2, b"abc")).unwrap();
        assert!(full.starts_with(b"c...") && full.ends_with(b"..ab") && full.len() == RING);
        let exact = text(&log(RING as u64, b"abc")).unwrap();
        assert!(exact.starts_with(b"abc.") && exact.len() == RING);
    }

    #[test]
    fn what_is_no_log_has_no_text() {
        assert_eq!(text(&log(2, b"abc")[1..]), None);
        assert_eq!(text(&log(2, b"abc")[..SIZE - 1]), None);
        let mut other = log(2, b"abc");
        other[MAGIC.len()] ^= 1;
        assert_eq!(text(&other), None);
    }
}
