//! Stage-1 tables anywhere, and every value of TCR_EL1 for the lower half.

use hyp_abi::vplatform::{GICD_BASE, UART_BASE};

use crate::arch::code::{Fixed, form_at};
use crate::arch::mmu::{self, UPPER};
use crate::arch::ram;
use crate::arch::shot::{EL1H, Regime, SCTLR_USUAL};
use crate::cpu::{Cpu, Doing};
use crate::expect::{class, esr};
use crate::forms::{self, Kind};
use crate::layout::PAGE;

/// The fields of TCR_EL1 that are for the lower half: T0SZ to TG0; IPS; AS, TBI0, HPD0.
const LOWER: u64 = 0xffff | 7 << 32 | 1 << 36 | 1 << 37 | 1 << 41;
/// EPD0, IRGN0 to SH0.
const NO_TABLES: u64 = 1 << 7;

/// One access whose table lies anywhere.
pub(super) fn one(cpu: &mut Cpu) {
    match cpu.random.below(3) {
        0 => exact(cpu),
        1 => described(cpu),
        _ => nonsense(cpu),
    }
}

/// A place for a table that is no memory.
fn place(cpu: &mut Cpu) -> u64 {
    let (own, ipa_bits, is_v2) = (cpu.own, cpu.common.options.ipa_bits, cpu.common.options.is_v2());
    let random = &mut cpu.random;
    match random.below(6) {
        0 => GICD_BASE,
        1 => UART_BASE,
        2 if !is_v2 => own.redistributor(random.next()),
        3 => 0x0b00_0000,
        4 if ipa_bits < 44 => 1 << ipa_bits | random.below(64) << 12,
        _ => own.nowhere(random.next()),
    }
}

/// The root is no memory: an external abort that names its level.
fn exact(cpu: &mut Cpu) {
    let root = place(cpu);
    let tcr = mmu::usual().0;
    let status = if is_too_large(root, tcr) { 0 } else { 0x14 };
    load(cpu, Regime::Upper { sctlr: SCTLR_USUAL, tcr, ttbr0: root }, Some(status), root);
}

/// Whether `address` is an address size fault by TCR_EL1.IPS.
fn is_too_large(address: u64, tcr: u64) -> bool {
    const BITS: [u32; 8] = [32, 36, 40, 42, 44, 48, 48, 48];
    address >> BITS[(tcr >> 32 & 7) as usize] != 0
}

/// The root is memory and leads to what is none.
fn described(cpu: &mut Cpu) {
    let root = cpu.own.bad_table();
    let next = place(cpu);
    // One table of levels 0, 1 and 2: how far it goes round is the level's business.
    let rounds = cpu.random.below(3);
    let last = 3 - rounds;
    let address = cpu.random.next() & 0xffff_ffff_fff8;
    for level in 0..3 {
        ram::write(
            root + level * PAGE + index(address, level) * 8,
            (root + (level + 1) * PAGE) | 3,
        );
    }
    ram::write(root + (last - 1) * PAGE + index(address, last - 1) * 8, next | 3);
    let tcr = mmu::usual().0;
    let regime = Regime::Upper { sctlr: SCTLR_USUAL, tcr, ttbr0: root };
    let status = if is_too_large(next, tcr) { last - 1 } else { 0x14 + last };
    load_at(cpu, regime, Some(status), next, address);
}

const fn index(address: u64, level: u64) -> u64 {
    address >> (39 - 9 * level) & 511
}

/// Anything goes: the CPU must come back, by itself or by an abort.
fn nonsense(cpu: &mut Cpu) {
    let regime = anywhere(cpu);
    for _ in 0..8 {
        let (place, word) = (cpu.random.below(512) * 8, cpu.random.next());
        ram::write(cpu.own.bad_table() + place, word);
    }
    load(cpu, regime, None, 0);
}

/// A regime whose lower half may lead anywhere.
pub(super) fn anywhere(cpu: &mut Cpu) -> Regime {
    let usual = mmu::usual().0;
    let bad_table = cpu.own.bad_table();
    let place = place(cpu);
    let random = &mut cpu.random;
    let tcr = match random.below(3) {
        0 => usual,
        1 => usual | NO_TABLES,
        _ => usual & !LOWER | random.next() & LOWER,
    };
    let ttbr0 = match random.below(4) {
        0 => bad_table,
        1 => random.next(),
        2 => u64::MAX,
        _ => place,
    };
    // A, SA, SA0, UMA, DZE, UCT, nTWI, nTWE, WXN, E0E, UCI.
    let odd = 1 << 1 | 3 << 3 | 1 << 9 | 3 << 14 | 1 << 16 | 3 << 18 | 1 << 24 | 1 << 26;
    Regime::Upper { sctlr: SCTLR_USUAL | random.next() & odd, tcr, ttbr0 }
}

fn load(cpu: &mut Cpu, regime: Regime, status: Option<u64>, table: u64) {
    let address = cpu.random.next() & 0xffff_ffff_fff8;
    load_at(cpu, regime, status, table, address);
}

/// Loads from the lower half.
fn load_at(cpu: &mut Cpu, regime: Regime, status: Option<u64>, table: u64, address: u64) {
    cpu.load_registers();
    // A plain load, or any instruction that loads, in the regime that says nothing about it.
    let n = cpu.random.index(forms::COUNT);
    let form = cpu.common.forms[n];
    let is_any = status.is_none() && form.kind == Kind::Load;
    let (code, changes) = if is_any {
        cpu.shot.x[form.rn] = address.wrapping_sub(form.offset.cast_unsigned());
        if let Some(rm) = form.rm {
            cpu.shot.x[rm] = 0;
        }
        (form_at(n), form.changes)
    } else {
        cpu.shot.x[6] = address;
        (Fixed::LoadByte.at(), 1 << 5)
    };
    cpu.fire_in(code + UPPER, EL1H, regime);
    let doing =
        Doing(format_args!("a load from {address:#x} by a table at {table:#x}, {regime:x?}"));
    match status {
        Some(status) => cpu.aborted(&doing, esr(class::DATA, status), address),
        None if cpu.is_done() => cpu.kept(&doing, changes),
        None if cpu.class() == class::DATA => cpu.caught(&doing),
        None => cpu.fail(&doing, format_args!("a load or an abort")),
    }
}
