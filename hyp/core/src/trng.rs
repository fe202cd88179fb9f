//! The generator behind the TRNG calls: ChaCha20 with fast key erasure, and the seed that it begins with.
//!
//! The state is one 256-bit key. Each draw replaces the key by the first half of the key stream
//! and hands out what follows, so a state that leaks tells nothing about earlier numbers. Seeds
//! are mixed in by exclusive or and a step of the cipher, as `arc4random` of OpenBSD does: a bad
//! seed takes nothing away. Copies are wiped, those on the stack included, which neither the cipher's crate
//! nor the compiler does for us.

use core::fmt;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of the key, and of seed without which no number is given out.
pub const SEED_BYTES: usize = 32;

/// Bytes of stack that [`wipe_stack`] overwrites: more than a step of the generator takes.
const STEP_STACK: usize = 2048;

/// What a source of random words answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A word.
    Word(u64),
    /// It has none now, but may have later: NO_ENTROPY (DEN0098, "TRNG_RND").
    NotNow,
    /// It has none.
    Never,
}

/// A seed in the making. Every source is laid over what is there, so a bad one takes nothing away.
#[derive(Default)]
pub struct Seed {
    bytes: Zeroizing<[u8; SEED_BYTES]>,
    /// A source gave all of it.
    is_whole: bool,
}

impl fmt::Debug for Seed {
    /// The bytes stay out of any log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").field("is_whole", &self.is_whole).finish_non_exhaustive()
    }
}

impl Seed {
    /// How often in all a source that has nothing now is asked again.
    const PATIENCE: u32 = 1000;

    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lays `bytes` over it, as often around as they reach.
    #[inline(never)]
    pub fn mix(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(SEED_BYTES) {
            for (place, byte) in self.bytes.iter_mut().zip(part) {
                *place ^= byte;
            }
        }
        self.is_whole |= bytes.len() >= SEED_BYTES;
    }

    /// Lays as many words of `source` over it as make a seed. A source that has none now is asked again, up
    /// to 1000 times in all, with a `wait` before each. What it gave until then counts.
    pub fn mix_words(&mut self, mut source: impl FnMut() -> Answer, mut wait: impl FnMut()) {
        let mut words = Zeroizing::new([0; SEED_BYTES]);
        let mut given: usize = 0;
        let mut patience = Self::PATIENCE;
        for word in words.as_chunks_mut().0 {
            let fresh = loop {
                match source() {
                    Answer::NotNow if patience > 0 => patience = patience.saturating_sub(1),
                    answer => break answer,
                }
                wait();
            };
            let Answer::Word(fresh) = fresh else { break };
            *word = fresh.to_le_bytes();
            given = given.saturating_add(word.len());
        }
        self.mix(words.get(..given).unwrap_or_default());
    }

    /// The seed, once a source gave all of it.
    #[must_use]
    pub fn whole(&self) -> Option<&[u8]> {
        self.is_whole.then_some(&self.bytes[..])
    }
}

/// Overwrites what calls that have returned left on the stack: the 2 KiB below the caller's frame. The
/// caller passes secrets to functions that are not inlined into it.
#[inline(never)]
pub fn wipe_stack() {
    let mut below = [0_u64; STEP_STACK / 8];
    below.zeroize();
    core::hint::black_box(&below);
}

/// A deterministic generator of random bits.
pub struct Generator {
    key: [u8; SEED_BYTES],
    /// Bytes of seed still missing.
    missing: usize,
}

impl Default for Generator {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Generator {
    /// The key stays out of any log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").field("missing", &self.missing).finish_non_exhaustive()
    }
}

impl Generator {
    /// A generator without a seed.
    #[must_use]
    pub const fn new() -> Self {
        Self { key: [0; SEED_BYTES], missing: SEED_BYTES }
    }

    /// Mixes `seed` in. The caller wipes its own copy, and says the truth: each byte counts as
    /// eight bits of entropy.
    #[inline(never)]
    pub fn add_seed(&mut self, seed: &[u8]) {
        for part in seed.chunks(SEED_BYTES) {
            for (key, seed) in self.key.iter_mut().zip(part) {
                *key ^= seed;
            }
            self.step(&mut []);
        }
        wipe_stack();
        self.missing = self.missing.saturating_sub(seed.len());
    }

    /// Whether [`SEED_BYTES`] of seed have come in.
    #[must_use]
    pub const fn is_seeded(&self) -> bool {
        self.missing == 0
    }

    /// 192 random bits; `None` without a seed.
    pub fn draw(&mut self) -> Option<[u64; 3]> {
        let mut bytes = Zeroizing::new([0; 24]);
        self.fill(bytes.as_mut())?;
        let mut words = [0; 3];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Some(words)
    }

