//! The seed of this boot's random numbers.
//!
//! Every source that is there is used, one on top of the other: firmware's TRNG (DEN0098), the
//! CPU's RNDR, `rng-seed` of the firmware's tree, which is wiped afterwards. EL2 has no source of
//! its own.

use hyp_abi::trng;
use hyp_core::addr::Pa;
use hyp_core::tree::Machine;
use hyp_core::trng::Generator;

use crate::arch::cpu::Lock;
use crate::arch::random;
use crate::{firmware, mm};

/// Bytes of a seed.
pub(crate) const SEED: usize = 32;

/// Collects a seed; `None` if no source gave all of it. Wipes the seeds of the tree at `tree`.
pub(crate) fn collect(machine: &Machine<'_>, tree: Pa) -> Option<[u8; SEED]> {
    let mut seed = [0; SEED];
    let mut has_source = false;
    for words in [firmware_words(), cpu_words()].into_iter().flatten() {
        has_source = true;
        mix(&mut seed, words.iter().flat_map(|word| word.to_le_bytes()));
    }
    if let Some(from_tree) = machine.rng_seed {
        has_source |= from_tree.bytes.len() >= SEED;
        mix(&mut seed, from_tree.bytes.iter().copied());
    }
    for used in [machine.rng_seed, machine.kaslr_seed].into_iter().flatten() {
        mm::wipe_tree(tree, used.at, used.bytes.len());
    }
    has_source.then_some(seed)
}

/// Lays `bytes` over `seed`, as often around as they reach.
fn mix(seed: &mut [u8; SEED], bytes: impl Iterator<Item = u8>) {
    for (n, byte) in bytes.enumerate() {
        if let Some(place) = seed.get_mut(n % SEED) {
            *place ^= byte;
        }
    }
}

/// Words of firmware's TRNG.
fn firmware_words() -> Option<[u64; SEED / 8]> {
    let [version, ..] = firmware::service(trng::VERSION, 0)?;
    if version >= 1 << 31 {
        return None;
    }
    let mut words = [0; SEED / 8];
    for word in &mut words {
        let [status, _, _, low] = firmware::service(trng::RND_64, 64)?;
        if status != 0 {
            return None;
        }
        *word = low;
    }
    Some(words)
}

/// Words of RNDR.
fn cpu_words() -> Option<[u64; SEED / 8]> {
    let mut words = [0; SEED / 8];
    for word in &mut words {
        *word = random::next()?;
    }
    Some(words)
}

static GENERATOR: Lock<Generator> = Lock::new(Generator::new());

/// Feeds the generator with the seed that boot collected.
#[inline(never)]
pub(crate) fn init(seed: Option<[u8; SEED]>) {
    if let Some(seed) = seed {
        GENERATOR.lock().add_seed(&seed);
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
