//! HVC and SMC: general services, PSCI, TRNG, and functions that are not there.

use hyp_abi::{psci, smccc, trng, vendor};
use model::Answer;

use crate::arch::code::{Generating, IMMEDIATES};
use crate::arch::mmu::UPPER;
use crate::arch::shot::{EL1H, EL1T, Regime, SCTLR_OFF};
use crate::cpu::{Cpu, Doing};
use crate::random::low;

const ERROR: u64 = -1_i64 as u64;
const INVALID: u64 = -2_i64 as u64;

/// Functions that are there, and neighbours.
const KNOWN: &[u32] = &[
    smccc::VERSION.0,
    smccc::ARCH_FEATURES.0,
    smccc::ARCH_SOC_ID.0,
    smccc::ARCH_WORKAROUND_1.0,
    smccc::ARCH_WORKAROUND_2.0,
    smccc::ARCH_WORKAROUND_3.0,
    smccc::PV_TIME_FEATURES.0,
    smccc::PV_TIME_ST.0,
    psci::VERSION.0,
    psci::CPU_ON_32.0,
    psci::CPU_ON_64.0,
    psci::AFFINITY_INFO_32.0,
    psci::AFFINITY_INFO_64.0,
    psci::MIGRATE_INFO_TYPE.0,
    psci::FEATURES.0,
    psci::SYSTEM_RESET2_32.0,
    psci::SYSTEM_RESET2_64.0,
    trng::VERSION.0,
    trng::FEATURES.0,
    trng::GET_UUID.0,
    trng::RND_32.0,
    trng::RND_64.0,
    vendor::CALL_UID.0,
    vendor::FEATURES.0,
    0x8600_0001,
    0x8600_ff00,
    0x8600_ff03,
    0xc600_0040,
    0xc600_0041,
];

/// One call with its answer checked.
pub(super) fn one(cpu: &mut Cpu) {
    let id = harmless(cpu);
    cpu.load_registers();
    let arguments = [(); 3].map(|()| argument(cpu));
    cpu.shot.x[0] = u64::from(id) | if cpu.random.one_in(4) { cpu.random.next() << 32 } else { 0 };
    for (register, value) in cpu.shot.x.iter_mut().skip(1).zip(arguments) {
        *register = value;
    }
    make_harmless(cpu, id);
    call(cpu);
}

/// A function that is neither the end of the CPU or the VM nor concerns pages.
fn harmless(cpu: &mut Cpu) -> u32 {
    let random = &mut cpu.random;
    let id = match random.below(8) {
        0..=3 => random.pick(KNOWN),
        4 => random.pick(KNOWN) ^ 1 << random.below(32),
        5 => random.pick(&[0x8400_0000, 0xc400_0000]) + low(random.below(0x60)),
        6 => random.pick(&[0x8600_0000, 0xc600_0000, 0x0600_0000]) + low(random.below(0x80)),
        _ => low(random.next()),
    };
    let is_about_pages = matches!(id, 0xc600_0002..=0xc600_000b);
    let ends = matches!(id, 0x8400_0001 | 0xc400_0001 | 0x8400_0002 | 0x8400_0008 | 0x8400_0009);
    if is_about_pages || ends { smccc::VERSION.0 } else { id }
}

fn argument(cpu: &mut Cpu) -> u64 {
    let affinity = cpu.common.options.affinities[cpu.index];
    let random = &mut cpu.random;
    match random.below(10) {
        0 => 0,
        1 => affinity,
        2 => affinity | 1 << random.below(64),
        3 => random.below(5),
        4 => u64::from(random.pick(KNOWN)),
        5 => random.below(200),
        6 => 1 << random.below(64),
        7 => u64::MAX << random.below(64),
        8 => random.next() & 0xffff_ffff,
        _ => random.next(),
    }
}

/// Takes the sting out of a start of another CPU, and out of a reset.
fn make_harmless(cpu: &mut Cpu, id: u32) {
    let own = cpu.common.options.affinities[cpu.index];
    match id {
        0x8400_0003 | 0xc400_0003 => {
            let mask = if id >> 30 & 1 != 0 { u64::MAX } else { 0xffff_ffff };
            let target = cpu.shot.x[1] & mask;
            // The whole space of affinities of a VM is Aff0 below 16.
            if target < 16 && target != own {
                cpu.shot.x[1] = own;
            }
        }
        0x8400_0012 | 0xc400_0012 if !(1..0x8000_0000).contains(&(cpu.shot.x[1] & 0xffff_ffff)) => {
            cpu.shot.x[1] = 1 + (cpu.shot.x[1] & 0x7fff_0000);
        }
        _ => {}
    }
}

