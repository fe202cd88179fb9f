//! Self-hosted debug, which normal VMs have (Arm ARM, D2): breakpoints, watchpoints, software step.

use core::sync::atomic::{AtomicU64, Ordering};

use hyp_abi::{psci, vplatform::VTIMER_INTID};

use crate::arch::debug::{self, Register};
use crate::arch::probe::{Piece, Probe};
use crate::arch::sysreg;
use crate::config::{Config, Kinds};
use crate::gic::{self, Gic};
use crate::smp;
use crate::tap::{Check, Row};
use crate::time;

/// The rows. The first sees what a start left, so none may come before it.
pub(crate) const ROWS: &[Row] = &[
    Row::new("DB1", Kinds::ANY_NORMAL, "debug registers are zero at the start", |check, _| {
        for register in Register::ALL {
            let start = if *register == Register::Lock { UNLOCKED } else { 0 };
            check.eq("value", register.get().unwrap_or(u64::MAX), start);
        }
    }),
    Row::smp("DB2", Kinds::ANY_NORMAL, "and at each CPU_ON", |check, config| {
        for _ in 0..2 {
            let left = smp::run_on(config, 1, |_| {
                let left = sum();
                fill();
                left
            });
            check.eq("sum of all", left.unwrap_or(u64::MAX), UNLOCKED);
        }
        check.eq("this CPU has its own", sum(), UNLOCKED);
    }),
    Row::new("DB3", Kinds::ANY_NORMAL, "ID_AA64DFR0_EL1 shows them", |check, _| {
        let dfr0 = sysreg::id_aa64dfr0_el1();
        check.one_of("DebugVer", dfr0 & 0xf, &[6, 7, 8]);
        // Two of each at least, one of them for contexts (Arm ARM, D2.8.1 and D2.9.1).
        check.that("BRPs", dfr0 >> 12 & 0xf >= 1);
        check.that("WRPs", dfr0 >> 20 & 0xf >= 1);
        check.that("CTX_CMPs", dfr0 >> 28 & 0xf <= dfr0 >> 12 & 0xf);
        // No PMU, trace, profiling; DoubleLock and MTPMU: not implemented.
        check.eq("the rest", dfr0 & !0xf0f0_f00f, 0x000f_00f0_0000_0000);
    }),
    Row::new("DB4", Kinds::ANY_NORMAL, "a breakpoint", breakpoint),
    Row::new("DB5", Kinds::ANY_NORMAL, "watchpoints on a load and a store", watchpoints),
    Row::new("DB6", Kinds::ANY_NORMAL, "software step, one instruction each", steps),
    Row::new("DB7", Kinds::ANY_NORMAL, "the OS lock keeps debug exceptions back", os_lock),
    Row::new("DB8", Kinds::ANY_NORMAL, "no OS double lock, no external debugger", |check, _| {
        for register in [Register::DoubleLock, Register::ChannelControl] {
            check.that("a write has no effect", register.set(u64::MAX));
            check.eq("value", register.get().unwrap_or(u64::MAX), 0);
        }
    }),
];

/// OSLSR_EL1: there is an OS lock, unlocked.
const UNLOCKED: u64 = 0b1000;
const LOCKED: u64 = 0b1010;

// MDSCR_EL1.
const SS: u64 = 1;
const KDE: u64 = 1 << 13;
const MDE: u64 = 1 << 15;

/// DBGBCR: enabled, at EL1, all four bytes.
const BREAK_AT_EL1: u64 = 1 | 1 << 1 | 0xf << 5;
/// DBGWCR: enabled, at EL1, all eight bytes; LSC is added.
const WATCH_AT_EL1: u64 = 1 | 1 << 1 | 0xff << 5;
const LOADS: u64 = 1 << 3;
const STORES: u64 = 2 << 3;

