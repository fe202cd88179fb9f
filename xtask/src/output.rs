//! Printing. The macros stand in for std's of the same names, which panic where nothing can be
//! written, such as behind `| head` or on a full disk.

use std::fmt::Arguments;
use std::io::{ErrorKind, Result, Write, stderr, stdout};
use std::process;

use hyp_abi::exit;

/// Exit status where nobody reads on, as shells have it: 128 + SIGPIPE.
const UNREAD: i32 = 141;

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

/// Writes to standard output. Where that cannot be, the program ends, without a word if somebody has
/// just read enough.
pub fn out(text: Arguments<'_>) {
    let Err(error) = write(stdout().lock(), text) else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        process::exit(UNREAD);
    }
    err(format_args!("error: cannot write to standard output: {error}\n"));
    process::exit(exit::BAD_INPUT.into());
}

/// Writes to standard error. Where that cannot be, nobody can be told.
pub fn err(text: Arguments<'_>) {
    let _ = write(stderr().lock(), text);
}

fn write(mut to: impl Write, text: Arguments<'_>) -> Result<()> {
    to.write_fmt(text)?;
    to.flush()
}
