//! Where an instruction goes, and what becomes of its base register.

use super::registers::{REGISTER_31, Registers};

/// What an address is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    /// A general register; 31 is the stack pointer.
    Register(u8),
    /// The instruction itself.
    Pc,
}

/// How a general register becomes an offset (`DecodeRegExtend`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extend {
    /// The low 32 bits.
    Unsigned32,
    /// The low 32 bits with their sign.
    Signed32,
    /// All of it.
    Whole,
}

/// What is added to a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offset {
    /// A number of bytes.
    Bytes(i32),
    /// A general register, shifted left by 0 to 4.
    Register { number: u8, extend: Extend, shift: u8 },
}

impl Offset {
    fn value(self, registers: &impl Registers) -> u64 {
        match self {
            Self::Bytes(bytes) => i64::from(bytes).cast_unsigned(),
            Self::Register { number, extend, shift } => {
                let value = registers.general(number);
                let value = match extend {
                    Extend::Unsigned32 => value & 0xffff_ffff,
                    Extend::Signed32 => {
                        (value << 32).cast_signed().wrapping_shr(32).cast_unsigned()
                    }
                    Extend::Whole => value,
                };
                value.wrapping_shl(u32::from(shift))
            }
        }
    }
}

/// When the offset is added to the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// For the access; the base register stays.
    Plain,
    /// For the access, and the base register keeps the sum.
    Before,
    /// To the base register, after the access.
    After,
}

/// The addressing mode of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    base: Base,
    offset: Offset,
    mode: Mode,
}

impl Address {
    const fn new(register: u8, offset: Offset, mode: Mode) -> Self {
        Self { base: Base::Register(register), offset, mode }
    }

    /// The base register and `offset`; the register stays.
    pub(super) const fn plus(register: u8, offset: Offset) -> Self {
        Self::new(register, offset, Mode::Plain)
    }

    /// The base register as it is.
    pub(super) const fn at(register: u8) -> Self {
        Self::plus(register, Offset::Bytes(0))
    }

    /// The base register, to which `offset` is added afterwards.
    pub(super) const fn then_add(register: u8, offset: Offset) -> Self {
        Self::new(register, offset, Mode::After)
    }

    /// The base register and `bytes`, as the two lowest bits of `mode` say: 01 is
    /// [`Self::then_add`], 11 adds them to the register before the access, else [`Self::plus`].
    pub(super) const fn indexed(register: u8, bytes: i32, mode: u32) -> Self {
        let mode = match mode & 3 {
            0b01 => Mode::After,
            0b11 => Mode::Before,
            _ => Mode::Plain,
        };
        Self::new(register, Offset::Bytes(bytes), mode)
    }

    /// `bytes` from the instruction on.
    pub(super) const fn literal(bytes: i32) -> Self {
        Self { base: Base::Pc, offset: Offset::Bytes(bytes), mode: Mode::Plain }
    }

    /// Whether the instruction writes general register `number` as its base. The stack pointer is
    /// no general register.
    pub(super) fn writes(&self, number: u8) -> bool {
        self.mode != Mode::Plain && number != REGISTER_31 && self.base == Base::Register(number)
    }

    /// The virtual address of the first byte.
    ///
    /// If the faulting address is not in what the instruction moves from there on, the guest
    /// changed its code meanwhile: do not emulate.
    pub fn resolve(&self, registers: &impl Registers) -> u64 {
        match self.mode {
            Mode::After => self.base_value(registers),
            Mode::Plain | Mode::Before => self.sum(registers),
        }
    }

    /// Writes the base register, where the instruction does.
    pub fn write_back(&self, registers: &mut impl Registers) {
        let value = self.sum(registers);
        match (self.mode, self.base) {
            (Mode::Plain, _) | (_, Base::Pc) => {}
            (_, Base::Register(REGISTER_31)) => registers.set_stack_pointer(value),
            (_, Base::Register(number)) => registers.set_general(number, value),
        }
    }

    fn sum(&self, registers: &impl Registers) -> u64 {
        self.base_value(registers).wrapping_add(self.offset.value(registers))
    }

    fn base_value(&self, registers: &impl Registers) -> u64 {
        match self.base {
            Base::Register(REGISTER_31) => registers.stack_pointer(),
            Base::Register(number) => registers.general(number),
            Base::Pc => registers.pc(),
        }
    }
}
