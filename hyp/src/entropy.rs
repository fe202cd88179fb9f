//! The seed of this boot's random numbers.
//!
//! Every source that is there is used, one on top of the other: firmware's TRNG (DEN0098), the
//! CPU's RNDR, `rng-seed` of the firmware's tree, which is wiped afterwards. EL2 has no source of
//! its own.

use hyp_abi::trng;
use hyp_core::addr::Pa;
use hyp_core::tree::machine::{self, Machine};
use hyp_core::trng::Generator;

use crate::arch::cpu::Lock;
use crate::arch::random;
use crate::{firmware, mm};

/// Bytes of a seed.
const SEED: usize = 32;

/// A seed, its first byte in the lowest bits of the first word.
pub(crate) type Seed = [u64; SEED / 8];

/// Collects a seed; `None` if no source gave all of it. Wipes the seeds of the tree at `tree`.
pub(crate) fn collect(machine: &Machine<'_>, tree: Pa) -> Option<Seed> {
    let mut seed = Seed::default();
    let mut has_source = mix_words(&mut seed, firmware_words());
    has_source |= mix_words(&mut seed, words_of(random::next));
    if let Some(from_tree) = machine.rng_seed {
        has_source |= from_tree.bytes.len() >= SEED;
        mix(&mut seed, from_tree.bytes);
    }
    wipe(tree, machine.rng_seed);
    wipe(tree, machine.kaslr_seed);
    has_source.then_some(seed)
}

/// Wipes what has been used.
fn wipe(tree: Pa, used: Option<machine::Seed<'_>>) {
    if let Some(used) = used {
        mm::wipe_tree(tree, used.at, used.bytes.len());
    }
}

/// Lays words of a source over `seed`; whether there are any.
#[inline(never)]
fn mix_words(seed: &mut Seed, words: Option<Seed>) -> bool {
    let Some(words) = words else { return false };
    for (place, word) in seed.iter_mut().zip(words) {
        *place ^= word;
    }
    true
}

/// Lays `bytes` over `seed`, as often around as they reach.
#[inline(never)]
fn mix(seed: &mut Seed, bytes: &[u8]) {
    for part in bytes.chunks(SEED) {
        for (place, eight) in seed.iter_mut().zip(part.chunks(8)) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(eight) {
                *to = *from;
            }
            *place ^= u64::from_le_bytes(word);
        }
    }
}

/// As many words of `source` as a seed has.
fn words_of(source: impl Fn() -> Option<u64>) -> Option<Seed> {
    let mut words = Seed::default();
    for word in &mut words {
        *word = source()?;
    }
    Some(words)
}

/// Words of firmware's TRNG.
fn firmware_words() -> Option<Seed> {
    let [version, ..] = firmware::service(trng::VERSION, 0)?;
    if version >= 1 << 31 {
        return None;
    }
    words_of(|| {
        let [status, _, _, low] = firmware::service(trng::RND_64, 64)?;
        (status == 0).then_some(low)
    })
}

static GENERATOR: Lock<Generator> = Lock::new(Generator::new());

/// Feeds the generator with the seed that boot collected.
#[inline(never)]
pub(crate) fn init(seed: Option<Seed>) {
    if let Some(seed) = seed {
        GENERATOR.lock().add_seed(seed.map(u64::to_le_bytes).as_flattened());
    }
}

/// Whether there is a seed.
pub(crate) fn is_seeded() -> bool {
    GENERATOR.lock().is_seeded()
}

/// 192 fresh random bits; `None` without a seed.
pub(crate) fn words() -> Option<[u64; 3]> {
    GENERATOR.lock().draw()
}

/// Fills `bytes` with random ones; `None` without a seed, and `bytes` is left alone.
pub(crate) fn fill(bytes: &mut [u8]) -> Option<()> {
    GENERATOR.lock().fill(bytes)
}
