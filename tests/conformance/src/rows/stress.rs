//! Rows of our own that do many things at once: what single rows cannot show.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hyp_abi::esr;
use hyp_abi::vendor::{self, pkvm};
use hyp_abi::vplatform::{MAX_VCPUS, VTIMER_INTID};
use hyp_abi::{psci, smccc, trng};

use crate::arch::probe::{self, Probe};
use crate::arch::{cpu, hostile, mmu, registers, sysreg};
use crate::config::{Config, Kinds, PAGE};
use crate::gic::{self, Gic};
use crate::hyper::call0;
use crate::rows::faults::HOLE;
use crate::tap::{Check, Row};
use crate::{smp, time};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("X1", Kinds::VM, "interrupts between calls and aborts change no register", ticking),
    Row::smp("X2", Kinds::VM, "vCPUs populate one block of memory at once", population),
    Row::smp("X3", Kinds::VM, "calls, aborts and guard changes on every vCPU at once", everything),
    Row::smp(
        "X4",
        Kinds::NORMAL_GUARD,
        "an undescribed access whose code another vCPU shares a neighbour of",
        code_on_the_move,
    ),
    Row::smp(
        "X5",
        Kinds::ANY_NORMAL,
        "a load of what cannot be written that becomes an atomic under the host's hands",
        load_becomes_atomic,
    ),
    Row::smp(
        "X6",
        Kinds::ANY_NORMAL,
        "a load that becomes one of a vector register under the host's hands, these being off",
        load_becomes_vector,
    ),
    Row::smp(
        "X7",
        Kinds::GUARD,
        "a load whose abort handler returns to it until another vCPU has guarded the page",
        patience,
    ),
];

fn ticking(check: &mut Check, config: &Config) {
    const ROUNDS: u64 = 2000;
    const ENOUGH: usize = 20;
    let gic = Gic::set_up(config);
    gic.set(gic::ISENABLER, VTIMER_INTID);
    // As often as 10,000 times a second: less than the time of a round on an emulator.
    gic::tick_every(sysreg::cntfrq_el0() / 10_000);
    cpu::unmask_irq();
    let calls = [smccc::VERSION, vendor::FEATURES, psci::AFFINITY_INFO_64, trng::RND_64];
    let mut changed = 0;
    let mut inexact = 0;
    let mut round = 0;
    // An emulator short of time delivers late: go on until some have come.
    let _ = time::wait_until(smp::LIMIT, || {
        for function in calls {
            changed |= registers::call(function).1;
        }
        let va = HOLE + (round % 512) * 8;
        let got = probe::run(probe::load64(), va, round);
        let is_exact =
            got.esr == esr::SEA_DATA_EL1 && got.far == va && got.x[Probe::DATUM] == round;
        inexact += u64::from(!is_exact);
        round += 1;
        round >= ROUNDS && gic::taken() >= ENOUGH
    });
    cpu::mask_irq();
    gic::tick_every(0);
    check.eq("changed registers", changed, 0);
    check.eq("inexact aborts", inexact, 0);
    check.that("interrupts came", gic::taken() >= ENOUGH);
}

/// How many CPUs are at the start, and whether they may go.
static READY: AtomicU64 = AtomicU64::new(0);
static GO: AtomicBool = AtomicBool::new(false);

/// Waits until all of `count` CPUs are here.
fn line_up(count: usize) {
    READY.fetch_add(1, Ordering::AcqRel);
    let all = || READY.load(Ordering::Acquire) >= count as u64 || GO.load(Ordering::Acquire);
    let _ = time::wait_until(smp::LIMIT, all);
    GO.store(true, Ordering::Release);
}

/// Runs `job` on every CPU, begun together; calls `each` with index and answer.
fn together(config: &Config, job: smp::Job, mut each: impl FnMut(usize, Option<u64>)) {
    READY.store(0, Ordering::Release);
    GO.store(false, Ordering::Release);
    let mut started = [false; MAX_VCPUS];
    for (index, is_started) in started.iter_mut().enumerate().take(config.cpu_count()).skip(1) {
        *is_started = smp::start(config, index, job).0 == 0;
    }
    each(0, Some(job(config)));
    for (index, is_started) in started.iter().enumerate().take(config.cpu_count()).skip(1) {
        each(index, if *is_started { smp::finish(config, index) } else { None });
    }
}

/// Words that each CPU writes, spread over the pages of one block.
const WORDS: u64 = 256;

fn word_of(config: &Config, round: u64, index: usize, n: u64) -> u64 {
    let block = config.untouched_page(4 + round) & !0x1f_ffff;
    block + n * 2 * PAGE + (n + 8 * index as u64) * 8
}

static ROUND: AtomicU64 = AtomicU64::new(0);