/// ESR_EL1.EC of the exceptions taken from EL1, and SPSR_EL1.SS.
const BREAKPOINT: u64 = 0x31;
const STEP: u64 = 0x33;
const WATCHPOINT: u64 = 0x35;
const SPSR_SS: u64 = 1 << 21;
/// IFSC or DFSC of a debug exception.
const DEBUG: u64 = 0x22;

static WATCHED: AtomicU64 = AtomicU64::new(0);

/// All registers, added up.
fn sum() -> u64 {
    Register::ALL
        .iter()
        .fold(0, |sum, register| sum.wrapping_add(register.get().unwrap_or(u64::MAX)))
}

/// Leaves something in every register.
pub(crate) fn fill() {
    for register in Register::ALL {
        let value = match register {
            // Nothing of this may come true before the CPU goes off.
            Register::Control => KDE,
            Register::Lock => 1,
            _ => 0xff,
        };
        let _ = register.set(value);
    }
}

/// Runs with MDSCR_EL1 as given; debug exceptions are masked but in what `run` runs.
fn with_control<T>(control: u64, run: impl FnOnce() -> T) -> T {
    let _ = Register::Control.set(control);
    let result = run();
    let _ = Register::Control.set(0);
    result
}

/// A debug exception of this class came, at `pc`.
fn caught(check: &mut Check, got: &Probe, class: u64, pc: u64) {
    check.eq("vector", got.vector, 0x200);
    check.eq("ESR_EL1.EC", got.esr >> 26, class);
    check.eq("status code", got.esr & 0x3f, DEBUG);
    check.eq("ELR_EL1", got.elr, pc);
}

fn breakpoint(check: &mut Check, _: &Config) {
    let target = debug::nop();
    for (value, control) in [
        (Register::BreakpointValue0, Register::BreakpointControl0),
        (Register::BreakpointValue1, Register::BreakpointControl1),
    ] {
        // On the instruction behind the first.
        check.that("written", value.set(target.at + 4) && control.set(BREAK_AT_EL1));
        check.eq("value", value.get().unwrap_or(0), target.at + 4);
        check.eq("control", control.get().unwrap_or(0), BREAK_AT_EL1);
        let got = with_control(KDE | MDE, || debug::run(target, 0, 0));
        caught(check, &got, BREAKPOINT, target.at + 4);
        let got = with_control(KDE, || debug::run(target, 0, 0));
        check.that("without MDSCR_EL1.MDE there is none", !got.is_caught());
        check.that("cleared", control.set(0) && value.set(0));
    }
}

fn watchpoints(check: &mut Check, _: &Config) {
    let watched = (&raw const WATCHED) as u64;
    let all = [
        (Register::WatchpointValue0, Register::WatchpointControl0),
        (Register::WatchpointValue1, Register::WatchpointControl1),
    ];
    for ((value, control), kind) in all.into_iter().flat_map(|pair| [(pair, LOADS), (pair, STORES)])
    {
        check.that("written", value.set(watched) && control.set(WATCH_AT_EL1 | kind));
        WATCHED.store(0x1234_5678, Ordering::Relaxed);
        for (target, is_store) in [(debug::load(), false), (debug::store(), true)] {
            let got = with_control(KDE | MDE, || debug::run(target, watched, 0x8765_4321));
            let hits = is_store == (kind == STORES);
            check.that("it hits what it watches", got.is_caught() == hits);
            if hits {
                caught(check, &got, WATCHPOINT, target.at);
                check.eq("ESR_EL1.WnR", got.esr >> 6 & 1, u64::from(is_store));
                check.that("FAR_EL1", got.far >= watched && got.far < watched + 8);
            }
            let stored = WATCHED.load(Ordering::Relaxed) == 0x8765_4321;
            check.that("a store that hits is not done", stored == (is_store && !hits));
        }
        check.that("cleared", control.set(0) && value.set(0));
    }
}

