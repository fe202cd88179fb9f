//! The words for Postern: from a file beside the program, and from the options that the program was
//! started with.

use arrayvec::ArrayVec;
use hyp_abi::exit::{NONCE, is_nonce};
use hyp_core::tree::machine::boot_argument;

/// The most bytes of words.
pub const MOST: usize = 1024;

/// Words in ASCII, separated by blanks.
pub type Words = ArrayVec<u8, MOST>;

/// Adds the words of the text file `text`; its line ends separate words too. `None` if it is no
/// ASCII text or too long.
pub fn add_text(words: &mut Words, text: &[u8]) -> Option<()> {
    add(words, text, 1)
}

/// Adds what stands in the options `options`, UTF-16 with an optional NUL. Firmware may put anything
/// there: what is no ASCII text, or too long, is not meant for us.
pub fn add_options(words: &mut Words, options: &[u8]) {
    let before = words.len();
    if add(words, options, 2).is_none() {
        words.truncate(before);
    }
}

/// The nonce among `words`, also if they are not all there.
#[must_use]
pub fn nonce(words: &Words) -> Option<&str> {
    boot_argument(str::from_utf8(words).ok()?, NONCE).filter(|nonce| is_nonce(nonce))
}

/// Adds `text`, whose characters are `width` bytes each; with two of them a NUL ends it.
fn add(words: &mut Words, text: &[u8], width: usize) -> Option<()> {
    let mut ended = true;
    for character in text.chunks_exact(width) {
        let byte = match *character {
            [0, 0] => break,
            [byte] | [byte, 0] => byte,
            _ => return None,
        };
        if byte.is_ascii_whitespace() {
            ended = true;
            continue;
        }
        if !byte.is_ascii_graphic() {
            return None;
        }
        if ended && !words.is_empty() {
            words.try_push(b' ').ok()?;
        }
        ended = false;
        words.try_push(byte).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn options_stand_behind_the_file() {
        let mut words = Words::new();
        add_text(&mut words, b" postern.log=debug\r\n\npostern.poison=on\n").unwrap();
        add_options(&mut words, &utf16("postern.efi postern.log=warn\0junk"));
        assert_eq!(words[..], *b"postern.log=debug postern.poison=on postern.efi postern.log=warn");
    }

    #[test]
    fn the_nonce_is_found_before_what_is_no_text() {
        let nonce = |text: &str| {
            let mut words = Words::new();
            let _ = add_text(&mut words, text.as_bytes());
            nonce(&words).map(std::borrow::ToOwned::to_owned)
        };
        assert_eq!(
            nonce("postern.nonce=1f postern.log=laut-und-sch\u{f6}n").as_deref(),
            Some("1f")
        );
        assert_eq!(nonce("postern.nonce=1f postern.nonce=2e").as_deref(), Some("2e"));
        for none in ["", "postern.log=debug", "postern.nonce=", "postern.nonce=a-b"] {
            assert_eq!(nonce(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_or_ignored() {
        let mut words = Words::new();
        assert_eq!(add_text(&mut words, b"a\0b"), None);
        assert_eq!(add_text(&mut words, "ä".as_bytes()), None);
        assert_eq!(add_text(&mut words, "a".repeat(MOST + 1).as_bytes()), None);
        let mut words = Words::new();
        add_text(&mut words, b"a").unwrap();
        for junk in [&b"\x4e\xac\x08\x81"[..], &utf16("\x01"), &utf16("ÄÖ"), b"", b"x"] {
            add_options(&mut words, junk);
        }
        add_options(&mut words, &utf16(&"b ".repeat(MOST / 2)));
        assert_eq!(words[..], *b"a");
    }
}
