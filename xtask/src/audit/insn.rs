//! What one AArch64 instruction does to control flow and to the stack pointer.

use yaxpeax_arch::{Decoder as _, U8Reader};
use yaxpeax_arm::armv8::a64::{InstDecoder, Instruction, Opcode, Operand, ShiftStyle};

/// Number that stands for the stack pointer, or for the zero register where there is none.
const SP: u16 = 31;

/// The part of an instruction that the audit asks for. Addresses are absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Goes there (B).
    Jump(u64),
    /// May go there (B.cond, CBZ, CBNZ, TBZ, TBNZ).
    Branch(u64),
    /// Calls the function there (BL).
    Call(u64),
    /// Calls where a register says (BLR).
    CallRegister,
    /// Goes where register `.0` says (BR).
    JumpRegister(u16),
    /// Leaves the function (RET, ERET).
    Return,
    /// Always an exception at EL2 (BRK, UDF, what is no instruction).
    Trap,
    /// Some register becomes this address (ADR).
    Address(u64),
    /// Register `.0` becomes the page at `.1` (ADRP).
    Page(u16, u64),
    /// Register `.0` becomes register `.1` plus `.2`.
    Add(u16, u16, u64),
    /// Register `.0` becomes the sum of two registers.
    Sum(u16),
    /// Some register becomes the doubleword there (LDR, literal).
    Literal(u64),
    /// The stack pointer goes down by so many bytes.
    Push(u64),
    /// The stack pointer goes up.
    Pop,
    /// The stack pointer becomes something else.
    NewStack,
    /// Begins an atomic read-modify-write.
    Exclusive,
    /// Nothing of the kind.
    Other,
}

/// Decodes the instruction `word` at address `at`.
pub fn decode(at: u64, word: u32) -> Op {
    let bytes = word.to_le_bytes();
    match InstDecoder::default().decode(&mut U8Reader::new(&bytes)) {
        Ok(instruction) => of(at, &instruction),
        // What the decoder does not know is a system instruction or none at all; none of them
        // branches. UDF is such a one to it.
        Err(_) if word >> 16 == 0 => Op::Trap,
        Err(_) => Op::Other,
    }
}

fn of(at: u64, instruction: &Instruction) -> Op {
    let operands = &instruction.operands;
    let place = || {
        operands.iter().find_map(|operand| match operand {
            Operand::PCOffset(offset) => Some(at.wrapping_add_signed(*offset)),
            _ => None,
        })
    };
    let op = match instruction.opcode {
        Opcode::B => place().map(Op::Jump),
        Opcode::Bcc(_) | Opcode::CBZ | Opcode::CBNZ | Opcode::TBZ | Opcode::TBNZ => {
            place().map(Op::Branch)
        }
        Opcode::BL => place().map(Op::Call),
        Opcode::BLR => Some(Op::CallRegister),
        Opcode::BR => register(operands[0]).map(Op::JumpRegister),
        Opcode::RET | Opcode::ERET => Some(Op::Return),
        Opcode::BRK | Opcode::UDF => Some(Op::Trap),
        Opcode::ADR => place().map(Op::Address),
        Opcode::ADRP => {
            let page = at & !0xfff;
            register(operands[0])
                .zip(place())
                .map(|(to, value)| Op::Page(to, page.wrapping_add(value.wrapping_sub(at))))
        }
        Opcode::LDR => match operands[1] {
            Operand::PCOffset(offset) => Some(Op::Literal(at.wrapping_add_signed(offset))),
            _ => moved(operands),
        },
        Opcode::ADD | Opcode::SUB | Opcode::ADDS | Opcode::SUBS => arithmetic(instruction),
        Opcode::LDXR
        | Opcode::LDAXR
        | Opcode::LDXP
        | Opcode::LDAXP
        | Opcode::LDXRB
        | Opcode::LDAXRB
        | Opcode::LDXRH
        | Opcode::LDAXRH => Some(Op::Exclusive),
        _ => match operands[0] {
            Operand::RegisterOrSP(_, SP) => Some(Op::NewStack),
            _ => moved(operands),
        },
    };
    op.unwrap_or(Op::Other)
}

/// The register that an operand names.
fn register(operand: Operand) -> Option<u16> {
    match operand {
        Operand::Register(_, number) | Operand::RegisterOrSP(_, number) => Some(number),
        _ => None,
    }
}

/// The constant that an operand names.
fn constant(operand: Operand) -> Option<u64> {
    match operand {
        Operand::Immediate(value) => Some(u64::from(value)),
        Operand::Imm64(value) => Some(value),
        Operand::Imm16(value) => Some(u64::from(value)),
        Operand::ImmShift(value, shift) => Some(u64::from(value) << shift),
        Operand::RegShift(ShiftStyle::LSL, ..) => None,
        _ => None,
    }
}

