//! Postern's one command-line face: `cargo xtask --help`.

fn main() {}
