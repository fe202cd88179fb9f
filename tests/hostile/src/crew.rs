//! All CPUs: their start, their streams, the end.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use hyp_abi::psci;
use spin::mutex::TicketMutex;

use crate::arch::{code, cpu as machine, heap, ram, shot};
use crate::cpu::{Common, Cpu};
use crate::forms::{self, Extensions};
use crate::layout::{self, MOST_CPUS, Own};
use crate::life::Life;
use crate::ops::{self, Next};
use crate::options::{Family, Options};
use crate::random::Random;
use crate::watch::{self, Status, Watch};
use crate::{gic, hyper, predict, report};

/// CPUs that do not fire just now.
static RESTING: [TicketMutex<Option<Box<Cpu>>>; MOST_CPUS] =
    [const { TicketMutex::new(None) }; MOST_CPUS];
/// CPU_ON calls for each that answered 0, and starts that came of them.
static STARTS: [AtomicU64; MOST_CPUS] = [const { AtomicU64::new(0) }; MOST_CPUS];
static ARRIVALS: [AtomicU64; MOST_CPUS] = [const { AtomicU64::new(0) }; MOST_CPUS];
/// Operations and digest of those that are through.
static OPERATIONS: AtomicU64 = AtomicU64::new(0);
static DIGEST: AtomicU64 = AtomicU64::new(0);
static INTERRUPTS: AtomicU64 = AtomicU64::new(0);

/// What CPU_ON passes on, besides the number.
const CONTEXT: u64 = 0xc0de_5afe_1234_5600;
const ALREADY_ON: u64 = -4_i64 as u64;
const ON_PENDING: u64 = -5_i64 as u64;
/// AFFINITY_INFO: off.
const OFF: u64 = 1;
/// Operations between two looks at the others.
const LOOK: u64 = 2048;
/// Operations after which the first CPU says how far it is.
const TELL: u64 = 1 << 21;
/// Operations between two checks of all memory.
const CHECK: u64 = 1 << 17;

/// Everything, on the first CPU.
pub(crate) fn work(options: Options, life: Life) {
    let common = Arc::new(prepare(options, life));
    let cpus = common.options.cpus();
    for (index, resting) in RESTING.iter().enumerate().take(cpus) {
        *resting.lock() = make(&common, index);
    }
    // All of them before any is started: those that run start others.
    for index in 1..cpus {
        let state = affinity_info(&common.options, index);
        if state != OFF {
            report::fail(0, 0, format_args!("CPU {index}, never started: {state:#x}"));
        }
    }
    for index in 1..cpus {
        if let Err(answer) = start(&common.options, index) {
            report::fail(0, 0, format_args!("CPU_ON of CPU {index}: {answer:#x}"));
        }
    }
    let Some(mut first) = RESTING[0].lock().take() else { return };
    fire_all(&mut first);
    wait_for_all(&mut first);
    report::say(format_args!(
        "done operations={} digest={:#018x} interrupts={} heap={}",
        OPERATIONS.load(Ordering::Acquire),
        DIGEST.load(Ordering::Acquire),
        INTERRUPTS.load(Ordering::Acquire),
        heap::used()
    ));
}

/// What AFFINITY_INFO says of CPU `index`.
fn affinity_info(options: &Options, index: usize) -> u64 {
    machine::call(psci::AFFINITY_INFO_64.0, [options.affinities[index], 0, 0])[0]
}

/// Memory for tests holds nothing, at the start as after a reset.
fn check_zero() {
    let dirty = layout::test_ram().step_by(8).find(|address| ram::read(*address) != 0);
    if let Some(address) = dirty {
        let value = ram::read(address);
        report::fail(0, 0, format_args!("memory at {address:#x}: {value:#x} and not 0"));
    }
}

/// What all share.
fn prepare(options: Options, life: Life) -> Common {
    let mut random = Random::new(life.seed(&options), MOST_CPUS);
    let forms = forms::make(&mut random, Extensions::here());
    let systems = ops::pool(&mut random);
    check_zero();
    code::write(&forms);
    for index in 0..options.cpus() {
        ops::fill_canaries(&Own::new(index, options.ipa_bits));
    }
    let weight = options.families.iter().map(|(_, weight)| weight).sum();
    // AArch32 at EL0, by part number: Cortex-A53, A57, A72.
    let is_old = matches!(machine::midr() >> 4 & 0xfff, 0xd03 | 0xd07 | 0xd08);
    Common { ids: machine::ids(), has_aarch32: is_old, options, life, forms, systems, weight }
}

