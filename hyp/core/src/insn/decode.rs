//! From an instruction word to what it does: single registers, pairs, literals.

use super::address::{Address, Extend, Offset};
use super::bits::{bit, field, register, signed};
use super::instruction::{Effect, Instruction};
use super::sharing::{decode_atomic, decode_exclusive, decode_unscaled_ordered};
use super::transfer::Transfer;
use super::vector::decode_structures;
use crate::esr::Width;

/// Decodes the A64 instruction `word`; `None` for everything but loads and stores, and for what
/// the architecture leaves unpredictable.
#[must_use]
pub fn decode(word: u32) -> Option<Instruction> {
    // Bits 29:27 and 25:24, V between them.
    match (field(word, 27, 7), bit(word, 26), field(word, 24, 3)) {
        (0b001, true, 0b00 | 0b01) if !bit(word, 31) => decode_structures(word),
        (0b001, false, 0b00) => decode_exclusive(word),
        (0b011, _, 0b00) => decode_literal(word),
        (0b011, false, 0b01) if !bit(word, 21) && field(word, 10, 3) == 0 => {
            decode_unscaled_ordered(word)
        }
        (0b101, _, 0b00 | 0b01) => decode_pair(word),
        (0b111, _, 0b00) => decode_indexed(word),
        (0b111, _, 0b01) => {
            let simple = simple(word)?;
            let bytes = i64::from(field(word, 10, 0xfff)).wrapping_shl(simple.log2);
            let address = Address::plus(register(word, 5), Offset::Bytes(bytes));
            Some(Instruction { effect: simple.effect, address })
        }
        _ => None,
    }
}

/// What a load or store of one register does, and the scale of its offset.
struct Simple {
    effect: Effect,
    log2: u32,
}

/// size, V and opc of a load or store of one register.
fn simple(word: u32) -> Option<Simple> {
    let (size, opc, rt) = (field(word, 30, 3), field(word, 22, 3), register(word, 0));
    let (transfer, log2) = if bit(word, 26) {
        let log2 = match (size, opc) {
            (_, 0b00 | 0b01) => size,
            (0, _) => 4,
            _ => return None,
        };
        (Transfer::scalar(log2, rt, None), log2)
    } else {
        let (sign_extend, is_64bit) = match (opc, size) {
            (0b00 | 0b01, _) => (false, size == 3),
            (0b10, 0..=2) => (true, true),
            (0b11, 0 | 1) => (true, false),
            // PRFM.
            (0b10, _) => return Some(Simple { effect: Effect::Nothing, log2: size }),
            _ => return None,
        };
        let width = Width::from_log2(u64::from(size));
        (Transfer::general(width, rt, None, sign_extend, is_64bit), size)
    };
    // Of vector registers, opc's lower bit is the direction; of general ones, 0 alone stores.
    let is_load = if bit(word, 26) { opc & 1 == 1 } else { opc != 0 };
    let effect = if is_load { Effect::Load(transfer) } else { Effect::Store(transfer) };
    Some(Simple { effect, log2 })
}

/// Bits 29:27 are 111, 25:24 are 00: everything but the scaled immediate offset.
fn decode_indexed(word: u32) -> Option<Instruction> {
    let (base, rt) = (register(word, 5), register(word, 0));
    let bytes = signed(field(word, 12, 0x1ff), 9);
    let address = match (bit(word, 21), field(word, 10, 3)) {
        // Unscaled.
        (false, 0b00) => Address::plus(base, Offset::Bytes(bytes)),
        // Unprivileged: stage 1 has seen to it. There is no PRFM of that form, nor a vector.
        (false, 0b10)
            if !bit(word, 26) && field(word, 30, 3) << 2 | field(word, 22, 3) != 0b1110 =>
        {
            Address::plus(base, Offset::Bytes(bytes))
        }
        (false, index @ (0b01 | 0b11)) => {
            let address = if index == 0b01 {
                Address::then_add(base, Offset::Bytes(bytes))
            } else {
                Address::after_adding(base, bytes)
            };
            let effect = simple(word)?.effect;
            // There is no PRFM of that form.
            if effect == Effect::Nothing || (!bit(word, 26) && address.writes(rt)) {
                return None;
            }
            return Some(Instruction { effect, address });
        }
        (true, 0b00) if !bit(word, 26) => return decode_atomic(word),
        (true, 0b10) => {
            let extend = match field(word, 13, 7) {
                0b010 => Extend::Unsigned32,
                0b011 | 0b111 => Extend::Whole,
                0b110 => Extend::Signed32,
                _ => return None,
            };
            let Simple { effect, log2 } = simple(word)?;
            let shift = if bit(word, 12) { log2 } else { 0 };
            let offset = Offset::Register { number: register(word, 16), extend, shift };
            return Some(Instruction { effect, address: Address::plus(base, offset) });
        }
        // LDRAA, LDRAB, and what is not allocated.
        _ => return None,
    };
    Some(Instruction { effect: simple(word)?.effect, address })
}

/// LDR and LDRSW from an address relative to the instruction, PRFM: bits 29:27 are 011, 25:24 are
/// 00.
fn decode_literal(word: u32) -> Option<Instruction> {
    let (opc, rt) = (field(word, 30, 3), register(word, 0));
    let effect = match (bit(word, 26), opc) {
        (false, 0b00) => Effect::Load(Transfer::general(Width::Word, rt, None, false, false)),
        (false, 0b01) => Effect::Load(Transfer::general(Width::Double, rt, None, false, true)),
        (false, 0b10) => Effect::Load(Transfer::general(Width::Word, rt, None, true, true)),
        (false, _) => Effect::Nothing,
        (true, 0b00..=0b10) => Effect::Load(Transfer::scalar(opc.wrapping_add(2), rt, None)),
        (true, _) => return None,
    };
    let words = signed(field(word, 5, 0x7_ffff), 19);
    Some(Instruction { effect, address: Address::literal(words.wrapping_mul(4)) })
}

/// LDP, STP, LDPSW, LDNP, STNP: bits 29:27 are 101, bit 25 is 0.
fn decode_pair(word: u32) -> Option<Instruction> {
    let (opc, is_load) = (field(word, 30, 3), bit(word, 22));
    let (first, second) = (register(word, 0), register(word, 10));
    let (transfer, log2, is_signed) = if bit(word, 26) {
        let log2 = opc.wrapping_add(2);
        (Transfer::scalar(log2, first, Some(second)), log2, false)
    } else {
        let (width, sign_extend, is_64bit) = match (opc, is_load) {
            (0b00, _) => (Width::Word, false, false),
            (0b01, true) => (Width::Word, true, true),
            (0b10, _) => (Width::Double, false, true),
            // STGP and unallocated.
            _ => return None,
        };
        let transfer = Transfer::general(width, first, Some(second), sign_extend, is_64bit);
        (transfer, width.bytes().trailing_zeros(), sign_extend)
    };
    if opc == 0b11 || (is_load && first == second) {
        return None;
    }
    let base = register(word, 5);
    let bytes = signed(field(word, 15, 0x7f), 7).wrapping_shl(log2);
    let address = match field(word, 23, 3) {
        0b00 if is_signed => return None,
        0b01 => Address::then_add(base, Offset::Bytes(bytes)),
        0b11 => Address::after_adding(base, bytes),
        _ => Address::plus(base, Offset::Bytes(bytes)),
    };
    if !transfer.is_vector() && (address.writes(first) || address.writes(second)) {
        return None;
    }
    let effect = if is_load { Effect::Load(transfer) } else { Effect::Store(transfer) };
    Some(Instruction { effect, address })
}
