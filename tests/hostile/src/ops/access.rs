//! Loads, stores, atomics, exclusives and maintenance, of all forms and anywhere.

use hyp_abi::vplatform::{GICD_BASE, RAM_BASE, UART_BASE};
use model::Answer;

use crate::arch::code;
use crate::arch::mmu::{NORMAL_WINDOW, USER_WINDOW};
use crate::arch::shot::{EL0, EL1H, EL1T, Regime, SCTLR_OFF};
use crate::cpu::{Cpu, Doing};
use crate::expect::{class, esr};
use crate::forms::{self, Extensions, Form, Kind};
use crate::layout::{Own, PAGE};

/// DFSC of an alignment fault, and of an unsupported exclusive access.
const ALIGNMENT: u64 = 0x21;
const UNSUPPORTED: u64 = 0x35;
/// DFSC of an external abort.
const EXTERNAL: u64 = 0x10;

/// One access by an instruction that was made before.
pub(super) fn one(cpu: &mut Cpu) {
    let n = cpu.random.index(forms::COUNT);
    let form = cpu.common.forms[n];
    access(cpu, code::form_at(n), &form);
}

/// New code: an instruction is written, made visible and executed.
pub(super) fn patched(cpu: &mut Cpu) {
    let form = forms::one(&mut cpu.random, Extensions::here());
    code::patch(cpu.index, form.word);
    access(cpu, code::patch_at(cpu.index), &form);
}

/// Where an access goes.
struct Target {
    ipa: u64,
    /// What is there counts as what the model says.
    is_predicted: bool,
}

fn access(cpu: &mut Cpu, pc: u64, form: &Form) {
    let target = target(cpu, form);
    if (GICD_BASE..UART_BASE).contains(&target.ipa) {
        cpu.is_gic_sane = false;
    }
    cpu.load_registers();
    let (window, pstate, regime) = place(cpu, form, target.ipa);
    let address = target.ipa.wrapping_add(window);
    let mut base = address.wrapping_sub(form.offset.cast_unsigned());
    if let Some(rm) = form.rm {
        let index = cpu.random.below(0x1000);
        cpu.shot.x[rm] = index;
        base = base.wrapping_sub(index);
    }
    cpu.shot.x[form.rn] = base;
    // EL0 finds the code where it finds everything.
    let pc = if pstate == EL0 && regime == Regime::Usual { pc + USER_WINDOW } else { pc };
    cpu.fire_in(pc, pstate, regime);
    let doing = Doing(format_args!(
        "{:?} {:#010x} of {} bytes at IPA {:#x} VA {address:#x} PSTATE {pstate:#x} {regime:x?}",
        form.kind, form.word, form.bytes, target.ipa
    ));
    let is_aligned = address % form.bytes.min(64) == 0 && form.bytes.is_power_of_two();
    let may_be_misaligned = form.kind == Kind::Zero || !is_aligned;
    if form.kind != Kind::Maintenance && may_be_misaligned && cpu.is_alignment_fault() {
        // Exclusives and device memory want aligned addresses; not all emulators do.
        return cpu.caught(&doing);
    }
    if form.kind == Kind::StoreExclusive && cpu.is_done() {
        // Nothing is stored without a load before, and whether that aborts is the CPU's choice.
        return cpu.kept(&doing, form.changes);
    }
    if !target.is_predicted {
        // Somebody else may be at it; nothing but an external abort can come of it.
        return if cpu.is_done() {
            cpu.kept(&doing, form.changes)
        } else {
            external(cpu, &doing, form)
        };
    }
    judge(cpu, &doing, form, &target, address, pstate == EL0);
}

impl Extensions {
    /// Those of this CPU.
    pub(crate) fn here() -> Self {
        Self { has_atomics: crate::arch::cpu::isar0() >> 20 & 0xf != 0 }
    }
}

impl Cpu {
    fn is_alignment_fault(&self) -> bool {
        matches!(self.class(), class::DATA | class::DATA_EL0) && self.shot.esr & 0x3f == ALIGNMENT
    }
}

/// Compares with what the model says.
fn judge(cpu: &mut Cpu, doing: &Doing<'_>, form: &Form, to: &Target, address: u64, is_user: bool) {
    let kind = match form.kind {
        Kind::Maintenance | Kind::Prefetch => model::Kind::Maintenance,
        Kind::Load | Kind::LoadExclusive => model::Kind::Load,
        _ => model::Kind::Store(0),
    };
    if cpu.state.config.memory.iter().any(|(base, end)| (*base..*end).contains(&to.ipa)) {
        // Memory of this CPU's own for such things.
        return cpu.done(doing, form.changes);
    }
    let bytes = if form.is_described { form.bytes } else { form.bytes.min(8) };
    let crosses = to.ipa % PAGE + form.bytes > PAGE;
    let answer = cpu.predict_access(kind, to.ipa, bytes, form.is_described, is_user);
    match answer {
        Answer::Skips => cpu.done(doing, form.changes),
        Answer::Device => {
            cpu.done(doing, form.changes);
            value(cpu, doing, form);
        }
        Answer::Aborts(esr) if crosses && !form.is_described => {
            external_with(cpu, doing, form, esr);
        }
        Answer::Aborts(esr) if form.pieces == 1 => cpu.aborted(doing, esr, address),
        Answer::Aborts(esr) => external_with(cpu, doing, form, esr),
        Answer::Undescribed if cpu.is_done() => cpu.kept(doing, form.changes),
        Answer::Undescribed => external(cpu, doing, form),
        other => cpu.fail(doing, format_args!("{other:?}")),
    }
}