fn population(check: &mut Check, config: &Config) {
    // Blocks 4 to 7 are left for this row. A block that is zeroed after one CPU has used it
    // loses that CPU's words.
    for round in 0..4 {
        ROUND.store(round, Ordering::Release);
        let job: smp::Job = |config| {
            let round = ROUND.load(Ordering::Acquire);
            let index = gic::this_cpu();
            line_up(config.cpu_count());
            let mut dirty = 0;
            for n in 0..WORDS {
                let word = word_of(config, round, index, n);
                let before = probe::run(probe::load64(), word, 1);
                dirty += u64::from(before.x[Probe::DATUM] != 0);
                let _ = probe::run(probe::store64(), word, word ^ !0);
            }
            dirty
        };
        together(config, job, |_, dirty| check.eq("words not zero", dirty.unwrap_or(1), 0));
        let mut lost = 0;
        for index in 0..config.cpu_count() {
            for n in 0..WORDS {
                let word = word_of(config, round, index, n);
                let got = probe::run(probe::load64(), word, 0);
                lost += u64::from(got.x[Probe::DATUM] != word ^ !0);
            }
        }
        check.eq("words lost", lost, 0);
    }
}

/// A round of everything on this CPU, in pages of its own; how many things went wrong.
fn one_round(config: &Config, round: u64) -> u64 {
    let index = gic::this_cpu() as u64;
    let mut wrong = 0;
    let mut must = |is_right: bool| wrong += u64::from(!is_right);
    must(call0(vendor::FEATURES, [0; 3]) < 0x1000);
    must(registers::call(psci::VERSION).1 == 0);
    let va = HOLE + 0x8000 + index * PAGE + (round % 512) * 8;
    let got = probe::run(probe::store64(), va, round);
    must(got.esr == esr::SEA_DATA_EL1 && got.far == va);
    if Kinds::GUARD.contains(config.kind) {
        // Neighbours in one table, so that the CPUs edit the same one.
        let page = HOLE + 0x10_0000 + index * PAGE;
        must(config.map(page) == 0);
        must(probe::run(probe::load32(), page, 0).esr == esr::SEA_DATA_EL1);
        must(config.unmap(page) == 0);
    }
    if Kinds::PROTECTED.contains(config.kind) {
        let page = config.far_block() + index * PAGE;
        let _ = probe::run(probe::store64(), page, round);
        must(call0(pkvm::MEM_SHARE, [page, 0, 0]) == 0);
        must(probe::run(probe::load64(), page, 0).x[Probe::DATUM] == round);
        must(call0(pkvm::MEM_UNSHARE, [page, 0, 0]) == 0);
        if round.is_multiple_of(16) {
            must(call0(pkvm::MEM_RELINQUISH, [page, 0, 0]) == 0);
            must(probe::run(probe::load64(), page, 1).x[Probe::DATUM] == 0);
        }
    }
    wrong
}

fn everything(check: &mut Check, config: &Config) {
    let job: smp::Job = |config| {
        line_up(config.cpu_count());
        (0..60).map(|round| one_round(config, round)).sum()
    };
    together(config, job, |_, wrong| check.eq("things that went wrong", wrong.unwrap_or(1), 0));
}

/// What [`code_on_the_move`] does to the block of this round is done.
static IS_SHARED: AtomicBool = AtomicBool::new(false);

/// Where the code of this round lies.
fn code_at(config: &Config) -> u64 {
    config.untouched_page(ROUND.load(Ordering::Acquire))
}

/// CPU 0 shares a page, for which the host may have to map the block around it anew, while the
/// others run code from there whose instructions the host has to read.
fn code_on_the_move(check: &mut Check, config: &Config) {
    let pair = probe::load_pair();
    let code = probe::run(probe::load64(), pair.at, 0).x[Probe::DATUM];
    Gic::set_up(config);
    for round in 8..16 {
        ROUND.store(round, Ordering::Release);
        IS_SHARED.store(false, Ordering::Release);
        let at = code_at(config);
        let _ = probe::run(probe::store64(), at, code);
        cpu::synchronize_code(at);
        let job: smp::Job = |config| {
            let at = code_at(config);
            line_up(config.cpu_count());
            if gic::this_cpu() == 0 {
                let answer = call0(pkvm::MEM_SHARE, [at + PAGE, 0, 0]);
                IS_SHARED.store(true, Ordering::Release);
                return answer;
            }
            let mut caught = 0;
            let mut is_last = false;
            while !is_last {
                is_last = IS_SHARED.load(Ordering::Acquire);
                let got = probe::run(probe::Piece::at(at, 0), config.gicd + gic::IPRIORITYR, 0);
                caught += u64::from(got.is_caught());
            }
            caught
        };
        together(config, job, |_, answer| check.eq("answer, aborts", answer.unwrap_or(1), 0));
        check.eq("UNSHARE", call0(pkvm::MEM_UNSHARE, [at + PAGE, 0, 0]), 0);
    }
}

