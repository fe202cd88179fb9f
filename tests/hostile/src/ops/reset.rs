//! Resets of the VM, and how it must be after one.

use hyp_abi::psci::{SYSTEM_RESET, SYSTEM_RESET2_32, SYSTEM_RESET2_64};
use model::{Answer, Dialect};

use super::calls::{call, state_of_call};
use crate::arch::code::Generating;
use crate::arch::mmu::UPPER;
use crate::arch::shot::Regime;
use crate::cpu::{Cpu, Doing};
use crate::layout::Own;
use crate::report;

/// Resets the VM, while the other CPUs are at whatever they are at.
pub(crate) fn reset(cpu: &mut Cpu) -> ! {
    cpu.load_registers();
    let function = cpu.random.pick(&[SYSTEM_RESET, SYSTEM_RESET2_32, SYSTEM_RESET2_64]).0;
    cpu.shot.x[0] = u64::from(function);
    // A warm reset of the architecture's, or one of a vendor's own kind.
    cpu.shot.x[1] &= !0xffff_ffff;
    if cpu.random.one_in(2) {
        cpu.shot.x[1] |= 1 << 31 | cpu.random.below(1 << 31);
    }
    let is_smc = cpu.random.one_in(2);
    let what = if is_smc { Generating::Smc } else { Generating::Hvc };
    let (pstate, regime) = state_of_call(cpu);
    let window = if matches!(regime, Regime::Upper { .. }) { UPPER } else { 0 };
    let [x0, x1, x2, x3, ..] = cpu.shot.x;
    let doing = Doing(format_args!("{what:?} {:x?} {regime:x?}", [x0, x1, x2, x3]));
    if cpu.predict_call(is_smc, 0, [x0, x1, x2, x3], [0; 4]) != Answer::Resets {
        cpu.fail(&doing, format_args!("a reset by the model"));
    }
    report::say(format_args!(
        "life {} ends at operation {} of CPU {}: {}",
        cpu.common.life.number, cpu.op, cpu.index, doing.0
    ));
    cpu.fire_in(what.at(0) + window, pstate, regime);
    cpu.fail(&doing, format_args!("a reset"))
}

/// Nothing of this CPU's own is guarded or shared: taking it back is answered as the model says of a VM
/// that was just made.
pub(crate) fn check_fresh(cpu: &mut Cpu) {
    let options = &cpu.common.options;
    let (unmap, unshare) = match options.dialect {
        Dialect::Pkvm => (0xc600_0008, Some(0xc600_0004)),
        Dialect::List2021 => (0xc600_0005, None),
    };
    for n in 0..Own::GRANULES {
        take_back(cpu, unmap, cpu.own.nowhere(n));
    }
    if let Some(unshare) = unshare {
        for n in 0..Own::PAGES {
            take_back(cpu, unshare, cpu.own.page(n));
        }
    }
}

fn take_back(cpu: &mut Cpu, function: u64, page: u64) {
    cpu.load_registers();
    (cpu.shot.x[0], cpu.shot.x[1], cpu.shot.x[2], cpu.shot.x[3]) = (function, page, 0, 0);
    call(cpu);
}
