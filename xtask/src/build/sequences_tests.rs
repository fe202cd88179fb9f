//! Encodings as GNU as gives them.

use super::*;

const NOP: u32 = 0xd503_201f;
/// madd x1, x2, x3, x4.
const MADD: u32 = 0x9b03_1041;
/// ldr w5, \[x6\].
const LDR: u32 = 0xb940_00c5;
/// adrp x0.
const ADRP: u32 = 0x9000_0000;
/// ldr x1, \[x1\].
const OTHER: u32 = 0xf940_0021;
/// str x1, \[x0, #8\].
const LAST: u32 = 0xf900_0401;

/// Where there are errata in `words`, the first of which is at `start`.
fn places(start: u64, words: &[u32]) -> Vec<(u64, &'static str)> {
    errata(start, words)
}

#[test]
fn every_multiply_accumulate_behind_any_access_is_found() {
    for access in [
        LDR,
        0xf900_00c5, // str x5, [x6]
        0xa940_1be5, // ldp x5, x6, [sp]
        0xf980_00c0, // prfm pldl1keep, [x6]
        0xc85f_7cc5, // ldxr x5, [x6]
        0xc8df_fcc5, // ldar x5, [x6]
        0x5800_0025, // ldr x5, .+4
        0xb8a7_c8c5, // ldrsw x5, [x6, w7, sxtw]
        0x3c00_10c0, // stur b0, [x6, #1]
        0x0c40_70c0, // ld1 {v0.8b}, [x6]
        0xf821_00c5, // ldadd x1, x5, [x6]
        0xf940_0063, // ldr x3, [x3]: what is multiplied
    ] {
        assert_eq!(places(0x1000, &[NOP, access, MADD]), [(0x1008, "835769")], "{access:#x}");
    }
    for multiplication in [
        MADD,
        0x9b03_9041, // msub x1, x2, x3, x4
        0x9b23_1041, // smaddl x1, w2, w3, x4
        0x9b23_9041, // smsubl x1, w2, w3, x4
        0x9ba3_1041, // umaddl x1, w2, w3, x4
        0x9ba3_9041, // umsubl x1, w2, w3, x4
    ] {
        let found = places(0x1000, &[LDR, multiplication, NOP]);
        assert_eq!(found, [(0x1004, "835769")], "{multiplication:#x}");
    }
    // Two of them in a row are two.
    assert_eq!(places(0, &[LDR, MADD, LDR, MADD]), [(4, "835769"), (12, "835769")]);
}

#[test]
fn what_only_looks_like_835769_is_not() {
    for multiplication in [
        0x1b03_1041, // madd w1, w2, w3, w4
        0x9b03_7c41, // mul x1, x2, x3
        0x9ba3_7c41, // umull x1, w2, w3
        0x9bc3_7c41, // umulh x1, x2, x3
        0x9b43_7c41, // smulh x1, x2, x3
        0x9100_0421, // add x1, x1, #1
    ] {
        assert_eq!(places(0x1000, &[LDR, multiplication]), [], "{multiplication:#x}");
    }
    for no_access in [
        NOP,
        MADD,
        0xd50b_7e25, // dc civac, x5
        0xd503_3fbf, // dmb sy
        0x1400_0001, // b .+4
        0x9100_0421, // add x1, x1, #1
    ] {
        assert_eq!(places(0x1000, &[no_access, MADD]), [], "{no_access:#x}");
    }
    assert_eq!(places(0x1000, &[LDR, NOP, MADD]), []);
    assert_eq!(places(0x1000, &[MADD, LDR]), []);
}

#[test]
fn an_adrp_at_the_end_of_a_page_is_found() {
    let at = |offset: u64| 0x8000_0000_0000 + offset;
    for start in [at(0xff8), at(0xffc), at(0x1_5ff8)] {
        assert_eq!(places(start, &[ADRP, OTHER, LAST]), [(start + 8, "843419")]);
        assert_eq!(places(start, &[ADRP, OTHER, NOP, LAST]), [(start + 12, "843419")]);
    }
    for second in [
        0xa900_0861, // stp x1, x2, [x3]
        0x4c00_7020, // st1 {v0.16b}, [x1]
        0xf980_0020, // prfm pldl1keep, [x1]: 0 is what to prefetch, no register
        0xc802_7c61, // stxr w2, x1, [x3]
        0xfd40_0020, // ldr d0, [x1]
        0xf900_0020, // str x0, [x1]
        0xf841_0002, // ldur x2, [x0, #16]
        0xd900_0020, // stlur x0, [x1]
    ] {
        assert_eq!(places(0xff8, &[ADRP, second, LAST]), [(0x1000, "843419")], "{second:#x}");
    }
    for last in [
        LAST,
        0xf940_0000, // ldr x0, [x0]
        0xf940_0802, // ldr x2, [x0, #16]
        0x3900_0401, // strb w1, [x0, #1]
        0x3dc0_0000, // ldr q0, [x0]
    ] {
        assert_eq!(places(0xffc, &[ADRP, OTHER, last]), [(0x1004, "843419")], "{last:#x}");
    }
}

#[test]
fn what_only_looks_like_843419_is_not() {
    for start in [0, 0xff0, 0xff4, 0x1000] {
        assert_eq!(places(start, &[ADRP, OTHER, LAST]), [], "{start:#x}");
    }
    // adr x0, and an adrp of another register.
    assert_eq!(places(0xff8, &[0x1000_0000, OTHER, LAST]), []);
    assert_eq!(places(0xff8, &[0x9000_0002, OTHER, LAST]), []);
    for second in [
        NOP,
        0xf940_0020, // ldr x0, [x1]: writes adrp's register
        0x5800_0040, // ldr x0, .+8: the same
        0xf800_8401, // str x1, [x0], #8: the same
        0xf840_8c01, // ldr x1, [x0, #8]!: the same
        0xa981_0801, // stp x1, x2, [x0, #16]!: the same
        0xa940_0861, // ldp x1, x2, [x3]
    ] {
        assert_eq!(places(0xff8, &[ADRP, second, LAST]), [], "{second:#x}");
    }
    for last in [
        NOP,
        0xf940_0862, // ldr x2, [x3, #16]
        0xf841_0002, // ldur x2, [x0, #16]
        0xf800_8401, // str x1, [x0], #8
        0xa900_0861, // stp x1, x2, [x3]
    ] {
        assert_eq!(places(0xff8, &[ADRP, OTHER, last, NOP]), [], "{last:#x}");
    }
    // A branch between, of each kind; two instructions between.
    for branch in [0x1400_0002, 0x5400_0041, 0xb4ff_ffe3, 0x3617_ffe0, 0xd65f_03c0, 0xd63f_0060] {
        assert_eq!(places(0xff8, &[ADRP, OTHER, branch, LAST]), [], "{branch:#x}");
    }
    assert_eq!(places(0xff8, &[ADRP, OTHER, NOP, NOP, LAST]), []);
}

#[test]
fn data_among_code_is_not_executed() {
    let marks = [(0x10, true), (0x20, true), (0x30, false), (0x38, true), (0x50, false)];
    assert_eq!(code(0..0x60, &marks), [0x10..0x30, 0x38..0x50]);
    assert_eq!(code(0x20..0x40, &marks), [0x20..0x30, 0x38..0x40]);
    assert_eq!(code(0..0x10, &marks), []);
}
