//! What a decoder says of a word, out of its text.

use crate::meaning::{Meaning, effect};
use crate::operand::{Operand, operands};
use crate::refusal::Refusal;

/// A decoder's word on an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// It is none, or none that moves anything between registers and memory.
    Nothing,
    /// It does, but hyp-core may not decode it.
    Refused(Refusal),
    /// It does this.
    Memory(Meaning),
}

impl Decoded {
    /// What `text` says, a mnemonic and operands.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let (mnemonic, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        if let Some(refusal) = Refusal::of_mnemonic(mnemonic) {
            return Self::Refused(refusal);
        }
        let Some(operands) = operands(rest) else { return Self::Nothing };
        let Some(&Operand::Address(address)) = operands.last() else { return Self::Nothing };
        let mut registers = Vec::new();
        let mut list = None;
        for operand in &operands {
            match operand {
                Operand::Register(register) => registers.push(*register),
                Operand::List(found) => list = Some(found),
                Operand::Address(_) | Operand::Other => {}
            }
        }
        let Some(effect) = effect(mnemonic, &registers, list) else { return Self::Nothing };
        let meaning = Meaning { effect, address };
        match Refusal::of_meaning(&meaning) {
            Some(refusal) => Self::Refused(refusal),
            None => Self::Memory(meaning),
        }
    }
}