    /// Fills `bytes` with random bits, for the seeds in a guest's tree; `None` without a seed,
    /// and `bytes` is left alone.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Option<()> {
        let done = self.is_seeded().then(|| self.step(bytes));
        wipe_stack();
        done
    }

    /// Replaces the key and fills `bytes` from the stream behind it.
    #[inline(never)]
    fn step(&mut self, bytes: &mut [u8]) {
        let mut stream = ChaCha20Rng::from_seed(self.key);
        stream.fill_bytes(&mut self.key);
        stream.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeded() -> Generator {
        let mut generator = Generator::new();
        let seed: [u8; 32] = core::array::from_fn(|n| n.to_le_bytes()[0]);
        generator.add_seed(&seed);
        generator
    }

    /// A source that says `answers`, then that it has nothing now, and how often it was asked and waited for.
    fn ask(answers: &[Answer]) -> (Seed, usize, usize) {
        let (mut asked, mut waited) = (0, 0);
        let mut seed = Seed::new();
        let source = || {
            asked += 1;
            answers.get(asked - 1).copied().unwrap_or(Answer::NotNow)
        };
        seed.mix_words(source, || waited += 1);
        (seed, asked, waited)
    }

    #[test]
    fn a_source_that_has_nothing_now_is_asked_again() {
        let words = [1, 2, 3, 4].map(Answer::Word);
        let expected: std::vec::Vec<u8> =
            [1_u64, 2, 3, 4].iter().flat_map(|w| w.to_le_bytes()).collect();
        for delay in [0, 1, 7, 999, 1000] {
            // Before the third word.
            let mut answers = words[..2].to_vec();
            answers.resize(2 + delay, Answer::NotNow);
            answers.extend(&words[2..]);
            let (seed, asked, waited) = ask(&answers);
            assert_eq!(seed.whole(), Some(&expected[..]), "{delay}");
            assert_eq!((asked, waited), (4 + delay, delay));
        }
    }

    #[test]
    fn a_source_that_gives_nothing_ends_the_wait_and_what_it_gave_counts() {
        assert_eq!(ask(&[]).0.whole(), None);
        assert_eq!((ask(&[]).1, ask(&[]).2), (1001, 1000));
        let (mut seed, asked, waited) = ask(&[Answer::Word(u64::MAX), Answer::Never]);
        assert_eq!((seed.whole(), asked, waited), (None, 2, 0));
        // A second source gives all, and takes nothing of the first away.
        seed.mix(&[1; SEED_BYTES]);
        let mut both = [1; SEED_BYTES];
        both[..8].fill(0xfe);
        assert_eq!(seed.whole(), Some(&both[..]));
        let mut short = Seed::new();
        short.mix(&[1; SEED_BYTES - 1]);
        assert_eq!(short.whole(), None);
    }

    /// Numbers computed by another implementation of the cipher from RFC 8439, section 2.3.
    #[test]
    fn known_numbers() {
        let mut generator = seeded();
        assert_eq!(
            generator.draw(),
            Some([0x8e1a_e490_9ca5_412d, 0x9906_461c_aacc_4d7a, 0x9e71_25ce_33a3_b183])
        );
        assert_eq!(
            generator.draw(),
            Some([0xdc8d_c320_af44_d85f, 0xc959_acb6_34b9_9cd7, 0x4946_fc9e_ea0e_ec70])
        );
    }

    #[test]
    fn nothing_without_a_whole_seed() {
        let mut generator = Generator::new();
        assert_eq!(generator.draw(), None);
        generator.add_seed(&[1; 31]);
        let mut bytes = [7; 4];
        assert_eq!(generator.fill(&mut bytes), None);
        assert_eq!(bytes, [7; 4]);
        generator.add_seed(&[1; 1]);
        assert!(generator.is_seeded());
        assert!(generator.draw().is_some());
    }

    #[test]
    fn more_seed_changes_the_stream() {
        let (mut one, mut other) = (seeded(), seeded());
        other.add_seed(b"x");
        assert_ne!(one.draw(), other.draw());
    }

    /// Somebody who feeds in what he likes does not get rid of what was there.
    #[test]
    fn no_seed_makes_two_generators_alike() {
        for byte in [0x00, 0xff, 0x55] {
            let (mut one, mut other) = (seeded(), Generator::new());
            other.add_seed(&[9; 32]);
            one.add_seed(&[byte; 32]);
            other.add_seed(&[byte; 32]);
            assert_ne!(one.draw(), other.draw(), "{byte:#x}");
        }
    }

    /// A long seed counts to its last byte.
    #[test]
    fn every_byte_of_a_seed_matters() {
        let with = |at: usize| {
            let mut seed = [0; 70];
            seed[at] = 1;
            let mut generator = Generator::new();
            generator.add_seed(&seed);
            generator.draw()
        };
        assert_ne!(with(0), with(1));
        assert_ne!(with(69), with(68));
        assert_ne!(with(40), with(8));
    }
}
