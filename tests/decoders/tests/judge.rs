//! hyp-core's decoder before its judges.

use std::collections::BTreeMap;

use decoders::{DISAGREEMENTS, Decoded, Decoders, Refusal, Verdict, differ};
use hyp_core::insn::decode;

/// Rn and Rt: different ones, the same, the stack pointer and the zero register, numbers that are
/// also fields of other encodings.
const REGISTERS: [(u32, u32); 6] = [(2, 3), (2, 2), (31, 31), (0, 0), (1, 8), (31, 30)];

struct Tally {
    decoders: Decoders,
    counts: BTreeMap<Verdict, u32>,
}

impl Tally {
    fn new() -> Self {
        Self { decoders: Decoders::new().unwrap(), counts: BTreeMap::new() }
    }

    fn judge(&mut self, word: u32) {
        let verdict = self.decoders.judge(word).unwrap_or_else(|error| panic!("{error}"));
        *self.counts.entry(verdict).or_default() += 1;
    }

    fn count(&self, verdict: Verdict) -> u32 {
        self.counts.get(&verdict).copied().unwrap_or(0)
    }
}

/// Every value of bits 31:10, which hold all of an encoding but its last two registers, in a
/// quarter of the space for each of four threads; the registers take turns.
#[test]
fn every_encoding_of_loads_and_stores() {
    let quarter = |quarter: u32| {
        let mut tally = Tally::new();
        for n in quarter << 18..(quarter + 1) << 18 {
            // 15 low bits are bits 24:10; then come 26 and 31:28.
            let word = (n >> 16) << 28 | (n >> 15 & 1) << 26 | (n & 0x7fff) << 10 | 1 << 27;
            let (rn, rt) =
                REGISTERS[(n.wrapping_mul(0x9e37_79b9) >> 16) as usize % REGISTERS.len()];
            tally.judge(word | rn << 5 | rt);
        }
        tally.counts
    };
    let threads: Vec<_> = (0..4).map(|n| std::thread::spawn(move || quarter(n))).collect();
    let mut tally = Tally::new();
    for thread in threads {
        for (verdict, count) in thread.join().unwrap_or_else(|e| std::panic::resume_unwind(e)) {
            *tally.counts.entry(verdict).or_default() += count;
        }
    }
    println!("{:?}", tally.counts);
    assert!(tally.count(Verdict::Same) > 400_000);
    for refusal in [
        Refusal::Authenticated,
        Refusal::Tags,
        Refusal::Block,
        Refusal::Copy,
        Refusal::BaseTransferred,
        Refusal::LoadedTwice,
    ] {
        assert!(tally.count(Verdict::Refused(refusal)) > 0, "{refusal:?}");
    }
    for (n, row) in DISAGREEMENTS.iter().enumerate() {
        assert!(tally.count(Verdict::Explained(n)) > 0, "row {n} explains nothing: {}", row.why);
    }
}

/// Words that differ in everything, half of them loads and stores.
#[test]
fn words_at_random() {
    let mut tally = Tally::new();
    let mut state = 1u64;
    for n in 0..200_000u32 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let [a, b, c, d, ..] = state.to_be_bytes();
        let word = u32::from_be_bytes([a, b, c, d]);
        tally.judge(if n % 2 == 0 { word } else { word & !(1 << 25) | 1 << 27 });
    }
    assert!(tally.count(Verdict::Same) > 30_000, "{:?}", tally.counts);
}

/// The judges would see a wrong answer: each word is compared with what its neighbour means.
#[test]
fn what_is_wrong_is_seen() {
    for (word, said, other) in [
        (0x3940_0041, "ldrb w1, [x2]", "ldrh w1, [x2]"),
        (0x38c0_0041, "ldursb w1, [x2]", "ldursb x1, [x2]"),
        (0x38c0_0041, "ldursb w1, [x2]", "ldurb w1, [x2]"),
        (0xb980_0041, "ldrsw x1, [x2]", "ldr w1, [x2]"),
        (0xf840_8441, "ldr x1, [x2], #8", "ldr x1, [x2, #8]!"),
        (0xf840_8441, "ldr x1, [x2], #8", "ldr x1, [x2, #8]"),
        (0xf85f_8041, "ldur x1, [x2, #-8]", "ldur x1, [x2, #0xf8]"),
        (0xf863_d841, "ldr x1, [x2, w3, sxtw #3]", "ldr x1, [x2, w3, uxtw #3]"),
        (0xf863_d841, "ldr x1, [x2, w3, sxtw #3]", "ldr x1, [x2, w3, sxtw]"),
        (0xf863_6841, "ldr x1, [x2, x3]", "ldr x1, [x2, w3, sxtw]"),
        (0xa940_0c41, "ldp x1, x3, [x2]", "ldp x3, x1, [x2]"),
        (0xa940_0c41, "ldp x1, x3, [x2]", "ldp w1, w3, [x2]"),
        (0xf820_0041, "ldadd x0, x1, [x2]", "ldset x0, x1, [x2]"),
        (0x7820_1041, "ldclrh w0, w1, [x2]", "ldclr w0, w1, [x2]"),
        (0x4820_7c82, "casp x0, x1, x2, x3, [x4]", "casp w0, w1, w2, w3, [x4]"),
        (0x4820_7c82, "casp x0, x1, x2, x3, [x4]", "casp x0, x1, x3, x2, [x4]"),
        (0xc8a0_7c41, "cas x0, x1, [x2]", "swp x0, x1, [x2]"),
        (0x885f_7c41, "ldxr w1, [x2]", "ldar w1, [x2]"),
        (0xf980_0040, "prfm pldl1keep, [x2]", "ldr x0, [x2]"),
        (0x5800_0041, "ldr x1, #8", "ldr x1, #0xc"),
        (0x3dc0_0041, "ldr q1, [x2]", "ldr d1, [x2]"),
        (0x4c40_8041, "ld2 {v1.16b, v2.16b}, [x2]", "ld1 {v1.16b, v2.16b}, [x2]"),
        (0x0c40_8041, "ld2 {v1.8b, v2.8b}, [x2]", "ld2 {v1.4h, v2.4h}, [x2]"),
        (0x0d40_c041, "ld1r {v1.8b}, [x2]", "ld1r {v1.16b}, [x2]"),
        (0x0d40_0441, "ld1 {v1.b}[1], [x2]", "ld1 {v1.b}[0], [x2]"),
        (0x4cdf_7041, "ld1 {v1.16b}, [x2], #0x10", "ld1 {v1.16b}, [x2], x31"),
        (0x4cc3_7041, "ld1 {v1.16b}, [x2], x3", "ld1 {v1.16b}, [x2]"),
    ] {
        let ours = decode(word).unwrap_or_else(|| panic!("{said}"));
        let Decoded::Memory(right) = Decoded::from_text(said) else { panic!("{said}") };
        assert_eq!(differ(word, &right, &ours), None, "{word:08x} {said}");
        if let Decoded::Memory(wrong) = Decoded::from_text(other) {
            assert!(differ(word, &wrong, &ours).is_some(), "{word:08x} {said} passes as {other}");
        }
    }
}
