//! Sharing memory, giving it back, using it.

use model::{Answer, Kind};

use super::calls::call;
use crate::arch::code::Fixed;
use crate::arch::ram;
use crate::cpu::{Cpu, Doing};
use crate::layout::{Own, PAGE, pattern};

/// Where in a page the mark is whose loss would show.
const MARK: u64 = 2048;

/// One call about memory, or an access.
pub(super) fn one(cpu: &mut Cpu) {
    let n = cpu.random.below(Own::PAGES);
    let page = cpu.own.page(n);
    let value = (cpu.random.next() & 0xff) as u8;
    match cpu.random.below(12) {
        0..=4 if cpu.common.options.dialect == model::Dialect::Pkvm => memory_call(cpu, n, page),
        0..=5 => touch(cpu, page, Some(value)),
        6..=8 => touch(cpu, page, None),
        9 | 10 => mark(cpu, n, page),
        _ => canary(cpu),
    }
}

/// SHARE, UNSHARE or RELINQUISH of `page`, number `n`, or of something odd.
fn memory_call(cpu: &mut Cpu, n: u64, page: u64) {
    cpu.load_registers();
    // What unmaps is rare where there are other CPUs: an emulator stops them all for it.
    let rarity = if cpu.common.options.cpus() > 1 { 64 } else { 5 };
    let function = if cpu.random.one_in(rarity) { 9 } else { cpu.random.pick(&[3_u64, 4]) };
    let random = &mut cpu.random;
    let address = match random.below(16) {
        0 => page + 1 + random.below(PAGE - 1),
        1 => cpu.own.nowhere(random.next()),
        2 => cpu.own.nowhere(random.next()) + random.below(PAGE),
        3 => page | 1 << (40 + random.below(24)),
        4 => random.next() | 1 << 50,
        5 => u64::MAX,
        _ => page,
    };
    cpu.shot.x[0] = 0xc600_0000 + function;
    cpu.shot.x[1] = address;
    if !cpu.random.one_in(8) {
        (cpu.shot.x[2], cpu.shot.x[3]) = (0, 0);
    }
    call(cpu);
    let is_of_page = cpu.before.0[1] / PAGE * PAGE == page;
    // An immediate, or an argument that is not 0, and nothing is done; the model knows.
    if function == 9 && is_of_page && cpu.state.given_back.contains(&page) {
        cpu.marks[usize::try_from(n).unwrap_or(0)] = 0;
    }
}

/// Loads or stores the first byte of `page`.
fn touch(cpu: &mut Cpu, page: u64, value: Option<u8>) {
    cpu.load_registers();
    cpu.shot.x[6] = page;
    let (code, kind) = match value {
        Some(value) => {
            cpu.shot.x[5] = cpu.shot.x[5] & !0xff | u64::from(value);
            (Fixed::StoreByte, Kind::Store(value))
        }
        None => (Fixed::LoadByte, Kind::Load),
    };
    cpu.fire(code.at());
    let doing = Doing(format_args!("{kind:?} of the first byte of {page:#x}"));
    cpu.done(&doing, if value.is_some() { 0 } else { 1 << 5 });
    let expected = cpu.predict_access(kind, page, 1, true, false);
    let byte = (cpu.shot.x[5] & 0xff) as u8;
    if expected != Answer::Memory(byte) || (value.is_none() && cpu.shot.x[5] > 0xff) {
        cpu.fail(&doing, format_args!("{expected:?} in x5, and there is {:#x}", cpu.shot.x[5]));
    }
}

/// Checks the mark in `page`, number `n`, and makes another.
fn mark(cpu: &mut Cpu, n: u64, page: u64) {
    check_mark(cpu, n, page);
    let value = cpu.random.next();
    ram::write(page + MARK, value);
    cpu.marks[usize::try_from(n).unwrap_or(0)] = value;
}

fn check_mark(cpu: &mut Cpu, n: u64, page: u64) {
    let expected = cpu.marks[usize::try_from(n).unwrap_or(0)];
    // Touched, so that it is there again.
    let _ = cpu.predict_access(Kind::Load, page, 1, true, false);
    let found = ram::read(page + MARK);
    if found != expected {
        let doing = Doing(format_args!("mark in page {page:#x}"));
        cpu.fail(&doing, format_args!("{expected:#x} and not {found:#x}"));
    }
}

/// A page that nothing names is as it was.
fn canary(cpu: &mut Cpu) {
    let page = cpu.own.canary(cpu.random.next());
    let mut word = cpu.random.below(512);
    check_canary(cpu, page, &mut word, 64);
}

fn check_canary(cpu: &Cpu, page: u64, word: &mut u64, words: u64) {
    for _ in 0..words {
        *word = (*word + 1) % 512;
        let found = ram::read(page + *word * 8);
        if found != pattern(page, *word) {
            let doing = Doing(format_args!("word {word} of page {page:#x}, which nothing named"));
            cpu.fail(&doing, format_args!("{:#x} and not {found:#x}", pattern(page, *word)));
        }
    }
}

/// Fills the pages that nothing names.
pub(crate) fn fill_canaries(own: &Own) {
    for n in 0..Own::CANARIES {
        for word in 0..512 {
            ram::write(own.canary(n) + word * 8, pattern(own.canary(n), word));
        }
    }
}

/// All of the CPU's memory is as it must be.
pub(crate) fn check_everything(cpu: &mut Cpu) {
    for n in 0..Own::CANARIES {
        check_canary(cpu, cpu.own.canary(n), &mut 0, 512);
    }
    for n in 0..Own::PAGES {
        check_mark(cpu, n, cpu.own.page(n));
        touch(cpu, cpu.own.page(n), None);
    }
}
