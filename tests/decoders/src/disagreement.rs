//! Where the two decoders of others disagree, and who is right. Chapters are those of DDI 0487.

/// Who is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// capstone.
    Capstone,
    /// yaxpeax.
    Yaxpeax,
}

/// A set of words that the decoders disagree on.
#[derive(Debug, Clone, Copy)]
pub struct Disagreement {
    /// Whether a word is one of them.
    pub covers: fn(u32) -> bool,
    /// Who is right.
    pub truth: Truth,
    /// Why.
    pub why: &'static str,
}

const fn is(word: u32, mask: u32, value: u32) -> bool {
    word & mask == value
}

/// The five bits at `shift`.
const fn five(word: u32, shift: u32) -> u32 {
    word >> shift & 0x1f
}

/// Whether Rs or Rt2 is not all ones.
const fn has_stray_register(word: u32) -> bool {
    five(word, 16) != 31 || five(word, 10) != 31
}

/// "Load/store exclusive register", "exclusive pair" and "ordered": bits 29:24 are 001000.
const EXCLUSIVE: u32 = 0x3f00_0000;
const IS_EXCLUSIVE: u32 = 0x0800_0000;
/// "Advanced SIMD load/store multiple structures" with and without post-index: 29:24 are 001100.
const IS_MULTIPLE: u32 = 0x0c00_0000;
/// o2 and o1.
const O2: u32 = 1 << 23;
const O1: u32 = 1 << 21;
/// L.
const LOAD: u32 = 1 << 22;

/// All that is known. The first row that covers a word counts.
pub const DISAGREEMENTS: &[Disagreement] = &[
    Disagreement {
        covers: |word| is(word, EXCLUSIVE | O2 | O1, IS_EXCLUSIVE | O2) && has_stray_register(word),
        truth: Truth::Yaxpeax,
        why: "LDAR, LDLAR, STLR, STLLR: Rs and Rt2 should be ones (C6.2). Where they are not, the \
              instruction may do what it does where they are (chapter K1, reserved bits), which yaxpeax says; \
              capstone takes it for none",
    },
    Disagreement {
        covers: |word| is(word, EXCLUSIVE | O2 | O1, IS_EXCLUSIVE) && has_stray_register(word),
        truth: Truth::Yaxpeax,
        why: "LDXR, LDAXR, STXR, STLXR: Rt2, and of loads Rs, should be ones (C6.2); as above",
    },
    Disagreement {
        covers: |word| {
            is(word, EXCLUSIVE | O2 | O1 | LOAD | 1 << 31, IS_EXCLUSIVE | O1 | LOAD | 1 << 31)
                && (five(word, 16) != 31 || five(word, 0) == five(word, 10))
        },
        truth: Truth::Yaxpeax,
        why: "LDXP, LDAXP: Rs should be ones, and a register loaded twice is CONSTRAINED \
              UNPREDICTABLE (C6.2, K1); the fault for exclusives is right whatever it is",
    },
    Disagreement {
        covers: |word| is(word, 0x3fe0_fc00, 0x38a0_c000) && five(word, 16) != 31,
        truth: Truth::Yaxpeax,
        why: "LDAPR: Rs should be ones (C6.2); as above",
    },
    Disagreement {
        covers: |word| is(word, 0x3f20_0c00, 0x3800_0800) && five(word, 0) == five(word, 5),
        truth: Truth::Yaxpeax,
        why: "LDTR and its kin with the base as target: there is no write-back that could collide \
              (C6.2, LDTR); capstone takes bits 11:10 = 10 for one",
    },
    Disagreement {
        covers: |word| is(word, 0xbe00_0000, 0x8c00_0000),
        truth: Truth::Capstone,
        why: "Bit 31 of structure loads and stores is 0 (C4.1); yaxpeax does not look at it",
    },
    Disagreement {
        covers: |word| is(word, 0xbf20_0000, IS_MULTIPLE | 1 << 21),
        truth: Truth::Capstone,
        why: "Bit 21 of \"multiple structures\" is 0, with and without post-index (C4.1); \
              yaxpeax does not look at it",
    },
    Disagreement {
        // Q = 0, size = 11; of the opcodes those of LD1 and ST1 have 1 in bit 13.
        covers: |word| is(word, 0xff20_2c00, IS_MULTIPLE | 3 << 10),
        truth: Truth::Capstone,
        why: "Structures of 2 to 4 elements have no arrangement 1D (C7.2, LD2: size:Q = 110 \
              is UNDEFINED where an element is not alone)",
    },
];