fn arithmetic(instruction: &Instruction) -> Option<Op> {
    let [to, from, by, _] = instruction.operands;
    let is_sp = |operand| matches!(operand, Operand::RegisterOrSP(_, SP));
    let adds = instruction.opcode == Opcode::ADD;
    let op = match (is_sp(to), is_sp(from), constant(by)) {
        (true, true, Some(bytes)) if !adds => Op::Push(bytes),
        (true, true, Some(_)) => Op::Pop,
        (true, ..) => Op::NewStack,
        (false, _, Some(bytes)) if adds => Op::Add(register(to)?, register(from)?, bytes),
        (false, _, None) if adds => Op::Sum(register(to)?),
        _ => Op::Other,
    };
    Some(op)
}

/// A load or store that moves the stack pointer, its base.
fn moved(operands: &[Operand; 4]) -> Option<Op> {
    operands.iter().find_map(|operand| match operand {
        Operand::RegPreIndex(SP, by, true) | Operand::RegPostIndex(SP, by) => {
            Some(if *by < 0 { Op::Push(u64::from(by.unsigned_abs())) } else { Op::Pop })
        }
        Operand::RegPostIndexReg(SP, _) => Some(Op::NewStack),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the words below lie.
    const AT: u64 = 0x8000_0000_1234;

    #[test]
    fn each_form_is_told_from_its_neighbours() {
        for (word, op) in [
            (0x1400_0002, Op::Jump(AT + 8)),              // b .+8
            (0x17ff_ffff, Op::Jump(AT - 4)),              // b .-4
            (0x9400_0400, Op::Call(AT + 0x1000)),         // bl .+0x1000
            (0x5400_0041, Op::Branch(AT + 8)),            // b.ne .+8
            (0xb400_0040, Op::Branch(AT + 8)),            // cbz x0, .+8
            (0x3500_0040, Op::Branch(AT + 8)),            // cbnz w0, .+8
            (0xb6f8_0040, Op::Branch(AT + 8)),            // tbz x0, #63, .+8
            (0x3700_0040, Op::Branch(AT + 8)),            // tbnz w0, #0, .+8
            (0xd63f_0060, Op::CallRegister),              // blr x3
            (0xd61f_0140, Op::JumpRegister(10)),          // br x10
            (0xd65f_03c0, Op::Return),                    // ret
            (0xd69f_03e0, Op::Return),                    // eret
            (0xd420_0020, Op::Trap),                      // brk #1
            (0x0000_0000, Op::Trap),                      // udf #0
            (0x1000_0043, Op::Address(AT + 8)),           // adr x3, .+8
            (0xb000_0008, Op::Page(8, 0x8000_0000_2000)), // adrp x8, .+0x1000
            (0x5800_0040, Op::Literal(AT + 8)),           // ldr x0, .+8
            (0x9104_0108, Op::Add(8, 8, 0x100)),          // add x8, x8, #0x100
            (0x9100_4be9, Op::Add(9, 31, 18)),            // add x9, sp, #18
            (0x8b09_0108, Op::Sum(8)),                    // add x8, x8, x9
            (0x8b2b_094a, Op::Sum(10)),                   // add x10, x10, w11, uxtb #2
            (0xd101_03ff, Op::Push(64)),                  // sub sp, sp, #64
            (0xd140_07ff, Op::Push(4096)),                // sub sp, sp, #1, lsl #12
            (0xa9bf_7bfd, Op::Push(16)),                  // stp x29, x30, [sp, #-16]!
            (0xf81e_0ffe, Op::Push(32)),                  // str x30, [sp, #-32]!
            (0x9101_03ff, Op::Pop),                       // add sp, sp, #64
            (0xa8c1_7bfd, Op::Pop),                       // ldp x29, x30, [sp], #16
            (0xf841_07fe, Op::Pop),                       // ldr x30, [sp], #16
            (0x9100_005f, Op::NewStack),                  // mov sp, x2
            (0x927c_ed3f, Op::NewStack),                  // and sp, x9, #0xfffffffffffffff0
            (0xcb29_63ff, Op::NewStack),                  // sub sp, sp, x9
            (0xc85f_fc08, Op::Exclusive),                 // ldaxr x8, [x0]
            (0x885f_7c08, Op::Exclusive),                 // ldxr w8, [x0]
            (0xa901_7bfd, Op::Other),                     // stp x29, x30, [sp, #16]
            (0xa9bf_0041, Op::Other),                     // stp x1, x0, [x2, #-16]!
            (0xd101_03e9, Op::Other),                     // sub x9, sp, #64
            (0xd503_201f, Op::Other),                     // nop
            (0xd503_207f, Op::Other),                     // wfi
            (0xaa01_03e0, Op::Other),                     // mov x0, x1
        ] {
            assert_eq!(decode(AT, word), op, "{word:#x}");
        }
    }
}
