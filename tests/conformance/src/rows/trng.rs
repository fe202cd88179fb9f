//! Rows 120 to 126: entropy and paravirtual time.

use hyp_abi::{smccc, trng};

use crate::config::{Config, Kinds};
use crate::hyper::{INVALID_PARAMETERS, NOT_SUPPORTED, call, call0};
use crate::tap::{Check, Row};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("R120", Kinds::VM, "TRNG_VERSION is 1.0", |check, _| {
        check.eq("x0", call0(trng::VERSION, [0; 3]), trng::VERSION_1_0);
    }),
    Row::new("R121", Kinds::VM, "TRNG_FEATURES", |check, _| {
        let features = |id: u32| call0(trng::FEATURES, [u64::from(id), 0, 0]);
        check.eq("PSCI_VERSION", features(0x8400_0000), NOT_SUPPORTED);
        for id in [trng::VERSION, trng::FEATURES, trng::GET_UUID, trng::RND_32, trng::RND_64] {
            check.eq("its own", features(id.0), 0);
        }
    }),
    Row::new("R122", Kinds::VM, "TRNG_RND64 of 192, 193 and 0 bits", |check, _| {
        let [status, high, middle, low] = call(trng::RND_64, [192, 0, 0]);
        check.eq("192", status, 0);
        check.that("something in each word", high != 0 && middle != 0 && low != 0);
        let again = call(trng::RND_64, [192, 0, 0]);
        check.that("new each time", again[1..] != [high, middle, low]);
        for bits in [193, 0] {
            let got = call(trng::RND_64, [bits, 0, 0]);
            check.that("-2, 0, 0, 0", got == [INVALID_PARAMETERS, 0, 0, 0]);
        }
    }),
    Row::new("R123", Kinds::VM, "TRNG_RND64 of 1 bit", one_bit),
    Row::new("R124", Kinds::VM, "TRNG_RND32 of 96 and 97 bits", |check, _| {
        let got = call(trng::RND_32, [96, 0, 0]);
        check.eq("96", got[0], 0);
        check.that("words of 32 bits", got[1..].iter().all(|&word| word >> 32 == 0));
        check.that("something in each word", got[1..].iter().all(|&word| word != 0));
        let got = call(trng::RND_32, [97, 0, 0]);
        check.that("97: -2, 0, 0, 0", got == [INVALID_PARAMETERS, 0, 0, 0]);
        check.eq("0", call0(trng::RND_32, [0; 3]), INVALID_PARAMETERS);
    }),
    Row::new("TR1", Kinds::VM, "bits above the count are 0", excess_bits),
    Row::new("TR2", Kinds::VM, "TRNG_GET_UUID", |check, _| {
        let got = call(trng::GET_UUID, [0; 3]);
        check.that("w0 is not -1", got[0] != 0xffff_ffff && got[0] != NOT_SUPPORTED);
        check.that("words of 32 bits", got.iter().all(|&word| word >> 32 == 0));
    }),
    Row::new("R125", Kinds::ANY_PROTECTED, "no paravirtual time", |check, _| {
        for id in [smccc::PV_TIME_FEATURES, smccc::PV_TIME_ST] {
            check.eq("x0", call0(smccc::PV_TIME_FEATURES, [u64::from(id.0), 0, 0]), NOT_SUPPORTED);
        }
        check.eq("ST", call0(smccc::PV_TIME_ST, [0; 3]), NOT_SUPPORTED);
    }),
    Row::new("R126", Kinds::ANY_NORMAL, "paravirtual time, where offered", |check, _| {
        let offered = call0(smccc::PV_TIME_FEATURES, [u64::from(smccc::PV_TIME_ST.0), 0, 0]);
        check.one_of("PV_TIME_FEATURES", offered, &[0, NOT_SUPPORTED]);
        let structure = call0(smccc::PV_TIME_ST, [0; 3]);
        if offered == 0 {
            check.eq("alignment", structure & 63, 0);
            check.eq("again", call0(smccc::PV_TIME_ST, [0; 3]), structure);
        } else {
            check.eq("ST", structure, NOT_SUPPORTED);
        }
    }),
];

fn one_bit(check: &mut Check, _: &Config) {
    let mut seen = [0; 2];
    for _ in 0..64 {
        let [status, high, middle, low] = call(trng::RND_64, [1, 0, 0]);
        check.that("0, 0, 0, 0 or 1", [status, high, middle] == [0; 3] && low <= 1);
        seen[usize::from(low == 1)] += 1;
    }
    // Each of them missing has a chance of 2^-63.
    check.that("both values come", seen[0] > 0 && seen[1] > 0);
}

fn excess_bits(check: &mut Check, _: &Config) {
    // Word n of three, most significant first, holds bits from `base(n)` on.
    let within = |words: &[u64], width: u64, bits: u64| {
        words.iter().enumerate().all(|(n, &word)| {
            let left = bits.saturating_sub(width * (2 - n as u64)).min(width);
            left == 64 || word >> left == 0
        })
    };
    for bits in [1, 7, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 191, 192] {
        for _ in 0..8 {
            let got = call(trng::RND_64, [bits, 0, 0]);
            check.that("RND64", got[0] == 0 && within(&got[1..], 64, bits));
        }
    }
    for bits in [1, 31, 32, 33, 63, 64, 65, 95, 96] {
        for _ in 0..8 {
            let got = call(trng::RND_32, [bits, 0, 0]);
            check.that("RND32", got[0] == 0 && within(&got[1..], 32, bits));
        }
    }
}