/// An external abort, or in a normal VM an unsupported exclusive access.
fn external(cpu: &Cpu, doing: &Doing<'_>, form: &Form) {
    let is_exclusive = matches!(form.kind, Kind::LoadExclusive | Kind::StoreExclusive);
    let fault = cpu.shot.esr & 0x3f;
    let is_el0 = cpu.shot.pstate & 0xf == 0;
    let expected = esr(if is_el0 { class::DATA_EL0 } else { class::DATA }, EXTERNAL);
    if is_exclusive && !cpu.common.options.is_protected && fault == UNSUPPORTED {
        return cpu.caught_with(doing, expected ^ EXTERNAL ^ UNSUPPORTED);
    }
    external_with(cpu, doing, form, expected);
}

/// An abort with `esr`, of one of the bytes that the instruction touches.
fn external_with(cpu: &Cpu, doing: &Doing<'_>, form: &Form, esr: u64) {
    cpu.caught_with(doing, esr);
    let first = cpu.before.0[form.rn]
        .wrapping_add(form.rm.map_or(0, |rm| cpu.before.0[rm]))
        .wrapping_add(form.offset.cast_unsigned());
    // DC ZVA is of a whole block.
    let first = if form.kind == Kind::Zero { first & !63 } else { first };
    if cpu.shot.far.wrapping_sub(first) >= form.bytes {
        cpu.fail(doing, format_args!("a FAR within {} bytes from {first:#x}", form.bytes));
    }
}

/// What was loaded has the width of the access and the sign of its last bit.
fn value(cpu: &Cpu, doing: &Doing<'_>, form: &Form) {
    if form.kind != Kind::Load || form.rt == 31 || form.changes == 0 {
        return;
    }
    let found = cpu.shot.x[form.rt];
    let bits = form.bytes * 8;
    let low = if bits == 64 { found } else { found & ((1 << bits) - 1) };
    let expected = match form.sign {
        Some(is_64) if low >> (bits - 1) & 1 != 0 && bits < 64 => {
            let extended = low | u64::MAX << bits;
            if is_64 { extended } else { extended & 0xffff_ffff }
        }
        _ => low,
    };
    if found != expected {
        cpu.fail(doing, format_args!("{expected:#x} in x{}", form.rt));
    }
}

/// Where to.
fn target(cpu: &mut Cpu, form: &Form) -> Target {
    let (own, is_v2, cpus) = (cpu.own, cpu.common.options.is_v2(), cpu.common.options.cpus());
    let ipa_bits = cpu.common.options.ipa_bits;
    let random = &mut cpu.random;
    let offset = match random.below(8) {
        0 => random.below(PAGE),
        // At the page's end.
        1 => PAGE - (form.bytes / 2).max(1),
        _ => random.below(PAGE) / form.bytes * form.bytes,
    };
    let of = |ipa, is_predicted| Target { ipa, is_predicted };
    match random.below(16) {
        0..=5 => of(own.nowhere(random.next()) + offset, true),
        6..=9 if !is_v2 => of(own.redistributor(random.next()) + offset, true),
        // Of a page whose state nobody changes.
        6..=8 => of(own_register(random.next(), offset, is_v2, cpus), false),
        10 | 11 => of(own_register(random.next(), offset, is_v2, cpus), false),
        // Of the console, but not what it transmits.
        12 => of(UART_BASE + (offset | 0x100), false),
        // The instruction's own scratch memory.
        13 => of(own.scratch() + PAGE + random.below(Own::SCRATCH_SIZE / 2), true),
        // Nobody's, for all time.
        14 => of(0x0b00_0000 + random.below(64) * PAGE + offset, true),
        _ => of((1 << (ipa_bits - 1)) + (random.below(256) << 20) + offset, true),
    }
}

/// A register of the distributor: none that stops it for the others.
fn own_register(n: u64, offset: u64, is_v2: bool, cpus: usize) -> u64 {
    let page = if is_v2 { 0 } else { n % 16 * PAGE };
    let is_control = page == 0 && cpus > 1 && offset < 0x80;
    GICD_BASE + page + if is_control { offset + 0x80 } else { offset }
}

/// The window through which, and in which state, `ipa` is accessed.
fn place(cpu: &mut Cpu, form: &Form, ipa: u64) -> (u64, u64, Regime) {
    let is_low = ipa < RAM_BASE + (1 << 30);
    let random = &mut cpu.random;
    // Instructions that act as EL0 want a map for it, and those of EL0 that are not for it, EL1.
    let is_system = matches!(form.kind, Kind::Maintenance | Kind::Zero);
    match random.below(64) {
        0..=7 if is_low && !is_system => (USER_WINDOW, EL0, Regime::Usual),
        8..=11 if is_low && !form.is_unprivileged => (NORMAL_WINDOW, EL1H, Regime::Usual),
        12 if ipa < 1 << 40 => {
            let odd = random.next() & (1 << 3 | 1 << 4 | 1 << 12 | 1 << 19);
            (0, EL1H, Regime::Flat { sctlr: SCTLR_OFF | odd })
        }
        _ if form.is_unprivileged && is_low => (USER_WINDOW, EL1H, Regime::Usual),
        _ if form.is_unprivileged => (0, EL1H, Regime::Flat { sctlr: SCTLR_OFF }),
        13..=16 => (0, EL1T, Regime::Usual),
        _ => (0, EL1H, Regime::Usual),
    }
}
