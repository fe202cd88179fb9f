//! Text of somebody else's on a console.

use core::fmt::{self, Write};

/// Shows text as a console may: printable ASCII (0x20 to 0x7e) as it is, each other byte as `\x` and two
/// digits. So no name ends a line, moves a cursor or looks like another name: control characters, those of
/// ISO 6429 above 0x80, and letters that only some terminals take for letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain<'a>(pub &'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().copied().flat_map(shown).try_for_each(|byte| f.write_char(char::from(byte)))
    }
}

/// How [`Plain`] shows `byte`.
pub fn shown(byte: u8) -> impl Iterator<Item = u8> {
    let digit = |half: u8| half.wrapping_add(if half < 10 { b'0' } else { b'a' - 10 });
    let (bytes, count) = match byte {
        b' '..=b'~' => ([byte, 0, 0, 0], 1),
        _ => ([b'\\', b'x', digit(byte >> 4), digit(byte & 0xf)], 4),
    };
    bytes.into_iter().take(count)
}