fn steps(check: &mut Check, config: &Config) {
    let gic = Gic::set_up(config);
    let version = u64::from(psci::VERSION.0);
    let (register, identity) = (config.uart + 0x24, config.uart + 0xfe0);
    let watched = (&raw const WATCHED) as u64;
    let mut one = |what: &str, target: Piece, address, datum| {
        let got = with_control(KDE | SS, || debug::step(target.at, address, datum));
        caught(check, &got, STEP, target.at + 4);
        check.eq(what, got.spsr & SPSR_SS, 0);
        got.x[Probe::DATUM]
    };
    one("an instruction of no effect", debug::nop(), 0, 0);
    one("a load from memory", debug::load(), watched, 0);
    one("a store to memory that is populated for it", debug::store(), config.untouched_page(3), 1);
    one("HVC", debug::hvc(), 0, version);
    one("SMC", debug::smc(), 0, version);
    let seen = one("a trapped ID register", debug::id(), 0, 0);
    let control = one("a trapped debug register", debug::debug(), 0, 0);
    one("an emulated store", debug::store(), register, 0x5a);
    let loaded = one("an emulated load", debug::load(), register, 0);
    let decoded = one("a load that is decoded", debug::pair(), identity, 0);
    one("maintenance off memory", debug::clean(), register, 0);
    gic.set(gic::ISENABLER, VTIMER_INTID);
    sysreg::cntv_cval(sysreg::cntvct() + time::ticks(5));
    sysreg::cntv_ctl(gic::TIMER_ENABLE);
    one("WFI", debug::wfi(), 0, 0);
    sysreg::cntv_ctl(0);
    let intid = gic::ack();
    if intid == u64::from(VTIMER_INTID) {
        gic::end(intid);
    }
    check.eq("the ID register", seen, sysreg::id_aa64pfr0_el1());
    check.eq("MDSCR_EL1", control, KDE | SS);
    check.eq("what was stored", loaded, 0x5a);
    // UARTPeriphID0 (DDI0183, 3.3.16).
    check.eq("what was decoded", decoded, 0x11);
    in_a_row(check);
    // What EL2 refuses is not done: the step is still to be made when the guest's handler returns.
    let got = with_control(KDE | SS, || debug::step(debug::undefined().at, 0, 0));
    check.eq("an undefined instruction: ESR_EL1.EC", got.esr >> 26, 0);
    check.eq("ELR_EL1", got.elr, debug::undefined().at);
    check.eq("SPSR_EL1.SS", got.spsr & SPSR_SS, SPSR_SS);
}

/// From instruction to instruction.
fn in_a_row(check: &mut Check) {
    let target = debug::hvc();
    let mut pc = target.at;
    for _ in 0..3 {
        let got = with_control(KDE | SS, || debug::step(pc, 0, u64::from(psci::VERSION.0)));
        check.eq("one further", got.elr, pc + 4);
        pc = got.elr;
    }
}

fn os_lock(check: &mut Check, _: &Config) {
    let target = debug::nop();
    check.eq("at first", Register::Lock.get().unwrap_or(0), UNLOCKED);
    let _ = Register::BreakpointValue0.set(target.at + 4);
    let _ = Register::BreakpointControl0.set(BREAK_AT_EL1);
    for (write, status, hits) in [(1, LOCKED, false), (0, UNLOCKED, true)] {
        check.that("written", Register::Lock.set(write));
        check.eq("OSLSR_EL1", Register::Lock.get().unwrap_or(0), status);
        let got = with_control(KDE | MDE, || {
            check.eq("MDSCR_EL1", Register::Control.get().unwrap_or(0), KDE | MDE);
            debug::run(target, 0, 0)
        });
        check.that("a breakpoint hits unless locked", got.is_caught() == hits);
        let got = with_control(KDE | SS, || debug::step(target.at, 0, 0));
        check.that("a step is made unless locked", got.is_caught() == hits);
    }
    let _ = Register::BreakpointControl0.set(0);
    let _ = Register::BreakpointValue0.set(0);
}
