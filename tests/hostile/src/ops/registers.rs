//! System registers and system instructions: all encodings.

use alloc::vec::Vec;

use hyp_abi::vplatform::UART_BASE;

use crate::arch::code::{SYSTEM_ENCODINGS, System};
use crate::arch::mmu::USER_WINDOW;
use crate::arch::shot::{EL0, EL1H, Regime, SCTLR_OFF};
use crate::cpu::{Cpu, Doing};
use crate::expect::{class, esr};
use crate::layout::PAGE;
use crate::random::{Random, low};

/// What must become of an instruction at EL1.
enum Expect {
    /// It is undefined.
    Undefined,
    /// It reads this.
    Value(u64),
    /// It reads zero, or as a write has no effect; or it is undefined.
    ZeroOrUndefined,
    /// There is no exception.
    Done,
    /// It is undefined or not.
    Any,
}

/// One instruction.
pub(super) fn one(cpu: &mut Cpu) {
    let n = cpu.random.index(cpu.common.systems.len());
    let system = cpu.common.systems[n];
    let rt = system.register() as usize;
    cpu.load_registers();
    if rt < 31 {
        cpu.shot.x[rt] = operand(cpu, system);
    }
    // PAC of the hints works on x17 and x30, with x16 or SP.
    let but = match system.fields() {
        [0, 3, 2, ..] => 1 << 17 | 1 << 30,
        _ if system.is_read() && rt < 31 => 1 << rt,
        _ => 0,
    };
    match cpu.random.below(64) {
        0..=11 => from_user(cpu, system, but),
        12 => {
            let regime = Regime::Flat { sctlr: SCTLR_OFF };
            from_kernel(cpu, system, but, EL1H, regime);
        }
        // With interrupts let in, too.
        13..=16 => from_kernel(cpu, system, but, EL1H & !0xc0, Regime::Usual),
        _ => from_kernel(cpu, system, but, EL1H, Regime::Usual),
    }
    if let [3, 0, 12, ..] | [3, 0, 4, 6, _] = system.fields() {
        cpu.is_gic_sane = false;
    }
}

/// Where EL2's code lies (linker/hyp.ld).
const EL2_IMAGE: u64 = 0x8000_0000_0000;

/// Encodings that one run fires: an emulator takes long over what it has not seen.
const POOL: usize = 6144;

/// Random encodings, of which other seeds have others.
pub(crate) fn pool(random: &mut Random) -> Vec<System> {
    (0..POOL).map(|_| choose(random)).collect()
}

/// An encoding: half of them where there is something.
fn choose(random: &mut Random) -> System {
    loop {
        let system = if random.one_in(2) {
            System::new(random.below(SYSTEM_ENCODINGS))
        } else {
            let small = |value: u64| low(value & 0xf);
            let crm = small(random.next());
            let op2 = small(random.next()) & 7;
            let is_read = random.one_in(2);
            let fields = match random.below(8) {
                // ID registers; memory, faults, GIC; timers, PMU; debug; maintenance and AT.
                0 => [3, 0, 0, crm, op2],
                1 => [3, 0, random.pick(&[1, 2, 4, 5, 6, 7, 9, 10, 13, 14]), crm, op2],
                2 => [3, 0, 12, 8 + crm % 8, op2],
                3 => [3, 3, random.pick(&[0, 2, 4, 9, 13, 14]), crm, op2],
                4 => [2, random.pick(&[0, 0, 1, 3]), crm % 8, small(random.next()), op2],
                5 => [1, random.pick(&[0, 0, 3, 1, 2]), 7, crm, op2],
                6 => [3, random.pick(&[1, 2, 4, 5, 6, 7]), small(random.next()), crm, op2],
                _ => [0, small(random.next()) & 7, random.pick(&[2, 3, 4]), crm, op2],
            };
            System::of(is_read, fields)
        };
        // TLBI for all CPUs is rare: an emulator stops them all for it.
        let is_costly = matches!(system.fields(), [1, _, 8 | 9, 1..=3, _]);
        if !is_own_business(system) && (!is_costly || random.one_in(16)) {
            return system;
        }
    }
}

/// What this guest needs as it is, and what may wait for ever.
fn is_own_business(system: System) -> bool {
    match system.fields() {
        // WFE, WFI; WFET, WFIT.
        [0, 3, 2, 0, 2 | 3] | [0, 3, 1, ..] => true,
        _ if system.is_read() => false,
        // SCTLR and CPACR, and what later architectures have beside them; TTBR, TCR; MAIR, PIR;
        // VBAR; TPIDR_EL1, TPIDRRO_EL0.
        [3, 0, 1, ..]
        | [3, 0, 2, 0, _]
        | [3, 0, 10, 2 | 3, _]
        | [3, 0, 12, 0, 0]
        | [3, 0, 13, 0, 4]
        | [3, 3, 13, 0, 3] => true,
        _ => false,
    }
}

