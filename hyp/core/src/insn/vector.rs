//! Structures of vector elements: LD1 to LD4, ST1 to ST4, LD1R to LD4R.

use super::address::{Address, Extend, Offset};
use super::bits::{bit, field, narrow, register};
use super::instruction::{Effect, Instruction};
use super::transfer::Transfer;

/// Bits 31 and 29:25 are 0 and 00110.
pub(super) fn decode_structures(word: u32) -> Option<Instruction> {
    let (is_single, is_post) = (bit(word, 24), bit(word, 23));
    let is_load = bit(word, 22);
    let transfer = if is_single {
        if !is_post && field(word, 16, 0x1f) != 0 {
            return None;
        }
        single(word, is_load)?
    } else {
        if bit(word, 21) || (!is_post && field(word, 16, 0x1f) != 0) {
            return None;
        }
        multiple(word)?
    };
    let base = register(word, 5);
    let address = match (is_post, register(word, 16)) {
        (false, _) => Address::at(base),
        (true, 31) => Address::then_add(base, Offset::Bytes(i32::try_from(transfer.bytes()).ok()?)),
        (true, number) => {
            Address::then_add(base, Offset::Register { number, extend: Extend::Whole, shift: 0 })
        }
    };
    let effect = if is_load { Effect::Load(transfer) } else { Effect::Store(transfer) };
    Some(Instruction::new(effect, address))
}

/// "Advanced SIMD load/store multiple structures".
fn multiple(word: u32) -> Option<Transfer> {
    let (repeat, structure) = match field(word, 12, 0xf) {
        0b0000 => (1, 4),
        0b0010 => (4, 1),
        0b0100 => (1, 3),
        0b0110 => (3, 1),
        0b0111 => (1, 1),
        0b1000 => (1, 2),
        0b1010 => (2, 1),
        _ => return None,
    };
    let (log2, is_128bit) = (narrow(word, 10, 3), bit(word, 30));
    if log2 == 3 && !is_128bit && structure != 1 {
        return None;
    }
    Some(Transfer::structures(log2, register(word, 0), repeat, structure, is_128bit))
}

/// "Advanced SIMD load/store single structure".
fn single(word: u32, is_load: bool) -> Option<Transfer> {
    let (opcode, s, size, q) =
        (narrow(word, 13, 7), narrow(word, 12, 1), narrow(word, 10, 3), narrow(word, 30, 1));
    let registers = ((opcode & 1) << 1 | narrow(word, 21, 1)).saturating_add(1);
    let first = register(word, 0);
    let (log2, lane) = match (opcode >> 1, size, s) {
        (0, _, _) => (0, q << 3 | s << 2 | size),
        (1, 0 | 2, _) => (1, q << 2 | s << 1 | size >> 1),
        (2, 0, _) => (2, q << 1 | s),
        (2, 1, 0) => (3, q),
        (3, _, 0) if is_load => {
            return Some(Transfer::replicated(size, first, registers, q == 1));
        }
        _ => return None,
    };
    Some(Transfer::lane(log2, first, registers, lane))
}
