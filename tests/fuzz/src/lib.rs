//! Inputs nobody would write, for what reads a guest's or a loader's bytes.
//!
//! Each target takes bytes, makes of them what its code reads, and compares the answer with one
//! that was come to in another way. `cargo xtask fuzz` lets libFuzzer choose the bytes;
//! `docs/fuzzing.md` says how to work with it. The inputs in `corpus` are also an ordinary test.

#[cfg(test)]
mod tests;

mod bundle;
pub mod bytes;
mod calls;
mod console;
mod gic;
mod insn;
mod syndrome;
mod tree;

/// A target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Gives it one input; panics where the answer is wrong.
    pub run: fn(&[u8]),
}

/// What `list.rs` is to this program: the functions.
macro_rules! targets {
    ($($name:ident: $runs:literal inputs up to $length:literal bytes, $about:literal;)*) => {
        /// All targets.
        pub const ALL: &[crate::Target] =
            &[$(crate::Target { name: stringify!($name), run: crate::$name::run }),*];
    };
}

mod list;

pub use list::ALL;

/// The environment variable that chooses the target.
pub const CHOICE: &str = "POSTERN_FUZZ_TARGET";

/// The target called `name`.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    ALL.iter().find(|target| target.name == name).copied()
}
