//! Postern's EL2 image.

/// The image runs at EL2 only; on the host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}
