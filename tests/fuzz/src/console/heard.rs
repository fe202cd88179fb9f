//! What `cargo xtask run` hears on the console: bytes, in pieces of any size.

#[path = "../../../../xtask/src/run/console.rs"]
#[expect(unreachable_pub, reason = "elsewhere it is part of a program, which has no users")]
mod console;

use console::{Lines, Nonce};

use crate::bytes::Bytes;

/// The same bytes in one piece and in many.
pub(super) fn check(bytes: &mut Bytes<'_>) {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    while !bytes.is_empty() {
        pieces.push(match bytes.u8() {
            len @ 0..=0xbf => bytes.take(usize::from(len & 31)).to_vec(),
            0xc0..=0xdf => b"POSTERN-EXIT ".to_vec(),
            form @ 0xe0..=0xef => format!("{}", u32::from(form & 15) * 30).into_bytes(),
            0xf0..=0xf3 => b" 5f".to_vec(),
            0xf4..=0xf7 => b"\r\n".to_vec(),
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
    let nonce = Nonce::of("postern.nonce=5f").unwrap().before("postern.log=info");
    let nonce = Nonce::of(&nonce).unwrap();
    for line in &found {
        assert!(!line.contains('\n'));
        let code =
            line.trim_end().strip_prefix("POSTERN-EXIT ").and_then(|rest| rest.strip_suffix(" 5f"));
        assert_eq!(nonce.code(line), code.and_then(|code| code.parse().ok()));
    }
}
