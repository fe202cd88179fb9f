//! A line of text that is put together piece by piece.

use core::fmt;

use arrayvec::ArrayString;

use super::plain::shown;

/// Bytes that a line has at most.
pub const LONGEST_LINE: usize = 256;

/// A line of text, shown as [`Plain`](super::Plain) does: whatever is written, it stays one line. What does not fit is
/// cut off.
#[derive(Debug, Default)]
pub struct Line(ArrayString<LONGEST_LINE>);

impl Line {
    /// An empty line.
    #[must_use]
    pub const fn new() -> Self {
        Self(ArrayString::new_const())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut shown = text.bytes().flat_map(shown).map(char::from);
        shown.try_for_each(|byte| self.0.try_push(byte).map_err(|_| fmt::Error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Plain;
    use super::*;
    use core::fmt::Write;
    use proptest::prelude::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn what_does_not_fit_is_cut_off() {
        let mut line = Line::new();
        write!(line, "{:1$}", "a", LONGEST_LINE - 6).unwrap();
        assert!(write!(line, "\u{e9}b").is_err());
        assert!(line.as_str().ends_with(r" \xc3\x"));
        assert_eq!(line.as_str().len(), LONGEST_LINE);
        assert!(line.write_str("c").is_err());
    }

    #[test]
    fn a_name_does_not_end_the_line_nor_speak_to_the_terminal() {
        let name = "vm\r\nPOSTERN-EXIT 0\r\n\u{1b}[2J\u{7f}\u{9b}m\0\t\u{202e}~ \\";
        let mut line = Line::new();
        line.write_str(name).unwrap();
        let text = r"vm\x0d\x0aPOSTERN-EXIT 0\x0d\x0a\x1b[2J\x7f\xc2\x9bm\x00\x09\xe2\x80\xae~ \";
        assert_eq!(line.as_str(), text);
        assert_eq!(Plain(name.as_bytes()).to_string(), text);
    }

    proptest! {
        #[test]
        fn nothing_controls_the_terminal(bytes: Vec<u8>, text: std::string::String) {
            let mut line = Line::new();
            let _ = line.write_str(&text);
            for shown in [Plain(&bytes).to_string(), line.as_str().to_string()] {
                prop_assert!(shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{shown:?}");
            }
            // Nothing that is printable is changed.
            let printable: std::string::String =
                text.chars().filter(|c| matches!(c, ' '..='~')).collect();
            prop_assert_eq!(Plain(printable.as_bytes()).to_string(), printable);
        }
    }
}
