//! hyp-core's decoder of loads and stores against two that were made without it: capstone's, whose
//! tables are LLVM's, and yaxpeax's, written by hand from the manual.
//!
//! The decoders say what a word is in assembly text. [`Decoded::from_text`] makes of it a neutral
//! description, [`Meaning::execute`] carries that out on a [`Machine`] with noise in registers and
//! memory, and so is what hyp-core made of the word. Registers, the bytes read and written and where
//! must then be the same: size, sign, registers, write-back, offsets and atomic operations at once.
//! Where the two others do not agree with each other, a row of [`DISAGREEMENTS`] has to explain it.

mod decoded;
mod decoders;
mod disagreement;
mod execute;
mod machine;
mod meaning;
mod operand;
mod refusal;

pub use decoded::Decoded;
pub use decoders::Decoders;
pub use disagreement::{DISAGREEMENTS, Disagreement, Truth};
pub use execute::{Kind, perform};
pub use machine::Machine;
pub use meaning::{Effect, Meaning, Moved, Operation};
pub use operand::{Address, Base, Class, Extend, List, Mode, Offset, Operand, Register};
pub use refusal::Refusal;

use hyp_core::insn::{Instruction, decode};

/// On what everybody agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The word lies outside of the loads and stores.
    Elsewhere,
    /// The word is nothing that accesses memory.
    Nothing,
    /// It is one that hyp-core refuses, for this reason.
    Refused(Refusal),
    /// It does the same.
    Same,
    /// The two others disagree, as the row of [`DISAGREEMENTS`] with this number explains.
    Explained(usize),
}

impl Decoders {
    /// Compares hyp-core's answer for `word` with the others'.
    ///
    /// # Errors
    ///
    /// Says who differs from whom.
    pub fn judge(&mut self, word: u32) -> Result<Verdict, String> {
        let ours = decode(word);
        if !is_load_or_store(word) {
            return match ours {
                None => Ok(Verdict::Elsewhere),
                Some(ours) => Err(format!("{word:08x} is no load or store; hyp-core: {ours:?}")),
            };
        }
        let texts = self.texts(word);
        let words = texts.each_ref().map(|text| match text {
            Some(text) => Decoded::from_text(text),
            None => Decoded::Nothing,
        });
        let [capstone, yaxpeax] = &words;
        let (truth, row) = match (capstone, yaxpeax) {
            _ if capstone == yaxpeax => (capstone, None),
            // Who does not know it, or does not count what is unpredictable, need not be asked.
            (Decoded::Refused(_), Decoded::Nothing) => (capstone, None),
            (Decoded::Nothing, Decoded::Refused(_)) => (yaxpeax, None),
            _ => {
                let row = DISAGREEMENTS.iter().enumerate().find(|(_, row)| (row.covers)(word));
                match row {
                    Some((n, Disagreement { truth: Truth::Capstone, .. })) => (capstone, Some(n)),
                    Some((n, Disagreement { truth: Truth::Yaxpeax, .. })) => (yaxpeax, Some(n)),
                    None => {
                        return Err(format!("{word:08x}: {texts:?} disagree; hyp-core: {ours:?}"));
                    }
                }
            }
        };
        let verdict = |otherwise| row.map_or(otherwise, Verdict::Explained);
        match (truth, ours) {
            (Decoded::Nothing, None) => Ok(verdict(Verdict::Nothing)),
            (Decoded::Refused(refusal), None) => Ok(verdict(Verdict::Refused(*refusal))),
            (Decoded::Memory(meaning), Some(ours)) => match differ(word, meaning, &ours) {
                None => Ok(verdict(Verdict::Same)),
                Some(difference) => Err(format!("{word:08x} {texts:?}: {difference}")),
            },
            (truth, ours) => {
                Err(format!("{word:08x} {texts:?}: it is {truth:?}\nhyp-core: {ours:?}"))
            }
        }
    }
}

/// Whether `word` is in the group "Loads and Stores" (DDI 0487, C4.1): bits 28:25 are x1x0. Those of
/// SVE and SME are in groups of their own.
#[must_use]
pub const fn is_load_or_store(word: u32) -> bool {
    word >> 25 & 0b0101 == 0b0100
}

/// Carries out both on the same machines, of which one is big-endian, and says in what they differ.
/// Where memory is compared, it is as expected on the second.
#[must_use]
pub fn differ(word: u32, meaning: &Meaning, ours: &Instruction) -> Option<String> {
    for big_endian in [false, true] {
        let mut before = Machine::new(word.into(), big_endian);
        if big_endian {
            before.planted = meaning.expectation(&before);
        }
        let (mut want, mut got) = (before.clone(), before);
        let kinds = (meaning.execute(&mut want), perform(&mut got, ours));
        if kinds.0 != kinds.1 {
            return Some(format!("{kinds:?}"));
        }
        for machine in [&mut want, &mut got] {
            machine.read.sort_unstable();
            machine.written.sort_unstable();
        }
        if want != got {
            return Some(format!(
                "big-endian: {big_endian}\nmeant: {meaning:?}\nhyp-core: {ours:?}\n\
                 wanted: {want:x?}\ngot: {got:x?}"
            ));
        }
    }
    None
}
