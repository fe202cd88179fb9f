//! The instruction words, class by class. Each function completes a [`Form`] whose registers are
//! chosen already.

use super::{Form, Kind};
use crate::random::{Random, low};

fn bit(register: usize) -> u32 {
    if register < 31 { 1 << register } else { 0 }
}

fn reg(register: usize) -> u32 {
    low(register as u64 % 32)
}

/// LDR, STR and their relatives: size, V = 0, opc.
fn opcode(random: &mut Random, form: &mut Form, size: u64) -> u32 {
    let size = low(size & 3);
    let opc = match (random.below(3), size) {
        (0, _) => {
            form.kind = Kind::Store;
            0
        }
        (1, 0 | 1) => {
            form.sign = Some(random.one_in(2));
            if form.sign == Some(true) { 2 } else { 3 }
        }
        (1, 2) => {
            form.sign = Some(true);
            2
        }
        _ => 1,
    };
    if form.kind != Kind::Store {
        form.changes = bit(form.rt);
    }
    size << 30 | opc << 22
}

pub(super) fn plain(random: &mut Random, mut form: Form, size: u64) -> Form {
    let word = opcode(random, &mut form, size) | reg(form.rn) << 5 | reg(form.rt);
    form.is_described = true;
    form.word = match random.below(4) {
        // Unsigned offset.
        0 => {
            let scaled = random.small(64);
            form.offset = i64::from(scaled) << size;
            word | 0x3900_0000 | scaled << 10
        }
        // Unscaled.
        1 => {
            let offset = random.below(512);
            form.offset = signed9(offset);
            word | 0x3800_0000 | low(offset) << 12
        }
        // Unprivileged.
        2 => {
            form.is_unprivileged = true;
            word | 0x3800_0800
        }
        // Register, LSL #0.
        _ => {
            let rm = random.index(31);
            if rm == form.rn || rm == form.rt {
                word | 0x3900_0000
            } else {
                form.rm = Some(rm);
                word | 0x3820_6800 | reg(rm) << 16
            }
        }
    };
    form
}

fn signed9(value: u64) -> i64 {
    let value = (value & 0x1ff).cast_signed();
    if value >= 256 { value - 512 } else { value }
}

pub(super) fn indexed(random: &mut Random, mut form: Form, size: u64) -> Form {
    let word = opcode(random, &mut form, size) | 0x3800_0400 | reg(form.rn) << 5 | reg(form.rt);
    let offset = random.below(512);
    form.changes |= bit(form.rn);
    form.word = word | low(offset) << 12;
    if random.one_in(2) {
        form.word |= 0x800;
        form.offset = signed9(offset);
    }
    form
}

pub(super) fn pair(
    random: &mut Random,
    mut form: Form,
    other: &dyn Fn(&mut Random) -> usize,
) -> Form {
    let second = loop {
        let register = other(random);
        if register != form.rt {
            break register;
        }
    };
    // W, signed W, X; S, D, Q.
    let (opc, is_vector, piece) =
        random.pick(&[(0, 0, 4), (1, 0, 4), (2, 0, 8), (0, 1, 4), (1, 1, 8), (2, 1, 16)]);
    // LDPSW has no store, and no form for what is used once.
    let is_signed = (opc, is_vector) == (1, 0);
    let is_store = !is_signed && random.one_in(2);
    // No-allocate, post-index, offset, pre-index.
    let mode = if is_signed { 1 + random.below(3) } else { random.below(4) };
    let scaled = random.below(128);
    let offset = (if scaled >= 64 { scaled.cast_signed() - 128 } else { scaled.cast_signed() })
        * (piece as i64);
    form.kind = if is_store { Kind::Store } else { Kind::Load };
    form.bytes = piece * 2;
    form.pieces = 2;
    form.offset = if mode == 1 { 0 } else { offset };
    if is_vector == 0 && !is_store {
        form.changes |= bit(form.rt) | bit(second);
    }
    if mode == 1 || mode == 3 {
        form.changes |= bit(form.rn);
    }
    // v30 and v31 are in use.
    let limit = |register: usize| if is_vector == 1 { reg(register) % 30 } else { reg(register) };
    let (first, mut second) = (limit(form.rt), limit(second));
    if first == second {
        second = (first + 1) % 30;
    }
    form.word = 0x2800_0000
        | opc << 30
        | is_vector << 26
        | low(mode) << 23
        | u32::from(!is_store) << 22
        | low(scaled) << 15
        | second << 10
        | reg(form.rn) << 5
        | first;
    form
}

/// LDAR, STLR.
pub(super) fn ordered(random: &mut Random, mut form: Form, size: u64) -> Form {
    let is_load = random.one_in(2);
    form.is_described = true;
    if is_load {
        form.changes = bit(form.rt);
    } else {
        form.kind = Kind::Store;
    }
    form.word = 0x0880_fc00
        | low(size & 3) << 30
        | u32::from(is_load) << 22
        | 0x1f << 16
        | reg(form.rn) << 5
        | reg(form.rt);
    form
}