/// What is written, or what a system instruction is about.
fn operand(cpu: &mut Cpu, system: System) -> u64 {
    let own = cpu.own;
    let random = &mut cpu.random;
    let value = match random.below(4) {
        0 => 0,
        1 => 1 << random.below(64),
        2 => random.next() & 0xffff,
        _ => random.next(),
    };
    match system.fields() {
        // DC by address: what it zeroes or drops is this CPU's.
        [1, _, 7, ..] | [1, _, 11, ..] => match random.below(4) {
            0 => own.nowhere(random.next()) + random.below(PAGE),
            1 => UART_BASE + 0x400,
            2 => u64::MAX << 50 | random.next() >> 20,
            _ => own.scratch() + random.below(0x8_0000),
        },
        // Timers: soon, or never.
        [3, 3, 14, ..] if random.one_in(2) => {
            crate::arch::cpu::counter().wrapping_add(random.below(1 << 16))
        }
        // Debug exceptions must not reach what EL0 does here; those of EL1 are masked. So no software
        // step, and no breakpoint or watchpoint of EL0: bit 1 of PMC and PAC. At EL2, in whose image
        // some lie, there are none.
        [2, 0, 0, 2, 2] => value & !1,
        [2, 0, 0, _, 5 | 7] => value & !(1 << 2),
        [2, 0, 0, _, 4 | 6] if random.one_in(2) => EL2_IMAGE + (value & 0x3_fffc),
        // ICC_BPR0 and ICC_BPR1: QEMU 7.2 ends itself over more than what fits ("bpr > 0").
        [3, 0, 12, 8 | 12, 3] => value & 7,
        _ => value,
    }
}

fn from_kernel(cpu: &mut Cpu, system: System, but: u32, pstate: u64, regime: Regime) {
    cpu.fire_in(system.at(), pstate, regime);
    let name = name(system);
    let doing = Doing(format_args!("{name} {:?} at EL1, {regime:x?}", system.fields()));
    if cpu.class() == class::DATA && matches!(system.fields(), [1, _, 7 | 11, ..]) {
        // Maintenance of an address that leads nowhere.
        return cpu.caught(&doing);
    }
    let is_undefined = !cpu.is_done();
    if is_undefined {
        refused(cpu, system, &doing);
    } else if matches!(system.fields(), [3, 3, 4, 1, 0] | [3, 0, 4, 1, 0]) && !system.is_read() {
        // SP_EL0 is to change.
        cpu.shot.sp_el0 = cpu.before.1;
        cpu.kept(&doing, but);
    } else {
        cpu.kept(&doing, but);
    }
    let rt = system.register() as usize;
    let read = (system.is_read() && rt < 31).then(|| cpu.shot.x[rt]);
    match (expect(cpu, system), is_undefined) {
        (Expect::Undefined, false) => cpu.fail(&doing, format_args!("an undefined instruction")),
        (Expect::Value(value), false) if read.is_some_and(|read| read != value) => {
            cpu.fail(&doing, format_args!("{value:#x} in x{rt}"));
        }
        (Expect::Value(_) | Expect::Done, true) => {
            cpu.fail(&doing, format_args!("no exception"));
        }
        (Expect::ZeroOrUndefined, false) if read.is_some_and(|read| read != 0) => {
            cpu.fail(&doing, format_args!("0 in x{rt}"));
        }
        _ => {}
    }
}

/// The instruction must have been undefined, or refused by the guest's own EL1.
fn refused(cpu: &Cpu, system: System, doing: &Doing<'_>) {
    match (cpu.class(), system.fields()) {
        // FEAT_IDST describes undefined reads of the ID space.
        (class::REGISTER, [3, 0 | 1 | 3, 0, 0..=7, _]) if system.is_read() => {
            cpu.caught_with(doing, described(system));
        }
        // CPACR_EL1.ZEN and SMEN, off in this guest, come before what EL2 traps.
        (class::SVE, [3, 0, 1, 2, 0]) => cpu.caught_with(doing, esr(class::SVE, 0)),
        (class::SME, [3, 0, 1, 2, 4 | 6] | [3, 3, 4, 2, 2] | [0, 3, 4, _, 3]) => {
            cpu.caught_with(doing, esr(class::SME, 0));
        }
        _ => cpu.undefined(doing),
    }
}

