//! From an instruction word to what it does: single registers, pairs, literals.

use super::address::{Address, Extend, Offset};
use super::bits::{bit, field, narrow, register, signed};
use super::instruction::{Effect, Instruction};
use super::sharing::{decode_atomic, decode_exclusive, decode_unscaled_ordered, general};
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
        (0b111, false, 0b00) if bit(word, 21) && field(word, 10, 3) == 0 => decode_atomic(word),
        (0b111, _, 0b00 | 0b01) => decode_single(word),
        _ => None,
    }
}

/// What a load or store of one register does, and the scale of its offset, from its size, V and opc.
fn simple(word: u32) -> Option<(Effect, u8)> {
    let (size, opc) = (narrow(word, 30, 3), narrow(word, 22, 3));
    if !bit(word, 26) {
        // PRFM.
        let is_prefetch = (size, opc) == (3, 0b10);
        return Some((if is_prefetch { Effect::Nothing } else { general(word)? }, size));
    }
    let log2 = match (size, opc) {
        (_, 0b00 | 0b01) => size,
        (0, _) => 4,
        _ => return None,
    };
    let transfer = Transfer::scalar(log2, register(word, 0), None);
    Some((moves(opc & 1 == 1, transfer), log2))
}

/// A load of `transfer`, or a store.
const fn moves(is_load: bool, transfer: Transfer) -> Effect {
    if is_load { Effect::Load(transfer) } else { Effect::Store(transfer) }
}

/// One register, atomics excepted: bits 29:27 are 111, bit 25 is 0.
fn decode_single(word: u32) -> Option<Instruction> {
    let (effect, log2) = simple(word)?;
    let base = register(word, 5);
    let is_prefetch = effect == Effect::Nothing;
    let bytes = signed(field(word, 12, 0x1ff), 9);
    let index = field(word, 10, 3);
    let address = match (bit(word, 24), bit(word, 21), index) {
        // Scaled.
        (true, ..) => {
            let bytes = field(word, 10, 0xfff).cast_signed().wrapping_shl(u32::from(log2));
            Address::plus(base, Offset::Bytes(bytes))
        }
        // Unprivileged. There is no vector of that form.
        (_, false, 0b10) if bit(word, 26) => return None,
        (_, false, _) => Address::indexed(base, bytes, index),
        (_, true, 0b10) => {
            let extend = match field(word, 13, 7) {
                0b010 => Extend::Unsigned32,
                0b011 | 0b111 => Extend::Whole,
                0b110 => Extend::Signed32,
                _ => return None,
            };
            let shift = if bit(word, 12) { log2 } else { 0 };
            Address::plus(base, Offset::Register { number: register(word, 16), extend, shift })
        }
        // LDRAA, LDRAB, and what is not allocated.
        _ => return None,
    };
    // PRFM is there scaled, unscaled and with a register.
    let has_prefetch = bit(word, 24) || bit(word, 21) || index == 0b00;
    if is_prefetch && !has_prefetch || !bit(word, 26) && address.writes(register(word, 0)) {
        return None;
    }
    let is_unprivileged = !bit(word, 24) && !bit(word, 21) && index == 0b10;
    Some(Instruction { is_unprivileged, ..Instruction::new(effect, address) })
}

/// LDR and LDRSW from an address relative to the instruction, PRFM: bits 29:27 are 011, 25:24 are
/// 00.
fn decode_literal(word: u32) -> Option<Instruction> {
    let (opc, rt) = (narrow(word, 30, 3), register(word, 0));
    let effect = match (bit(word, 26), opc) {
        (false, 0b11) => Effect::Nothing,
        (false, _) => {
            let width = if opc == 0b01 { Width::Double } else { Width::Word };
            Effect::Load(Transfer::general(width, rt, None, opc == 0b10, opc != 0b00))
        }
        (true, 0b11) => return None,
        (true, _) => Effect::Load(Transfer::scalar(opc.wrapping_add(2), rt, None)),
    };
    let words = signed(field(word, 5, 0x7_ffff), 19);
    Some(Instruction::new(effect, Address::literal(words.wrapping_mul(4))))
}

/// LDP, STP, LDPSW, LDNP, STNP: bits 29:27 are 101, bit 25 is 0.
fn decode_pair(word: u32) -> Option<Instruction> {
    let (opc, is_load, is_vector) = (narrow(word, 30, 3), bit(word, 22), bit(word, 26));
    let (first, second) = (register(word, 0), register(word, 10));
    let is_signed = !is_vector && opc == 0b01;
    let mode = field(word, 23, 3);
    // Unallocated, STGP, and LDPSW without a hint.
    if opc == 0b11 || (is_load && first == second) || (is_signed && (!is_load || mode == 0b00)) {
        return None;
    }
    let (transfer, log2) = if is_vector {
        let log2 = opc.wrapping_add(2);
        (Transfer::scalar(log2, first, Some(second)), log2)
    } else {
        let (width, log2) = if opc == 0b10 { (Width::Double, 3) } else { (Width::Word, 2) };
        (Transfer::general(width, first, Some(second), is_signed, opc != 0b00), log2)
    };
    let bytes = signed(field(word, 15, 0x7f), 7).wrapping_shl(u32::from(log2));
    let address = Address::indexed(register(word, 5), bytes, mode);
    if !is_vector && (address.writes(first) || address.writes(second)) {
        return None;
    }
    Some(Instruction::new(moves(is_load, transfer), address))
}
