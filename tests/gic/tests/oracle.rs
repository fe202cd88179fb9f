//! Random streams, the same each time.

use gic::run;

/// Bytes that look random, the same for each `seed`.
fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32).to_le_bytes()[0]
    };
    for _ in 0..16 {
        next();
    }
    (0..count).map(|_| next()).collect()
}

#[test]
fn behaves_as_the_architecture_says() {
    let mut counts = gic::Counts::default();
    for seed in 0..100 {
        match run(&bytes(seed, 3000)) {
            Ok(more) => {
                counts.events += more.events;
                counts.loads += more.loads;
                counts.signals += more.signals;
                counts.signalled += more.signalled;
                counts.acknowledged += more.acknowledged;
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    println!("{counts:?}");
    assert!(counts.acknowledged > 2_000 && counts.signalled > 15_000, "{counts:?}");
}
