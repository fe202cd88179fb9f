//! What EL2 says on the console it shares with the guest.

use hyp_abi::exit;

/// Cuts a byte stream into lines.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// The lines that `bytes` completes, without their line ends; what is no UTF-8 is replaced.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.extend(self.finish());
            }
        }
        lines
    }

    /// Ends the stream: the last line, if it has no end of its own.
    pub fn finish(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.partial);
        (!line.is_empty()).then(|| text(&line))
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned()
}

/// Listens for EL2's last line.
///
/// A guest can print the same words, but not after EL2 has: only the very last line counts.
#[derive(Debug, Default)]
pub struct LastWord {
    code: Option<u8>,
}

impl LastWord {
    /// Notes one complete line of the console.
    pub fn hear(&mut self, line: &str) {
        if !line.trim().is_empty() {
            self.code = exit_code(line);
        }
    }

    /// The code that EL2 ended with, if its last line was the last of all.
    pub fn code(&self) -> Option<u8> {
        self.code
    }
}

/// The code in an exit line of EL2.
pub fn exit_code(line: &str) -> Option<u8> {
    line.trim_end().strip_prefix(exit::EXIT_PREFIX)?.strip_prefix(' ')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_pieces_end() {
        let whole = b"one\r\ntwo\n\nthree \xff\r\nrest";
        for cut in 0..whole.len() {
            let mut lines = Lines::default();
            let mut seen = lines.feed(&whole[..cut]);
            seen.extend(lines.feed(&whole[cut..]));
            assert_eq!(seen, ["one", "two", "", "three \u{fffd}"], "{cut}");
            assert_eq!(lines.finish().as_deref(), Some("rest"));
            assert_eq!(lines.finish(), None);
        }
    }

    #[test]
    fn only_the_last_line_is_the_last_word() {
        let code = |lines: &[&str]| {
            let mut last = LastWord::default();
            lines.iter().for_each(|line| last.hear(line));
            last.code()
        };
        assert_eq!(code(&["boot", "POSTERN-EXIT 0"]), Some(0));
        assert_eq!(code(&["POSTERN-EXIT 3", "", "  "]), Some(3));
        assert_eq!(code(&["POSTERN-EXIT 0", "guest goes on"]), None);
        assert_eq!(code(&["POSTERN-EXIT 0", "POSTERN-EXIT 1"]), Some(1));
        for wrong in ["POSTERN-EXIT", "POSTERN-EXIT  0", "POSTERN-EXIT 256", "x POSTERN-EXIT 0"] {
            assert_eq!(code(&[wrong]), None, "{wrong}");
        }
    }
}
