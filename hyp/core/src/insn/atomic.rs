//! Atomics: the old value goes to a register, the new one to memory (`FEAT_LSE`).

use super::registers::Registers;
use super::transfer::{Image, Transfer};
use crate::esr::Width;

/// What becomes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// LDADD.
    Add,
    /// LDCLR.
    Clear,
    /// LDEOR.
    Xor,
    /// LDSET.
    Set,
    /// LDSMAX.
    SignedMax,
    /// LDSMIN.
    SignedMin,
    /// LDUMAX.
    UnsignedMax,
    /// LDUMIN.
    UnsignedMin,
    /// SWP.
    Swap,
}

/// What an atomic writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum New {
    /// A number made of the old one and the register.
    Made { operation: Operation, width: Width, operand: u8 },
    /// These registers, if memory is what those for the old value hold: CAS and CASP.
    Exchanged(Transfer),
}

/// One atomic of one or two general registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Atomic {
    /// Where the old value goes.
    pub old: Transfer,
    new: New,
}

impl Atomic {
    /// `LD<op>` and SWP: `operand` and memory are combined, `target` gets what memory was.
    pub(super) const fn combine(
        operation: Operation,
        width: Width,
        operand: u8,
        target: u8,
    ) -> Self {
        let old = Transfer::general(width, target, None, false, matches!(width, Width::Double));
        Self { old, new: New::Made { operation, width, operand } }
    }

    /// CAS and CASP: memory becomes what `replacement` holds if it is what `expected` holds;
    /// `expected` gets what memory was.
    pub(super) const fn exchange(expected: Transfer, replacement: Transfer) -> Self {
        Self { old: expected, new: New::Exchanged(replacement) }
    }

    /// What is stored where memory is `old`; `None` where a comparison fails and memory stays.
    pub fn replacement(
        &self,
        old: &Image,
        big_endian: bool,
        registers: &impl Registers,
    ) -> Option<Image> {
        match self.new {
            New::Exchanged(replacement) => {
                let wanted = self.old.store(big_endian, registers);
                let bytes = self.old.bytes();
                (wanted.get(..bytes) == old.get(..bytes))
                    .then(|| replacement.store(big_endian, registers))
            }
            New::Made { operation, width, operand } => {
                let mut scratch = Scratch(0);
                // A register of its own holds first the old value, then the new one.
                let number = Transfer::general(width, 0, None, false, true);
                number.load(old, big_endian, &mut scratch);
                let operand = registers.general(operand) & width.mask();
                scratch.0 = operation.apply(scratch.0, operand, width);
                Some(number.store(big_endian, &scratch))
            }
        }
    }
}

impl Operation {
    fn apply(self, old: u64, operand: u64, width: Width) -> u64 {
        // The sign at bit 63 decides which is larger.
        let unused = width.mask().leading_zeros();
        let sign = |value: u64| value.wrapping_shl(unused).cast_signed();
        let choose = |takes_operand: bool| if takes_operand { operand } else { old };
        match self {
            Self::Add => old.wrapping_add(operand),
            Self::Clear => old & !operand,
            Self::Xor => old ^ operand,
            Self::Set => old | operand,
            Self::SignedMax => choose(sign(operand) > sign(old)),
            Self::SignedMin => choose(sign(operand) < sign(old)),
            Self::UnsignedMax => old.max(operand),
            Self::UnsignedMin => old.min(operand),
            Self::Swap => operand,
        }
    }
}

/// A single general register.
struct Scratch(u64);

impl Registers for Scratch {
    fn general(&self, _: u8) -> u64 {
        self.0
    }

    fn set_general(&mut self, _: u8, value: u64) {
        self.0 = value;
    }

    fn stack_pointer(&self) -> u64 {
        0
    }

    fn set_stack_pointer(&mut self, _: u64) {}

    fn vector(&self, _: u8) -> u128 {
        0
    }

    fn set_vector(&mut self, _: u8, _: u128) {}

    fn pc(&self) -> u64 {
        0
    }
}
