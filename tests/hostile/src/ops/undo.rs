//! Taking back what the operations left.

use alloc::vec::Vec;

use model::Dialect;

use crate::arch::code::Generating;
use crate::cpu::{Cpu, Doing};
use crate::layout::Own;

/// Unshares all pages and takes back all marks of this CPU's own; twice marks all it can, so that a
/// table lost in between would be missed.
pub(crate) fn undo(cpu: &mut Cpu) {
    let shared: Vec<u64> = cpu.state.shared.iter().copied().collect();
    for page in shared {
        answered(cpu, 0xc600_0004, page, 0);
    }
    if !cpu.common.options.has_guard() {
        return;
    }
    let (map, unmap) = match cpu.common.options.dialect {
        Dialect::Pkvm => (0xc600_0007, 0xc600_0008),
        Dialect::List2021 => (0xc600_0004, 0xc600_0005),
    };
    let own = cpu.own;
    for _ in 0..2 {
        for n in 0..Own::GRANULES {
            answered(cpu, map, own.nowhere(n), 0);
        }
        let guarded: Vec<u64> = cpu.state.guarded.iter().copied().filter(|p| own.has(*p)).collect();
        for page in guarded {
            answered(cpu, unmap, page, 0);
        }
    }
}

/// The call must be answered so, and so says the model.
fn answered(cpu: &mut Cpu, function: u64, page: u64, answer: u64) {
    cpu.load_registers();
    (cpu.shot.x[0], cpu.shot.x[1], cpu.shot.x[2], cpu.shot.x[3]) = (function, page, 0, 0);
    cpu.fire(Generating::Hvc.at(0));
    let doing = Doing(format_args!("{function:#x} of {page:#x} at the end"));
    cpu.done(&doing, 0b1111);
    let expected = cpu.predict_call(false, 0, [function, page, 0, 0], [answer, 0, 0, 0]);
    if cpu.shot.x[..4] != [answer, 0, 0, 0] || expected != model::Answer::Returns([answer, 0, 0, 0])
    {
        cpu.fail(&doing, format_args!("the answer {answer:#x}; the model says {expected:x?}"));
    }
}
