//! The operations, by family.

mod access;
mod calls;
mod fetch;
mod guard;
mod interrupts;
mod memory;
mod power;
mod registers;
mod reset;
mod traps;
mod undo;
mod walks;

use crate::cpu::Cpu;
use crate::options::Family;

pub(crate) use memory::{check_everything, fill_canaries};
pub(crate) use power::Next;
pub(crate) use registers::pool;
pub(crate) use reset::{check_fresh, reset};
pub(crate) use undo::undo;

/// One operation of `family`; what the CPU does then.
pub(crate) fn one(cpu: &mut Cpu, family: Family) -> Next {
    match family {
        Family::Calls => calls::one(cpu),
        Family::Guard => guard::one(cpu),
        Family::Memory => memory::one(cpu),
        Family::Access => access::one(cpu),
        Family::Registers => registers::one(cpu),
        Family::Traps => traps::one(cpu),
        Family::Fetch => fetch::one(cpu),
        Family::Walks => walks::one(cpu),
        Family::Interrupts => interrupts::send(cpu),
        Family::Waits => interrupts::wait(cpu),
        Family::Power => return power::one(cpu),
        Family::Code => access::patched(cpu),
    }
    Next::GoOn
}
