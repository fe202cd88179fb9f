//! The console as it is shown: on a terminal Postern's own lines have a colour, and so have the names before
//! the lines of several VMs.

use std::io::{self, IsTerminal as _, Write as _, stdout};

use hyp_abi::exit::EXIT_PREFIX;

use super::Guest;

/// How lines of Postern's begin, and their colours; of those that fit, the first counts.
const COLOURS: [(&str, &str); 5] = [
    ("[postern] ERROR", "\x1b[1;31m"),
    ("[postern] WARNING", "\x1b[33m"),
    ("[postern] event", "\x1b[35m"),
    ("[postern]", "\x1b[36m"),
    (EXIT_PREFIX, "\x1b[36m"),
];
/// Colours of the VMs' names, in turn.
const NAMES: [&str; 6] =
    ["\x1b[1;32m", "\x1b[1;34m", "\x1b[1;33m", "\x1b[1;35m", "\x1b[1;36m", "\x1b[1;37m"];
const PLAIN: &str = "\x1b[0m";

/// Standard output.
pub(super) struct Screen(Option<Painter>);

impl Screen {
    /// For these VMs; with colours if it is a terminal that has some and nobody objects (<https://no-color.org>).
    pub(super) fn new(guests: &[Guest]) -> Self {
        let objects = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb");
        let has_colours = stdout().is_terminal() && !objects && !is_dumb;
        let names = guests.iter().filter(|_| guests.len() > 1).map(|guest| &*guest.name);
        Self(has_colours.then(|| Painter::new(names)))
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
    /// What lines of the VMs begin with, and the colour of that.
    names: Vec<(String, &'static str)>,
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
    /// For VMs of these names, if there are several.
    fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names = names.zip(NAMES.into_iter().cycle());
        let names = names.map(|(name, colour)| (format!("{name}: "), colour)).collect();
        Self { names, ..Self::default() }
    }

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
                let mut names = self.names.iter().map(|(name, _)| &**name);
                if !COLOURS.iter().map(|(start, _)| *start).any(may_go_on) && !names.any(may_go_on)
                {
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
        if let Some((_, colour)) = self.names.iter().find(|(name, _)| name.as_bytes() == self.held)
        {
            self.state = State::Other;
            out.extend_from_slice(colour.as_bytes());
            out.append(&mut self.held);
            out.extend_from_slice(PLAIN.as_bytes());
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
    fn names_of_vms_are_painted_wherever_the_pieces_end() {
        let whole = "a: x\r\nab: a: y\r\na\r\nb: z\r\n[postern] VM\r\nab: ~ # ";
        let expected = "\x1b[1;32ma: \x1b[0mx\r\n\x1b[1;34mab: \x1b[0ma: y\r\na\r\nb: z\r\n\
             \x1b[36m[postern] VM\x1b[0m\r\n\x1b[1;34mab: \x1b[0m~ # ";
        for cut in 0..whole.len() {
            let mut painter = Painter::new(["a", "ab"].into_iter());
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