/// LDXR, STXR, LDXP, STXP and with acquire and release.
pub(super) fn exclusive(
    random: &mut Random,
    mut form: Form,
    size: u64,
    other: &dyn Fn(&mut Random) -> usize,
) -> Form {
    let is_load = random.one_in(2);
    let is_pair = random.one_in(4);
    let size = if is_pair { 2 | size & 1 } else { size };
    let distinct = |random: &mut Random, taken: &[usize]| loop {
        let register = other(random);
        if !taken.contains(&register) {
            return register;
        }
    };
    let second = if is_pair { distinct(random, &[form.rt]) } else { 31 };
    let status = if is_load { 31 } else { distinct(random, &[form.rt, second]) };
    form.bytes = (1 << size) << u32::from(is_pair);
    form.pieces = 1 + u64::from(is_pair);
    if is_load {
        form.kind = Kind::LoadExclusive;
        form.changes = bit(form.rt) | if is_pair { bit(second) } else { 0 };
    } else {
        form.kind = Kind::StoreExclusive;
        form.changes = bit(status);
    }
    form.word = 0x0800_0000
        | low(size) << 30
        | u32::from(is_load) << 22
        | u32::from(is_pair) << 21
        | reg(status) << 16
        | u32::from(random.one_in(2)) << 15
        | reg(second) << 10
        | reg(form.rn) << 5
        | reg(form.rt);
    form
}

/// LDADD and relatives, SWP, CAS.
pub(super) fn atomic(
    random: &mut Random,
    mut form: Form,
    size: u64,
    other: &dyn Fn(&mut Random) -> usize,
) -> Form {
    let rs = other(random);
    let order = random.small(4);
    let size = low(size & 3);
    form.word = if random.one_in(4) {
        form.changes = bit(rs);
        // CAS: L is bit 22, o0 is bit 15.
        0x08a0_7c00 | size << 30 | (order & 1) << 22 | (order >> 1) << 15
    } else {
        // opc 0 to 7, or SWP. Without A, Rt 31 is a store.
        form.changes = bit(form.rt);
        let operation = random.small(9);
        0x3820_0000 | size << 30 | order << 22 | operation << 12
    } | reg(rs) << 16
        | reg(form.rn) << 5
        | reg(form.rt);
    form
}

pub(super) fn vector(random: &mut Random, mut form: Form) -> Form {
    let is_store = random.one_in(2);
    form.kind = if is_store { Kind::Store } else { Kind::Load };
    let rt = random.small(27);
    let load = u32::from(!is_store) << 22;
    if random.one_in(2) {
        // LDR and STR of B, H, S, D and Q, unsigned offset.
        let log = random.small(5);
        let scaled = random.small(16);
        form.bytes = 1 << log;
        form.pieces = 1;
        form.offset = i64::from(scaled) << log;
        let (size, high) = (log & 3, log >> 2);
        form.word = 0x3d00_0000 | size << 30 | high << 23 | load | scaled << 10;
    } else {
        // LD1 to LD4 and ST1 to ST4 of whole registers; 16 bytes each.
        let (opcode, count) =
            random.pick(&[(0, 4), (2, 4), (4, 3), (6, 3), (7, 1), (8, 2), (10, 2)]);
        let size = random.small(4);
        form.bytes = count * 16;
        form.pieces = 64;
        form.word = 0x4c00_0000 | load | opcode << 12 | size << 10;
    }
    form.word |= reg(form.rn) << 5 | rt;
    form
}

pub(super) fn maintenance(random: &mut Random, mut form: Form) -> Form {
    // Op1, CRm, Op2 of SYS with CRn 7: DC ZVA, CVAC, CVAU, CIVAC, IVAC; IC IVAU.
    let (op1, crm, op2, kind) = random.pick(&[
        (3, 4, 1, Kind::Zero),
        (3, 10, 1, Kind::Maintenance),
        (3, 11, 1, Kind::Maintenance),
        (3, 14, 1, Kind::Maintenance),
        (0, 6, 1, Kind::Maintenance),
        (3, 5, 1, Kind::Maintenance),
        (0, 0, 0, Kind::Prefetch),
    ]);
    form.kind = kind;
    if kind == Kind::Prefetch {
        form.word = 0xf980_0000 | reg(form.rn) << 5 | random.small(32);
        return form;
    }
    if kind == Kind::Zero {
        (form.bytes, form.pieces) = (64, 64);
    }
    form.word = 0xd508_0000 | op1 << 16 | 7 << 12 | crm << 8 | op2 << 5 | reg(form.rn);
    form
}