/// The ESR of `system` where it is trapped as a system register (Arm ARM, ISS encoding of EC 0x18).
fn described(system: System) -> u64 {
    let [op0, op1, crn, crm, op2] = system.fields();
    let iss = op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | system.register() << 5 | crm << 1;
    esr(class::REGISTER, u64::from(iss | u32::from(system.is_read())))
}

fn name(system: System) -> &'static str {
    if system.is_read() { "MRS/SYSL" } else { "MSR/SYS" }
}

/// What the ABI says of it (docs/abi.md, "CPU").
fn expect(cpu: &Cpu, system: System) -> Expect {
    let is_protected = cpu.common.options.is_protected;
    match (system.fields(), system.is_read()) {
        // Of EL2, EL3 and the Secure state, nothing.
        ([3 | 1, 4..=7, ..], _) => Expect::Undefined,
        ([3, 0, 0, crm @ 4..=7, op2], true) => {
            let place = ((crm - 4) * 8 + op2) as usize;
            Expect::Value(cpu.common.ids[place])
        }
        ([3, 0, 0, 1..=3, _], true) => Expect::Value(0),
        ([3, 0, 0, 1..=7, _], false) => Expect::Undefined,
        ([3, 0, 0, 0, 5], true) => {
            Expect::Value(cpu.common.options.affinities[cpu.index] | 1 << 31)
        }
        // Of a normal VM: MDSCR, OSLAR, OSLSR; as many breakpoints and watchpoints as it shows.
        ([2, 0, 0, 2, 2], _) | ([2, 0, 1, 0, 4], false) | ([2, 0, 1, 1, 4], true)
            if !is_protected =>
        {
            Expect::Done
        }
        ([2, 0, 1, 0 | 1, 4], _) if !is_protected => Expect::Undefined,
        ([2, 0, 0, number, op2 @ 4..=7], _) if !is_protected => {
            // BRPs and WRPs of ID_AA64DFR0_EL1.
            let shift = if op2 < 6 { 12 } else { 20 };
            if u64::from(number) <= (cpu.common.ids[8] >> shift) & 0xf {
                Expect::Done
            } else {
                Expect::Undefined
            }
        }
        // MDSCR, OSLAR, OSLSR, OSDLR; the first breakpoint and watchpoint.
        ([2, 0, 0, 2, 2] | [2, 0, 1, 0 | 1 | 3, 4] | [2, 0, 0, 0, 4..=7], _) => {
            Expect::ZeroOrUndefined
        }
        // What an emulator may have in place of MDCCSR_EL0 does not always trap.
        ([2, 3, 0, 1, 0], true) => Expect::ZeroOrUndefined,
        ([2, ..], _) if is_protected => Expect::Undefined,
        ([2, ..], _) => Expect::ZeroOrUndefined,
        // Performance monitors.
        ([3, 3, 9, 12..=15, _] | [3, 3, 14, 8..=15, _] | [3, 0, 9, 14, 1 | 2], _) => {
            if is_protected { Expect::Undefined } else { Expect::ZeroOrUndefined }
        }
        // Set and way.
        ([1, 0, 7, 6 | 10 | 14, 2], false) if is_protected => Expect::Undefined,
        // SVE, SME, MTE, LORegions, AMU.
        ([3, 0, 1, 2, 0 | 4 | 6] | [3, 0, 10, 4, _] | [3, 3, 13, 2..=15, _], _) => {
            Expect::Undefined
        }
        _ => Expect::Any,
    }
}

/// From EL0 what is not for EL0 is undefined or trapped to EL1.
fn from_user(cpu: &mut Cpu, system: System, but: u32) {
    cpu.fire_in(system.at() + USER_WINDOW, EL0, Regime::Usual);
    let [op0, op1, ..] = system.fields();
    let name = name(system);
    let doing = Doing(format_args!("{name} {:?} at EL0", system.fields()));
    if cpu.is_done() {
        if op0 != 0 && op1 != 3 {
            cpu.fail(&doing, format_args!("an exception"));
        }
        return cpu.kept(&doing, but);
    }
    match cpu.class() {
        class::UNKNOWN => cpu.undefined(&doing),
        // MSR of DAIF, which emulators do not describe well.
        class::REGISTER if op0 == 0 => cpu.caught(&doing),
        class::REGISTER => cpu.caught_with(&doing, described(system)),
        class::SME => refused(cpu, system, &doing),
        // Maintenance of an address that EL0 cannot reach.
        class::DATA_EL0 if op0 == 1 => cpu.caught(&doing),
        _ => cpu.fail(&doing, format_args!("an undefined or a trapped instruction")),
    }
}
