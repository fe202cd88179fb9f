//! What EL2 says on the console it shares with the guest.

use std::fs::File;
use std::io::{Read as _, Result};

use hyp_abi::exit;
use hyp_core::tree::machine::boot_argument;

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

/// A word that only EL2 knows, to tell its last line from one that a guest prints.
#[derive(Debug, Clone)]
pub struct Nonce(String);

impl Nonce {
    /// The one in the boot arguments `words` if there is one; else one that nobody can guess.
    ///
    /// # Errors
    ///
    /// The host gives no random numbers.
    pub fn of(words: &str) -> Result<Self> {
        if let Some(nonce) = boot_argument(words, exit::NONCE) {
            return Ok(Self(nonce.to_owned()));
        }
        let mut bytes = [0; exit::LONGEST_NONCE / 2];
        File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The boot arguments `words` with this one. It comes first, where EFI firmware finds it even if it
    /// does not understand the others.
    pub fn before(&self, words: &str) -> String {
        format!("postern.{}={} {words}", exit::NONCE, self.0).trim_end().to_owned()
    }

    /// The code in EL2's last line, if `line` is that.
    pub fn code(&self, line: &str) -> Option<u8> {
        let rest = line.trim_end().strip_prefix(exit::EXIT_PREFIX)?.strip_prefix(' ')?;
        rest.strip_suffix(&self.0)?.strip_suffix(' ')?.parse().ok()
    }
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
    fn only_the_line_with_the_nonce_is_the_last() {
        let nonce = Nonce::of("a postern.nonce=5f b").unwrap();
        for (line, code) in [
            ("POSTERN-EXIT 0 5f", Some(0)),
            ("POSTERN-EXIT 255 5f\r", Some(255)),
            ("POSTERN-EXIT 0", None),
            ("POSTERN-EXIT 0 ", None),
            ("POSTERN-EXIT 0 5e", None),
            ("POSTERN-EXIT 05f", None),
            ("POSTERN-EXIT  0 5f", None),
            ("POSTERN-EXIT 256 5f", None),
            ("POSTERN-EXIT 5f", None),
            ("x POSTERN-EXIT 0 5f", None),
        ] {
            assert_eq!(nonce.code(line), code, "{line}");
        }
    }

    #[test]
    fn each_run_has_another_nonce_and_the_hypervisor_takes_it() {
        let [one, other] = [(); 2].map(|()| Nonce::of("postern.log=info").unwrap());
        assert!(one.0 != other.0 && exit::is_nonce(&one.0), "{one:?} {other:?}");
        assert_eq!(one.before(""), format!("postern.nonce={}", one.0));
        let words = one.before("postern.log=info");
        assert_eq!(Nonce::of(&words).unwrap().0, one.0);
        assert!(words.ends_with(" postern.log=info"));
    }
}
