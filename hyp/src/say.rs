//! Lines of the log.
//!
//! The macros of crate `log` keep, for each line, the module and the place in the source that it comes
//! from. Nobody prints them, and the image would be 2 KiB larger.

use core::fmt;

use log::Level;

/// Logs `line`, if the log's level lets it through.
#[cold]
#[inline(never)]
pub(crate) fn say(level: Level, line: fmt::Arguments<'_>) {
    log::log!(level, "{line}");
}

macro_rules! error_line {
    ($($line:tt)*) => { $crate::say::say(log::Level::Error, format_args!($($line)*)) };
}
macro_rules! warn_line {
    ($($line:tt)*) => { $crate::say::say(log::Level::Warn, format_args!($($line)*)) };
}
macro_rules! info_line {
    ($($line:tt)*) => { $crate::say::say(log::Level::Info, format_args!($($line)*)) };
}
macro_rules! debug_line {
    ($($line:tt)*) => { $crate::say::say(log::Level::Debug, format_args!($($line)*)) };
}
pub(crate) use {debug_line as debug, error_line as error, info_line as info, warn_line as warn};
