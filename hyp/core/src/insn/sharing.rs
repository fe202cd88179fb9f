//! Instructions made for memory that several observers share: exclusives, acquire and release,
//! compare and swap, atomics.

use super::address::{Address, Offset};
use super::atomic::{Atomic, Operation};
use super::bits::{bit, field, register, signed};
use super::instruction::{Effect, Instruction};
use super::transfer::Transfer;
use crate::esr::Width;

/// Bits 29:24 are 001000: exclusives, ordered loads and stores, CAS and CASP.
pub(super) fn decode_exclusive(word: u32) -> Option<Instruction> {
    let address = Address::at(register(word, 5));
    let (size, is_load) = (field(word, 30, 3), bit(word, 22));
    let (rs, rt2, rt) = (register(word, 16), register(word, 10), register(word, 0));
    let width = Width::from_log2(u64::from(size));
    let plain = |width: Width, first, second| {
        Transfer::general(width, first, second, false, width == Width::Double)
    };
    // o2 and o1.
    let effect = match (bit(word, 23), bit(word, 21)) {
        (true, false) if is_load => Effect::Load(plain(width, rt, None)),
        (true, false) => Effect::Store(plain(width, rt, None)),
        (true, true) if rt2 == 31 => {
            Effect::Atomic(Atomic::exchange(plain(width, rs, None), plain(width, rt, None)))
        }
        (false, true) if size < 2 && rt2 == 31 && rs & 1 == 0 && rt & 1 == 0 => {
            let width = if size == 0 { Width::Word } else { Width::Double };
            let pair = |first: u8| plain(width, first, Some(first | 1));
            Effect::Atomic(Atomic::exchange(pair(rs), pair(rt)))
        }
        (false, false) => Effect::Exclusive,
        (false, true) if size >= 2 => Effect::Exclusive,
        _ => return None,
    };
    Some(Instruction::new(effect, address))
}

/// size and opc of a load or store of one general register.
pub(super) fn general(word: u32) -> Option<Effect> {
    let (size, opc) = (field(word, 30, 3), field(word, 22, 3));
    let width = Width::from_log2(u64::from(size));
    let (sign_extend, is_64bit) = match opc {
        0b00 | 0b01 => (false, width == Width::Double),
        0b10 if size < 3 => (true, true),
        0b11 if size < 2 => (true, false),
        _ => return None,
    };
    let transfer = Transfer::general(width, register(word, 0), None, sign_extend, is_64bit);
    Some(if opc == 0 { Effect::Store(transfer) } else { Effect::Load(transfer) })
}

/// Bits 29:24 are 011001, 21 is 0, 11:10 are 00: LDAPUR, STLUR and their narrow forms.
pub(super) fn decode_unscaled_ordered(word: u32) -> Option<Instruction> {
    let effect = general(word)?;
    let offset = Offset::Bytes(signed(field(word, 12, 0x1ff), 9));
    Some(Instruction::new(effect, Address::plus(register(word, 5), offset)))
}

/// Bits 29:24 are 111000, 21 is 1, 11:10 are 00: atomics, and LDAPR.
pub(super) fn decode_atomic(word: u32) -> Option<Instruction> {
    let width = Width::from_log2(u64::from(field(word, 30, 3)));
    let (rs, rt) = (register(word, 16), register(word, 0));
    // o3 and opc.
    let operation = match field(word, 12, 0xf) {
        0b0000 => Operation::Add,
        0b0001 => Operation::Clear,
        0b0010 => Operation::Xor,
        0b0011 => Operation::Set,
        0b0100 => Operation::SignedMax,
        0b0101 => Operation::SignedMin,
        0b0110 => Operation::UnsignedMax,
        0b0111 => Operation::UnsignedMin,
        0b1000 => Operation::Swap,
        // A is set, R is not.
        0b1100 if field(word, 22, 3) == 0b10 => {
            let transfer = Transfer::general(width, rt, None, false, width == Width::Double);
            let address = Address::at(register(word, 5));
            return Some(Instruction::new(Effect::Load(transfer), address));
        }
        _ => return None,
    };
    let effect = Effect::Atomic(Atomic::combine(operation, width, rs, rt));
    Some(Instruction::new(effect, Address::at(register(word, 5))))
}
