//! Printing. The macros stand in for std's of the same names, which panic where nothing can be
//! written, such as behind `| head` or on a full disk. What others have named, in files and on consoles,
//! controls no terminal here.

use std::borrow::Cow;
use std::fmt::Arguments;
use std::io::{ErrorKind, Result, Write, stderr, stdout};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use hyp_abi::exit;

/// Nobody reads standard output any more.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// Like std's.
macro_rules! print {
    ($($text:tt)*) => { $crate::output::out(format_args!($($text)*)) };
}

/// Like std's.
macro_rules! println {
    () => { $crate::output::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::out(format_args!("{}\n", format_args!($($text)*))) };
}

/// Like std's.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::err(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes to standard output. Where that cannot be, the program ends. If somebody has just read enough,
/// as `head` does, it goes on in silence: its exit status is still that of what it does.
pub fn out(text: Arguments<'_>) {
    if UNREAD.load(Ordering::Relaxed) {
        return;
    }
    let Err(error) = write(stdout().lock(), text) else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        UNREAD.store(true, Ordering::Relaxed);
        return;
    }
    err(format_args!("error: cannot write to standard output: {error}\n"));
    process::exit(exit::BAD_INPUT.into());
}

/// Writes to standard error. Where that cannot be, nobody can be told.
pub fn err(text: Arguments<'_>) {
    let _ = write(stderr().lock(), text);
}

fn write(mut to: impl Write, text: Arguments<'_>) -> Result<()> {
    to.write_all(harmless(&text.to_string()).as_bytes())?;
    to.flush()
}

/// `text` with every control character but ends of lines and tabs written as `\x` and its number.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(is_harmful) {
        return text.into();
    }
    text.chars()
        .map(|c| if is_harmful(c) { format!("\\x{:02x}", u32::from(c)) } else { c.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn nothing_that_is_printed_controls_the_terminal() {
        assert_eq!(harmless("a\tb\n\u{f6}"), "a\tb\n\u{f6}");
        assert_eq!(harmless("\x1b[2J\r\x7f\u{9b}\0"), r"\x1b[2J\x0d\x7f\x9b\x00");
    }
}
