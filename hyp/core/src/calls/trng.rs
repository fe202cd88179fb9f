//! TRNG calls (DEN0098, version 1.0).

use hyp_abi::smccc::FunctionId;
use hyp_abi::trng::{
    self, INVALID_PARAMETERS, MAX_BITS_32, MAX_BITS_64, NO_ENTROPY, NOT_SUPPORTED,
};

use super::{CallServices, Outcome, by_convention, done};
use crate::features::Features;

/// Names this generator: 286940f4-5a3a-49d5-9308-f9bf246d2d2a, as W0 to W3.
pub const UUID: [u32; 4] = [0xf440_6928, 0xd549_3a5a, 0xbff9_0893, 0x2a2d_6d24];

/// Answers one of the five calls.
#[inline(never)]
pub(super) fn call<S: CallServices>(services: &S, id: FunctionId, x1: u64) -> Outcome {
    if !services.features().contains(Features::TRNG) {
        return done(NOT_SUPPORTED);
    }
    let argument = by_convention(id, x1);
    match id {
        trng::VERSION => Outcome::Done([trng::VERSION_1_0, 0, 0, 0]),
        trng::FEATURES => done(match FunctionId::from_x0(argument) {
            trng::VERSION | trng::FEATURES | trng::GET_UUID | trng::RND_32 | trng::RND_64 => 0,
            _ => NOT_SUPPORTED,
        }),
        trng::GET_UUID => Outcome::Done(UUID.map(u64::from)),
        _ => random(services, argument, id.is_64bit()),
    }
}

/// `bits` random bits in x1 to x3, of which x3 has the lowest: the low halves or all of each.
fn random<S: CallServices>(services: &S, bits: u64, is_64bit: bool) -> Outcome {
    let limit = if is_64bit { MAX_BITS_64 } else { MAX_BITS_32 };
    // The interface wants INVALID_PARAMETERS for 0 bits, too (KVM answers success).
    if !(1..=limit).contains(&bits) {
        return done(INVALID_PARAMETERS);
    }
    let Some([low, middle, high]) = services.entropy() else {
        return done(NO_ENTROPY);
    };
    let size = if is_64bit { 64u64 } else { 32 };
    // The `n`th word from the lowest on.
    let word = |random: u64, n: u64| {
        random & low_bits(bits.saturating_sub(n.saturating_mul(size)).min(size))
    };
    Outcome::Done([0, word(high, 2), word(middle, 1), word(low, 0)])
}

/// A mask of the low `count` bits; all of them from 64 on.
fn low_bits(count: u64) -> u64 {
    u32::try_from(count)
        .ok()
        .and_then(|count| 1u64.checked_shl(count))
        .map_or(u64::MAX, |bit| bit.wrapping_sub(1))
}
