//! Which targets there are; this program and `cargo xtask fuzz` read the same list.
//!
//! A target is a file beside this one with `pub fn run(input: &[u8])`, which panics where something
//! is wrong, a line in `lib.rs`, and a line here: its name, how many inputs `cargo xtask test` gives
//! it (some 5 seconds), how long an input is at most, and what it is.

targets! {
    bundle: 5_000 inputs up to 512 bytes, "bundles, and the kernels and programs in them";
    calls: 2_000 inputs up to 2_048 bytes, "calls and accesses of several vCPUs, against the model";
    console: 40_000 inputs up to 1_024 bytes, "the UART, the shared terminal, events, and what xtask hears";
    gic: 100 inputs up to 512 bytes, "an interrupt controller, against the architecture's";
    insn: 3_000 inputs up to 64 bytes, "instruction words, before two other decoders";
    syndrome: 100_000 inputs up to 64 bytes, "syndromes of traps, and what becomes of the guest";
    tree: 4_000 inputs up to 4_096 bytes, "device trees from firmware, read in four ways";
}