/// Code that changes: where it lies, what it loads from, and what stands there by turns.
static CODE: AtomicU64 = AtomicU64::new(0);
static DATA: AtomicU64 = AtomicU64::new(0);
static OTHER: AtomicU64 = AtomicU64::new(0);

/// Lays an LDP out that loads from `va`, for [`flip`] to change into `other` and back.
fn lay_out(config: &Config, other: u64, va: u64) {
    let pair = probe::load_pair();
    let code = probe::run(probe::load64(), pair.at, 0).x[Probe::DATUM];
    let at = config.far_page(0);
    let _ = probe::run(probe::store64(), at, code);
    cpu::synchronize_code(at);
    CODE.store(at, Ordering::Release);
    DATA.store(va, Ordering::Release);
    OTHER.store(other, Ordering::Release);
    IS_SHARED.store(false, Ordering::Release);
}

/// Changes the instruction and back, often, while others run it: the host may read the one for a
/// fault of the other.
fn flip() {
    const FLIPS: u64 = 3000;
    let (at, other) = (CODE.load(Ordering::Acquire), OTHER.load(Ordering::Acquire));
    let code = probe::run(probe::load64(), at, 0).x[Probe::DATUM];
    for n in 0..FLIPS {
        for word in [other, code & 0xffff_ffff] {
            let _ = probe::run(probe::store64(), at, code >> 32 << 32 | word);
            cpu::synchronize_code(at);
            time::pause(n % 100);
        }
    }
    IS_SHARED.store(true, Ordering::Release);
}

/// The LDP may load from where the LDADD may not store.
fn load_becomes_atomic(check: &mut Check, config: &Config) {
    const LDADD_W11_W10_X8: u64 = 0xb82b_010a;
    const ADDEND: u64 = 0x0808_0808;
    let io = Gic::set_up(config).dist;
    let register = gic::IPRIORITYR + 64;
    io.write32(register, 0);
    lay_out(config, LDADD_W11_W10_X8, mmu::read_only(config.gicd) + register);
    let job: smp::Job = |config| {
        line_up(config.cpu_count());
        if gic::this_cpu() == 0 {
            flip();
            return 0;
        }
        let piece = probe::Piece::at(CODE.load(Ordering::Acquire), 0);
        while !IS_SHARED.load(Ordering::Acquire) {
            let _ = probe::run_with(piece, [DATA.load(Ordering::Acquire), 0, 0, ADDEND]);
        }
        0
    };
    together(config, job, |_, answer| check.eq("it came back", answer.unwrap_or(1), 0));
    mmu::forget_remote();
    check.eq("GICD_IPRIORITYR", u64::from(io.read32(register)), 0);
    io.write32(register, 0x0101_0101 * u32::from(gic::DEFAULT_PRIORITY));
}

/// The vector registers are not for whoever runs the LDP.
fn load_becomes_vector(check: &mut Check, config: &Config) {
    const LDR_S0_X8: u64 = 0xbd40_0100;
    Gic::set_up(config);
    lay_out(config, LDR_S0_X8, config.gicd + gic::IPRIORITYR + 64);
    let job: smp::Job = |config| {
        line_up(config.cpu_count());
        if gic::this_cpu() == 0 {
            flip();
            return 0;
        }
        let (at, va) = (CODE.load(Ordering::Acquire), DATA.load(Ordering::Acquire));
        let _ = probe::run(probe::set_v0(), 0, 0);
        while !IS_SHARED.load(Ordering::Acquire) {
            let _ = probe::run_with(probe::without_vectors(), [va, 0, 0, at]);
        }
        probe::run(probe::get_v0(), 0, 1).x[Probe::DATUM]
    };
    together(config, job, |_, v0| check.eq("v0", v0.unwrap_or(1), 0));
}

fn patience(check: &mut Check, config: &Config) {
    // The last page of the distributor, which nobody else uses now.
    let (base, size) = config.gic_windows()[0];
    let page = base + size - PAGE;
    check.eq("UNMAP", config.unmap(page), 0);
    DATA.store(page, Ordering::Release);
    let job: smp::Job = |config| {
        let page = DATA.load(Ordering::Acquire);
        line_up(config.cpu_count());
        if gic::this_cpu() == 0 {
            time::sleep(200);
            return config.map(page);
        }
        u64::from(probe::run(hostile::patient_load(), page, 0).is_caught())
    };
    together(config, job, |_, answer| check.eq("answer", answer.unwrap_or(1), 0));
}
