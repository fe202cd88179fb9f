//! The console as it is shown: on a terminal Postern's own lines have a colour.

use std::io::{self, IsTerminal as _, Write as _, stdout};

use hyp_abi::exit::EXIT_PREFIX;

/// How lines of Postern's begin, and their colours; of those that fit, the first counts.
const COLOURS: [(&str, &str); 5] = [
    ("[postern] ERROR", "\x1b[1;31m"),
    ("[postern] WARNING", "\x1b[33m"),
    ("[postern] event", "\x1b[35m"),
    ("[postern]", "\x1b[36m"),
    (EXIT_PREFIX, "\x1b[36m"),
];
const PLAIN: &str = "\x1b[0m";

/// Standard output.
pub(super) struct Screen(Option<Painter>);

impl Screen {
    /// With colours if it is a terminal that has some and nobody objects (<https://no-color.org>).
    pub(super) fn new() -> Self {
        let objects = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb");
        let has_colours = stdout().is_terminal() && !objects && !is_dumb;
        Self(has_colours.then(Painter::default))
    }

    /// Shows `piece` at once.
    pub(super) fn show(&mut self, piece: &[u8]) -> io::Result<()> {
        let mut out = stdout().lock();
        match &mut self.0 {
            Some(painter) => out.write_all(&painter.paint(piece))?,
            None => out.write_all(piece)?,
        }
        out.flush()
    }

    /// Shows what is held back of the last line, and leaves the terminal without a colour.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let Some(painter) = self.0.take() else { return Ok(()) };
        let mut out = stdout().lock();
        out.write_all(&painter.held)?;
        out.write_all(PLAIN.as_bytes())?;
        out.flush()
    }
}

/// Puts colours into a stream of bytes that is cut anywhere.
#[derive(Debug, Default)]
struct Painter {
    /// What has come of this line and may yet be the beginning of one of Postern's.
    held: Vec<u8>,
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Whose line it is is not known yet.
    #[default]
    Beginning,
    /// Somebody else's.
    Other,
    /// Postern's.
    Own,
}

impl Painter {
    fn paint(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len());
        for byte in piece {
            if matches!(byte, b'\r' | b'\n') {
                self.decide(&mut out);
                if self.state == State::Own {
                    out.extend_from_slice(PLAIN.as_bytes());
                }
                // A carriage return alone goes back to the beginning.
                self.state = State::Beginning;
                out.push(*byte);
            } else if self.state == State::Beginning {
                self.held.push(*byte);
                let may_go_on = |start: &str| {
                    start.len() > self.held.len() && start.as_bytes().starts_with(&self.held)
                };
                if !COLOURS.iter().any(|(start, _)| may_go_on(start)) {
                    self.decide(&mut out);
                }
            } else {
                out.push(*byte);
            }
        }
        out
    }

    /// Whose line it is, as far as it goes.
    fn decide(&mut self, out: &mut Vec<u8>) {
        if self.state != State::Beginning {
            return;
        }
        let own = COLOURS.iter().find(|(start, _)| self.held.starts_with(start.as_bytes()));
        self.state = own.map_or(State::Other, |(_, colour)| {
            out.extend_from_slice(colour.as_bytes());
            State::Own
        });
        out.append(&mut self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posterns_lines_are_painted_wherever_the_pieces_end() {
        let whole = "hello\r\n[postern] VM\r\n[postern] WARNING: x\n[post\n[\nx [postern] y\nPOSTERN-EXIT 0\r\n";
        let expected = "hello\r\n\x1b[36m[postern] VM\x1b[0m\r\n\x1b[33m[postern] WARNING: x\x1b[0m\n\
             [post\n[\nx [postern] y\n\x1b[36mPOSTERN-EXIT 0\x1b[0m\r\n";
        for cut in 0..whole.len() {
            let mut painter = Painter::default();
            let mut seen = painter.paint(&whole.as_bytes()[..cut]);
            seen.extend(painter.paint(&whole.as_bytes()[cut..]));
            assert_eq!(String::from_utf8(seen).unwrap(), expected, "{cut}");
        }
    }

    #[test]
    fn a_prompt_is_shown_at_once() {
        for prompt in ["~ # ", "[root@host]# ", "Postern's "] {
            assert_eq!(Painter::default().paint(prompt.as_bytes()), prompt.as_bytes());
        }
    }
}
