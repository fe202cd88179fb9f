//! The seed of this boot's random numbers, and the generator that it feeds.
//!
//! Every source that is there is used, one on top of the other: firmware's TRNG (DEN0098), the
//! CPU's RNDR, `rng-seed` of the firmware's tree, which is wiped afterwards. EL2 has no source of
//! its own.

use hyp_abi::trng::{self, NO_ENTROPY};
use hyp_core::addr::Pa;
use hyp_core::tree::machine::{self, Machine};
use hyp_core::trng::{Answer, Generator, Seed, wipe_stack};

use crate::arch::cpu::{self, Lock};
use crate::arch::{low_half, random, timer};
use crate::{firmware, mm};

static GENERATOR: Lock<Generator> = Lock::new(Generator::new());

/// Collects a seed and feeds the generator with it, if a source gave all of it. Wipes the seeds of the tree
/// at `tree`, and what this leaves on the stack.
pub(crate) fn init(machine: &Machine<'_>, tree: Pa) {
    collect(machine);
    wipe_stack();
    wipe(tree, machine.rng_seed);
    wipe(tree, machine.kaslr_seed);
}

#[inline(never)]
fn collect(machine: &Machine<'_>) {
    let mut seed = Seed::new();
    let has_trng =
        firmware::service(trng::VERSION, 0).is_some_and(|[version, ..]| version < 1 << 31);
    if has_trng || injected!(has_trng(), false) {
        seed.mix_words(noted(firmware_word), wait);
    }
    seed.mix_words(noted(|| random::next().map_or(Answer::Never, Answer::Word)), || {});
    if let Some(from_tree) = machine.rng_seed {
        injected!(note_secret(from_tree.bytes));
        seed.mix(from_tree.bytes);
    }
    if let Some(seed) = seed.whole() {
        injected!(note_secret(seed));
        GENERATOR.lock().add_seed(seed);
    }
}

/// `source`, whose words a test looks for.
fn noted(source: impl Fn() -> Answer) -> impl Fn() -> Answer {
    move || {
        let answer = source();
        #[cfg(feature = "inject")]
        if let Answer::Word(word) = answer {
            injected!(note_secret(&word.to_le_bytes()));
        }
        answer
    }
}

/// Wipes what has been used.
#[inline(never)]
fn wipe(tree: Pa, used: Option<machine::Seed<'_>>) {
    if let Some(used) = used {
        mm::wipe_tree(tree, used.at, used.bytes.len());
    }
}

/// A word of firmware's TRNG.
fn firmware_word() -> Answer {
    if let Some(injected) = injected!(trng_word(), None) {
        return injected;
    }
    match firmware::service(trng::RND_64, 64) {
        Some([0, _, _, low]) => Answer::Word(low),
        // Codes are 32 bits wide.
        Some([status, ..]) if i64::from(low_half(status).cast_signed()) == NO_ENTROPY => {
            Answer::NotNow
        }
        _ => Answer::Never,
    }
}

/// A millisecond, in which firmware may gather entropy.
fn wait() {
    let end = timer::now().saturating_add(timer::frequency() / 1000);
    while timer::now() < end {
        cpu::yield_now();
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
