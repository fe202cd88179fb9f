//! The MMIO guard: odd granules, ranges, high bits.

use hyp_abi::vplatform::RAM_BASE;

use super::calls::call;
use crate::cpu::Cpu;
use crate::layout::PAGE;

/// One call of the guard.
pub(super) fn one(cpu: &mut Cpu) {
    cpu.load_registers();
    let function =
        cpu.random.pick(&[2_u64, 4, 4, 5, 5, 5, 6, 7, 7, 7, 7, 8, 8, 8, 8, 10, 10, 11, 11]);
    let granule = granule(cpu);
    cpu.shot.x[0] = (0xc600_0000 + function) | if cpu.random.one_in(8) { 0x5a << 40 } else { 0 };
    cpu.shot.x[1] = granule;
    let is_list = cpu.common.options.dialect == model::Dialect::List2021;
    match function {
        // MEM_UNSHARE of `pkvm`, MAP of 2021: elsewhere.
        4 if !is_list => cpu.shot.x[0] += 3,
        2 | 5 if !is_list && cpu.random.one_in(2) => {
            (cpu.shot.x[1], cpu.shot.x[2], cpu.shot.x[3]) = (0, 0, 0);
        }
        10 | 11 => {
            cpu.shot.x[2] = granules(cpu, granule);
            if !cpu.random.one_in(8) {
                cpu.shot.x[3] = 0;
            }
        }
        _ => {}
    }
    call(cpu);
}

/// A granule of this CPU's own, or one whose state no call changes.
fn granule(cpu: &mut Cpu) -> u64 {
    let (own, options) = (cpu.own, &cpu.common.options);
    let (ram, size) = options.ram;
    let random = &mut cpu.random;
    match random.below(16) {
        0..=7 => own.nowhere(random.next()),
        8 | 9 if !options.is_v2() => own.redistributor(random.next()),
        // Memory, whoever's.
        8..=10 => ram + random.below(size / PAGE) * PAGE,
        // Own, but no multiple of the granule.
        11 => own.nowhere(random.next()) + 1 + random.below(PAGE - 1),
        // Above the address space.
        12 => (1 << options.ipa_bits) << random.below(64 - u64::from(options.ipa_bits)),
        13 => u64::MAX << random.below(8) << 12,
        14 => RAM_BASE + random.below(size),
        _ => own.nowhere(random.next()) | 1 << 63,
    }
}

/// How many granules from `granule` on: beyond this CPU's own only where a call must stop.
fn granules(cpu: &mut Cpu, granule: u64) -> u64 {
    let end = cpu.own.end_of_nowhere();
    let random = &mut cpu.random;
    if !cpu.own.has(granule) || granule >= end {
        return random.below(2);
    }
    let most = (end - granule / PAGE * PAGE) / PAGE;
    match random.below(8) {
        0 => 0,
        1 => 1,
        2 if cpu.index < 2 => random.next(),
        3 if cpu.index < 2 => most + random.below(16),
        _ => random.below(most) + 1,
    }
}
