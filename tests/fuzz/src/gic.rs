//! Streams of register accesses, SGIs, lines and what a CPU interface sees: `hyp-core`'s interrupt
//! controller against the architecture's.

/// One input: how the machine is built, then what happens to it.
pub(crate) fn run(input: &[u8]) {
    if let Err(difference) = ::gic::run(input) {
        panic!("{difference}");
    }
}
