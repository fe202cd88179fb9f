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

/// A seed.
pub(crate) type Seed = [u8; SEED];

/// Collects a seed; `None` if no source gave all of it. Wipes the seeds of the tree at `tree`.
pub(crate) fn collect(machine: &Machine<'_>, tree: Pa) -> Option<Seed> {
    let mut seed = Seed::default();
    let mut has_source = false;
    if firmware::service(trng::VERSION, 0).is_some_and(|[version, ..]| version < 1 << 31) {
        has_source |= mix_words(&mut seed, firmware_word);
    }
    has_source |= mix_words(&mut seed, random::next);
    if let Some(from_tree) = machine.rng_seed {
        has_source |= from_tree.bytes.len() >= SEED;
        mix(&mut seed, from_tree.bytes);
    }
    wipe(tree, machine.rng_seed);
    wipe(tree, machine.kaslr_seed);
    has_source.then_some(seed)
}

/// Wipes what has been used.
#[inline(never)]
fn wipe(tree: Pa, used: Option<machine::Seed<'_>>) {
    if let Some(used) = used {
        mm::wipe_tree(tree, used.at, used.bytes.len());
    }
}

/// Lays as many words of a source over `seed` as it has; `false` if there are fewer.
fn mix_words(seed: &mut Seed, source: impl Fn() -> Option<u64>) -> bool {
    let mut words = Seed::default();
    for word in words.as_chunks_mut().0 {
        let Some(fresh) = source() else { return false };
        *word = fresh.to_le_bytes();
    }
    mix(seed, &words);
    true
}

/// Lays `bytes` over `seed`, as often around as they reach.
#[inline(never)]
fn mix(seed: &mut Seed, bytes: &[u8]) {
    for part in bytes.chunks(SEED) {
        for (place, byte) in seed.iter_mut().zip(part) {
            *place ^= byte;
        }
    }
}

/// A word of firmware's TRNG.
fn firmware_word() -> Option<u64> {
    let [status, _, _, low] = firmware::service(trng::RND_64, 64)?;
    (status == 0).then_some(low)
}

static GENERATOR: Lock<Generator> = Lock::new(Generator::new());

/// Feeds the generator with the seed that boot collected.
#[inline(never)]
pub(crate) fn init(seed: Option<Seed>) {
    if let Some(seed) = &seed {
        GENERATOR.lock().add_seed(seed);
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
