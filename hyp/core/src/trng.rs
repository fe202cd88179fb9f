//! The generator behind the TRNG calls: ChaCha20 with fast key erasure.
//!
//! The state is one 256-bit key. Each draw replaces the key by the first half of the key stream
//! and hands out what follows, so a state that leaks tells nothing about earlier numbers. Seeds
//! are mixed in by exclusive or and a step of the cipher, as `arc4random` of OpenBSD does: a bad
//! seed takes nothing away. Copies are wiped.

use core::fmt;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of the key, and of seed without which no number is given out.
pub const SEED_BYTES: usize = 32;

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
        self.is_seeded().then(|| self.step(bytes))
    }

    /// Replaces the key and fills `bytes` from the stream behind it.
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
