//! Features that bring loads and stores: what a normal VM is shown, EL2 decodes, or says why not.

use super::*;
use crate::insn::decode;
use IdRegister::{Dfr0, Isar0, Isar1, Isar2, Mmfr0, Mmfr1, Mmfr2, Mmfr4, Pfr0, Pfr1};

/// Register, lowest bit; the most that is shown; what that brings, as words that are decoded, and what
/// more would, as words that are not.
type Feature = (IdRegister, u32, u64, &'static [u32], &'static [u32]);

/// Fields of features that bring loads and stores (Arm ARM, the field's description and C4.1.94).
#[rustfmt::skip]
const MEMORY: &[Feature] = &[
    // FP and AdvSIMD: LDR Q, LD2.
    (Pfr0, 16, 1, &[0x3dc0_0041], &[]), (Pfr0, 20, 1, &[0x4c40_8041], &[]),
    // Atomic: LDADD, SWP, CAS, CASP; FEAT_LSE128: LDCLRP, SWPP.
    (Isar0, 20, 2, &[0xf820_0041, 0xf820_8041, 0xc8a0_7c41, 0x4820_7c82], &[0x1920_1041, 0x1920_8041]),
    // LRCPC: LDAPR, LDAPUR, STLUR; FEAT_LRCPC3: LDIAPP, STILP, LDAPR and STLR with write-back, LDAPUR
    // of a vector register, LDAP1.
    (Isar1, 20, 2, &[0xf8bf_c041, 0xd940_8041, 0xd900_8041],
        &[0xd943_1841, 0xd903_1841, 0xd9c0_0841, 0xd980_0841, 0x1d40_0841, 0x0d41_8441]),
    // APA, API; APA3: LDRAA, whose address EL2 cannot authenticate (docs/abi.md).
    (Isar1, 4, 15, &[], &[0xf820_0441]), (Isar1, 8, 15, &[], &[0xf820_0441]),
    (Isar2, 12, 15, &[], &[0xf820_0441]),
    // UAO: LDTR, STTR.
    (Mmfr2, 4, 1, &[0xf840_0841, 0xf800_0841], &[]),
    // AT: FEAT_LSE2 asks for no instruction more.
    (Mmfr2, 32, 1, &[], &[]),
];

/// Those that are shown and bring none.
#[rustfmt::skip]
const OTHER: &[(IdRegister, &[u32])] = &[
    (Pfr0, &[0, 4, 8, 12, 24, 28, 48, 56, 60]),
    (Pfr1, &[0, 4, 40]),
    (Dfr0, &[0, 12, 20, 28, 36, 48]),
    (Isar0, &[4, 8, 12, 16, 28, 32, 36, 40, 44, 48, 52, 56, 60]),
    (Isar1, &[0, 12, 16, 24, 28, 32, 36, 40, 44, 48, 52]),
    (Isar2, &[8, 60]),
    (Mmfr0, &[0, 4, 8, 12, 16, 20, 24, 28, 44]),
    (Mmfr1, &[0, 4, 12, 20, 24, 36, 56]),
    (Mmfr2, &[0, 12, 20, 36, 48, 52, 60]),
    (Mmfr4, &[24]),
];

/// Features in fields that are hidden, and one of their words: field as CRm, Op2 and lowest bit.
#[rustfmt::skip]
const HIDDEN: &[(&str, (u16, u16, u32), u32)] = &[
    ("SVE: LDR Z", (4, 0, 32), 0x8580_4041),
    ("SVE2p1, ID_AA64ZFR0_EL1: LD1Q", (4, 4, 0), 0xc400_a041),
    ("SME: LDR ZA", (4, 1, 24), 0xe100_0041),
    ("MTE: STG", (4, 1, 8), 0xd920_0841),
    ("MTE: LDG", (4, 1, 8), 0xd960_0041),
    ("GCS: GCSSTR", (4, 1, 44), 0xd91f_0c41),
    ("THE: RCWCLR", (4, 1, 48), 0x3820_9041),
    ("THE: RCWCAS", (4, 1, 48), 0x1920_0841),
    ("LS64: LD64B", (6, 1, 60), 0xf83f_d041),
    ("LS64: ST64B", (6, 1, 60), 0xf83f_9041),
    ("MOPS: CPYFP", (6, 2, 16), 0x1900_0441),
    ("MOPS: SETP", (6, 2, 16), 0x19c0_0441),
    ("LSFE: LDFADD", (6, 3, 16), 0xbc20_0041),
    ("LSUI: LDTADD", (6, 3, 20), 0x1920_0441),
    ("LSUI: CAST", (6, 3, 20), 0xc980_7c41),
    ("LSUI: LDTP", (6, 3, 20), 0xe940_0c41),
    ("D128: RCWCLRP", (7, 3, 32), 0x1920_9041),
];

#[test]
fn what_is_shown_is_decoded_and_no_more() {
    let view = view(&everything(), false);
    for &(register, shift, most, decoded, not) in MEMORY {
        let shown = view.id(register) >> shift & 0xf;
        assert_eq!(shown, most.min(7), "{register:?} {shift}");
        for word in decoded {
            assert!(decode(*word).is_some(), "{word:08x}");
        }
        for word in not {
            assert_eq!(decode(*word), None, "{word:08x}");
        }
    }
    for &(name, (crm, op2, shift), word) in HIDDEN {
        let Answer::Value(value) = view.answer(&read(SysReg::new(3, 0, 0, crm, op2))) else {
            panic!("{name}")
        };
        assert_eq!(value >> shift & 0xf, 0, "{name}");
        assert_eq!(decode(word), None, "{name}");
    }
}

/// A field that comes to be shown belongs into one of the lists.
#[test]
fn each_field_that_is_shown_is_thought_of() {
    let view = view(&everything(), false);
    let listed = |index: usize, shift: u32| {
        MEMORY.iter().any(|(register, at, ..)| (*register as usize, *at) == (index, shift))
            || OTHER.iter().any(|(register, at)| *register as usize == index && at.contains(&shift))
    };
    for (index, value) in view.id.iter().enumerate() {
        for shift in (0..64).step_by(4).filter(|shift| value >> shift & 0xf != 0) {
            assert!(listed(index, shift), "register {index}, bit {shift}");
        }
    }
}
