//! Instructions to be fired: each with an SVC behind it that ends the shot.
//!
//! | at `CODE` + | what |
//! |---|---|
//! | 0 | every system instruction of AArch64: MSR, MRS, SYS, SYSL, hints, barriers |
//! | 1 MiB | the instructions in [`Fixed`] |
//! | 2 MiB | loads and stores, see [`crate::forms`] |
//! | 3 MiB | for each CPU, a page that it writes code to |

use super::ram;
use crate::forms::Form;
use crate::layout::{CODE, PAGE};
use crate::random::mix;

/// Immediate of the SVC behind each instruction.
pub(crate) const DONE: u64 = 0x5afe;
const SVC_DONE: u32 = 0xd400_0001 | 0x5afe << 5;
/// System instructions: bits 21 to 5.
pub(crate) const SYSTEM_ENCODINGS: u64 = 1 << 17;

const MIB: u64 = 1 << 20;
const FIXED: u64 = CODE + MIB;
const FORMS: u64 = CODE + 2 * MIB;
const PATCHES: u64 = CODE + 3 * MIB;

/// Instructions that stand alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Fixed {
    /// NOP.
    Nop,
    /// UDF #0.
    Udf,
    /// WFI.
    Wfi,
    /// WFE.
    Wfe,
    /// SEVL.
    Sevl,
    /// LDR X5, [SP].
    LoadFromStack,
    /// ERET.
    Eret,
    /// In A32: SVC #0.
    SvcA32,
    /// DCPS1, which is undefined without a debugger.
    Dcps1,
    /// LDRB W5, [X6].
    LoadByte,
    /// STRB W5, [X6].
    StoreByte,
}

const FIXED_WORDS: [u32; 11] = [
    0xd503_201f,
    0x0000_0000,
    0xd503_207f,
    0xd503_205f,
    0xd503_20bf,
    0xf940_03e5,
    0xd69f_03e0,
    0xef00_0000,
    0xd4a0_0001,
    0x3940_00c5,
    0x3900_00c5,
];

impl Fixed {
    /// Its address.
    pub(crate) const fn at(self) -> u64 {
        FIXED + self as u64 * 8
    }
}

/// Exception-generating instructions, by their last bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Generating {
    /// HVC.
    Hvc,
    /// SMC.
    Smc,
    /// SVC.
    Svc,
    /// BRK.
    Brk,
    /// HLT.
    Hlt,
}

const GENERATING: [(Generating, u32); 5] = [
    (Generating::Hvc, 0xd400_0002),
    (Generating::Smc, 0xd400_0003),
    (Generating::Svc, 0xd400_0001),
    (Generating::Brk, 0xd420_0000),
    (Generating::Hlt, 0xd440_0000),
];

/// Immediates that those come with.
pub(crate) const IMMEDIATES: [u16; 8] = [0, 1, 2, 0x3f, 0x100, 0x7fff, 0x8000, 0xffff];

impl Generating {
    /// Address of the one with `IMMEDIATES[immediate]`.
    pub(crate) const fn at(self, immediate: usize) -> u64 {
        FIXED + 0x1000 + (self as u64 * 8 + immediate as u64 % 8) * 8
    }
}

/// A system instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct System(u32);

impl System {
    /// Number `n` of all of them.
    pub(crate) const fn new(n: u64) -> Self {
        Self((n % SYSTEM_ENCODINGS) as u32)
    }

    /// The one with these fields.
    pub(crate) const fn of(is_read: bool, [op0, op1, crn, crm, op2]: [u32; 5]) -> Self {
        Self((is_read as u32) << 16 | op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2)
    }

    /// MRS or SYSL.
    pub(crate) const fn is_read(self) -> bool {
        self.0 >> 16 & 1 != 0
    }

    /// Op0, Op1, CRn, CRm, Op2.
    pub(crate) const fn fields(self) -> [u32; 5] {
        [self.0 >> 14 & 3, self.0 >> 11 & 7, self.0 >> 7 & 15, self.0 >> 3 & 15, self.0 & 7]
    }

    /// Its general register; 31 where an instruction has none.
    pub(crate) fn register(self) -> u32 {
        if self.fields()[0] == 0 { 31 } else { (mix(u64::from(self.0)) % 32) as u32 }
    }

    /// Its address.
    pub(crate) fn at(self) -> u64 {
        CODE + u64::from(self.0) * 8
    }

    fn word(self) -> u32 {
        0xd500_0000 | (self.0 >> 16) << 21 | (self.0 & 0xffff) << 5 | self.register()
    }
}

/// Address of load or store number `n`.
pub(crate) const fn form_at(n: usize) -> u64 {
    FORMS + n as u64 * 8
}

/// Address of the instruction that CPU `index` writes.
pub(crate) const fn patch_at(index: usize) -> u64 {
    PATCHES + index as u64 * PAGE
}

fn place(at: u64, word: u32) {
    ram::write_code(at, word);
    ram::write_code(at + 4, SVC_DONE);
}

/// Writes all of it.
pub(crate) fn write(forms: &[Form]) {
    for n in 0..SYSTEM_ENCODINGS {
        let system = System::new(n);
        place(system.at(), system.word());
    }
    for (at, word) in (FIXED..).step_by(8).zip(FIXED_WORDS) {
        place(at, word);
    }
    for (what, word) in GENERATING {
        for (n, immediate) in IMMEDIATES.iter().enumerate() {
            place(what.at(n), word | u32::from(*immediate) << 5);
        }
    }
    for (n, form) in forms.iter().enumerate() {
        place(form_at(n), form.word);
    }
    ram::publish_code(CODE, 4 * MIB);
}

/// Writes an instruction of CPU `index`.
pub(crate) fn patch(index: usize, word: u32) {
    place(patch_at(index), word);
    ram::publish_code(patch_at(index), 8);
}
