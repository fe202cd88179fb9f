//! What `cargo xtask run` hears on the console: bytes, in pieces of any size.

#[path = "../../../../xtask/src/run/console.rs"]
#[expect(unreachable_pub, reason = "elsewhere it is part of a program, which has no users")]
mod console;

use console::{LastWord, Lines, exit_code};

use crate::bytes::Bytes;

/// The same bytes in one piece and in many.
pub(super) fn check(bytes: &mut Bytes<'_>) {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    while !bytes.is_empty() {
        pieces.push(match bytes.u8() {
            len @ 0..=0xbf => bytes.take(usize::from(len & 31)).to_vec(),
            0xc0..=0xdf => b"POSTERN-EXIT ".to_vec(),
            form @ 0xe0..=0xef => format!("{}", u32::from(form & 15) * 30).into_bytes(),
            0xf0..=0xf7 => b"\r\n".to_vec(),
            _ => b"\n".to_vec(),
        });
    }
    let mut whole = Lines::default();
    let mut expected = whole.feed(&pieces.concat());
    expected.extend(whole.finish());
    let mut cut = Lines::default();
    let mut found: Vec<String> = pieces.iter().flat_map(|piece| cut.feed(piece)).collect();
    found.extend(cut.finish());
    assert_eq!(found, expected);
    let mut word = LastWord::default();
    for line in &found {
        assert!(!line.contains('\n'));
        word.hear(line);
    }
    let last = found.iter().rev().find(|line| !line.trim().is_empty());
    assert_eq!(word.code(), last.and_then(|line| exit_code(line)));
    let code = last.and_then(|line| line.trim_end().strip_prefix("POSTERN-EXIT "));
    assert_eq!(word.code(), code.and_then(|code| code.parse().ok()));
}