fn make(common: &Arc<Common>, index: usize) -> Option<Box<Cpu>> {
    Some(Box::new(Cpu {
        index,
        random: Random::new(common.life.seed(&common.options), index),
        state: predict::state(&common.options),
        own: Own::new(index, common.options.ipa_bits),
        shot: shot::take(index)?,
        before: ([0; 31], 0, 0),
        op: 0,
        digest: 0,
        is_gic_sane: false,
        is_logged: false,
        marks: [0; 24],
        watch: Watch::default(),
        common: Arc::clone(common),
    }))
}

/// Starts CPU `index`, which may be on already.
///
/// # Errors
///
/// Any other answer.
pub(crate) fn start(options: &Options, index: usize) -> Result<(), u64> {
    match hyper::power_on(options.affinities[index], CONTEXT | index as u64) {
        0 => {
            STARTS[index].fetch_add(1, Ordering::AcqRel);
            Ok(())
        }
        ALREADY_ON | ON_PENDING => Ok(()),
        other => Err(other),
    }
}

/// A CPU was started.
pub(crate) fn arrive(context: u64) -> ! {
    let index = usize::try_from(context & 0xff).unwrap_or(0);
    if context & !0xff != CONTEXT || index >= MOST_CPUS {
        report::fail(index, 0, format_args!("a start with context {context:#x}"));
    }
    ARRIVALS[index].fetch_add(1, Ordering::AcqRel);
    // One that is through is started in vain.
    let resting = RESTING[index].lock().take();
    if let Some(mut cpu) = resting {
        watch::set_status(index, Status::Fires);
        // Off and on: the interface is out of reset.
        cpu.is_gic_sane = false;
        if fire_all(&mut cpu) == Next::TurnOff {
            watch::set_status(index, Status::Off);
            *RESTING[index].lock() = Some(cpu);
        }
    }
    hyper::turn_off()
}

/// The operations that are left; ends early where the CPU is to turn itself off.
fn fire_all(cpu: &mut Cpu) -> Next {
    watch::set_status(cpu.index, Status::Fires);
    let common = Arc::clone(&cpu.common);
    let limit = common.options.ops_of_one();
    if cpu.op == 0 && common.life.number != 0 {
        ops::check_fresh(cpu);
    }
    while cpu.op < limit {
        if common.life.end == Some((cpu.index, cpu.op)) {
            ops::reset(cpu);
        }
        let family = family(cpu);
        cpu.is_logged = common.options.log_from.is_some_and(|from| cpu.op >= from);
        let next = ops::one(cpu, family);
        cpu.op += 1;
        watch::note(cpu.index, cpu.op);
        if cpu.op.is_multiple_of(LOOK) {
            cpu.watch.look(cpu.index, cpu.op);
        }
        if cpu.index == 0 && cpu.op.is_multiple_of(TELL) {
            report::say(format_args!("CPU 0 is at operation {} of {limit}", cpu.op));
        }
        if cpu.op.is_multiple_of(CHECK) {
            ops::check_everything(cpu);
        }
        if next == Next::TurnOff {
            return next;
        }
    }
    finish(cpu);
    Next::GoOn
}

/// What the next operation is about.
fn family(cpu: &mut Cpu) -> Family {
    let mut number = cpu.random.below(cpu.common.weight.max(1));
    for (family, weight) in &cpu.common.options.families {
        if number < *weight {
            return *family;
        }
        number -= weight;
    }
    Family::Calls
}

/// Checks and undoes everything.
fn finish(cpu: &mut Cpu) {
    gic::set_up(cpu);
    ops::check_everything(cpu);
    ops::undo(cpu);
    ops::check_everything(cpu);
    OPERATIONS.fetch_add(cpu.op, Ordering::AcqRel);
    DIGEST.fetch_xor(cpu.digest, Ordering::AcqRel);
    INTERRUPTS.fetch_add(cpu.shot.irqs, Ordering::AcqRel);
    watch::set_status(cpu.index, Status::Through);
}

/// Waits until all others are through and off, starting those that turned themselves off.
fn wait_for_all(first: &mut Cpu) {
    let common = Arc::clone(&first.common);
    let options = &common.options;
    for index in 1..options.cpus() {
        while !watch::is_status(index, Status::Through) {
            if let Err(answer) = start(options, index) {
                report::fail(0, first.op, format_args!("CPU_ON of CPU {index}: {answer:#x}"));
            }
            first.watch.look(0, first.op);
            machine::give_way();
        }
        // A start may still be under way.
        while affinity_info(options, index) != OFF {
            machine::give_way();
        }
        let counts = [&STARTS, &ARRIVALS].map(|counts| counts[index].load(Ordering::Acquire));
        if counts[0] != counts[1] {
            report::fail(
                0,
                first.op,
                format_args!("starts and arrivals of CPU {index}: {counts:?}"),
            );
        }
    }
}
