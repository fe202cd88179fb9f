//! A line of text that is put together piece by piece.

use core::fmt;

use arrayvec::ArrayString;

/// Bytes that a line has at most.
pub const LONGEST_LINE: usize = 256;

/// A line of text. What does not fit is cut off.
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
        let room = text.floor_char_boundary(self.0.remaining_capacity());
        let fits = text.get(..room).ok_or(fmt::Error)?;
        self.0.try_push_str(fits).map_err(|_| fmt::Error)?;
        if fits.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn what_does_not_fit_is_cut_between_letters() {
        let mut line = Line::new();
        write!(line, "{:1$}", "a", LONGEST_LINE - 3).unwrap();
        assert!(write!(line, "\u{e9}\u{e9}\u{e9}").is_err());
        assert!(line.as_str().ends_with(" \u{e9}"));
        assert_eq!(line.as_str().len(), LONGEST_LINE - 1);
        line.write_str("b").unwrap();
        assert!(line.write_str("c").is_err());
        assert!(line.as_str().ends_with("\u{e9}b"));
    }
}