/// Makes the call that is in the registers, by either instruction and in any state, and checks
/// x0 to x3 and all others.
pub(super) fn call(cpu: &mut Cpu) {
    let is_smc = cpu.random.one_in(4);
    let n = if cpu.random.one_in(16) { cpu.random.index(IMMEDIATES.len()) } else { 0 };
    let what = if is_smc { Generating::Smc } else { Generating::Hvc };
    let (pstate, regime) = state_of_call(cpu);
    let [x0, x1, x2, x3, ..] = cpu.shot.x;
    let x = [x0, x1, x2, x3];
    let window = if matches!(regime, Regime::Upper { .. }) { UPPER } else { 0 };
    cpu.fire_in(what.at(n) + window, pstate, regime);
    let doing = Doing(format_args!("{what:?} #{:#x} {x:x?} {regime:x?}", IMMEDIATES[n]));
    cpu.done(&doing, 0b1111);
    let [x0, x1, x2, x3, ..] = cpu.shot.x;
    let seen = [x0, x1, x2, x3];
    if let Err(expected) = check(cpu, is_smc, IMMEDIATES[n], x, seen) {
        cpu.fail(&doing, format_args!("the answer {expected:x?}"));
    }
}

/// A state of EL1 in which a call is to be answered as in any other.
pub(super) fn state_of_call(cpu: &mut Cpu) -> (u64, Regime) {
    let random = &mut cpu.random;
    if !random.one_in(32) {
        return (EL1H, Regime::Usual);
    }
    // Flags, and either stack pointer.
    let pstate = random.pick(&[EL1H, EL1T]) | (random.next() & 0xf) << 28;
    match random.below(3) {
        0 => (pstate, Regime::Usual),
        1 => {
            // A, SA, SA0, EE, E0E, WXN and the caches as may be.
            let odd =
                random.next() & (1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 12 | 1 << 19 | 3 << 24);
            (pstate, Regime::Flat { sctlr: SCTLR_OFF | odd })
        }
        _ => (pstate, super::walks::anywhere(cpu)),
    }
}

/// Whether `seen` answers the call `x`; else what would have.
fn check(
    cpu: &mut Cpu,
    is_smc: bool,
    immediate: u16,
    x: [u64; 4],
    seen: [u64; 4],
) -> Result<(), Answer> {
    let id = low(x[0]);
    let only = |x0: u64| [x0, 0, 0, 0];
    let one_of = |values: &[u64]| {
        let is_one = values.iter().any(|value| only(*value) == seen);
        let expected = Answer::Returns(only(values.first().copied().unwrap_or(0)));
        if is_one { Ok(()) } else { Err(expected) }
    };
    let plain = |expected: [u64; 4]| {
        if expected == seen { Ok(()) } else { Err(Answer::Returns(expected)) }
    };
    if immediate == 0 {
        match id {
            // What the CPU needs depends on it.
            0x8000_0001 => {
                return match low(x[1]) {
                    0x8000_0000 | 0x8000_0001 => plain(only(0)),
                    0x8000_8000 | 0x8000_7fff | 0x8000_3fff => one_of(&[ERROR, 0, 1, INVALID]),
                    _ => plain(only(ERROR)),
                };
            }
            0x8000_8000 | 0x8000_7fff | 0x8000_3fff => return one_of(&[0, ERROR]),
            0x8400_0050 => return one_of(&[0x1_0000, ERROR]),
            0x8400_0051 => {
                let is_there = matches!(low(x[1]), 0x8400_0050..=0x8400_0053 | 0xc400_0053);
                return if is_there { one_of(&[0, ERROR]) } else { plain(only(ERROR)) };
            }
            0x8400_0052 if seen[0] != 0xffff_ffff && seen.iter().all(|word| word >> 32 == 0) => {
                return Ok(());
            }
            0x8400_0052 => return plain(only(ERROR)),
            0x8400_0053 => return random_bits(x[1] & 0xffff_ffff, 96, 32, seen),
            0xc400_0053 => return random_bits(x[1], 192, 64, seen),
            // Others may be on or off.
            0x8400_0004 | 0xc400_0004 if is_other(cpu, id, x) => return one_of(&[0, 1, 2]),
            _ => {}
        }
    }
    match cpu.predict_call(is_smc, immediate, x, seen) {
        Answer::Returns(expected) if expected == seen => Ok(()),
        expected => Err(expected),
    }
}

/// Whether AFFINITY_INFO is about another CPU alone.
fn is_other(cpu: &Cpu, id: u32, x: [u64; 4]) -> bool {
    let mask = if id >> 30 & 1 != 0 { u64::MAX } else { 0xffff_ffff };
    let affinities = &cpu.common.options.affinities;
    let (target, level) = (x[1] & mask, x[2] & mask);
    level == 0 && target != affinities[cpu.index] && affinities.contains(&target)
}

/// Random bits: as many as were asked for, in words of `width` bits.
fn random_bits(bits: u64, limit: u64, width: u64, seen: [u64; 4]) -> Result<(), Answer> {
    let error = |x0: u64| [x0, 0, 0, 0];
    if seen == error(ERROR) {
        return Ok(());
    }
    if !(1..=limit).contains(&bits) {
        let expected = error(INVALID);
        return if seen == expected { Ok(()) } else { Err(Answer::Returns(expected)) };
    }
    let is_cut = seen.iter().skip(1).rev().zip(0..).all(|(word, n)| {
        let there = bits.saturating_sub(n * width).min(width);
        there == 64 || *word >> there == 0
    });
    if seen[0] == 0 && is_cut { Ok(()) } else { Err(Answer::Returns(error(0))) }
}
