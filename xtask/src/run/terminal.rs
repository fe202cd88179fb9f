//! The terminal as it was before QEMU changed it.

use std::io::{IsTerminal, stdin};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::qemu::Keyboard;

/// Puts the terminal's settings back when dropped: QEMU switches it to raw mode, and a QEMU that
/// was killed cannot switch it back.
pub struct Terminal {
    before: Option<Termios>,
}

impl Terminal {
    /// Remembers the settings of the terminal on standard input, if there is one.
    pub fn remember() -> Self {
        let before = if stdin().is_terminal() { tcgetattr(stdin()).ok() } else { None };
        Self { before }
    }

    /// Who types on standard input.
    pub fn keyboard(&self) -> Keyboard {
        if self.before.is_some() { Keyboard::Terminal } else { Keyboard::Plain }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Drain, before);
        }
    }
}
