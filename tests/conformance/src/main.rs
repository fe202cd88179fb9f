//! A guest that checks any host claiming the pKVM guest ABI and prints TAP.

/// The guest runs at EL1 only; on the host there is nothing to run.
fn main() {}
