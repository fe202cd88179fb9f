//! CPUs that go off and that others start.

use crate::cpu::Cpu;
use crate::{crew, report};

/// What a CPU does after an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next operation.
    GoOn,
    /// It turns itself off, and goes on when somebody starts it.
    TurnOff,
}

/// Turns this CPU off, but for the first one, or starts another, off or not.
pub(super) fn one(cpu: &mut Cpu) -> Next {
    let cpus = cpu.common.options.cpus();
    if cpus == 1 {
        return Next::GoOn;
    }
    if cpu.index != 0 && cpu.random.one_in(4) {
        return Next::TurnOff;
    }
    let other = (cpu.index + 1 + cpu.random.index(cpus - 1)) % cpus;
    if let Err(answer) = crew::start(&cpu.common.options, other) {
        report::fail(
            cpu.index,
            cpu.op,
            format_args!("CPU_ON of CPU {other}: expected 0, -4 or -5; came back {answer:#x}"),
        );
    }
    Next::GoOn
}
