//! What a trap leads to: each handler takes the vCPU and its CPU, does what has to be done, and returns
//! what comes next.
//!
//! Nothing here waits, and nothing decides which vCPU a CPU runs: that is the loop's, which acts on
//! [`Next`].

mod abort;
mod call;
mod emulate;
mod exception;
mod interrupt;
mod liveness;
mod register;
mod undescribed;

pub use abort::{answer, fault};
pub use call::{apply, ask, is_smc};
pub use exception::serror;
pub use interrupt::{Interrupt, serve};
pub use liveness::begin;

use crate::cpu::{Cpu, Crash};
use crate::esr::{self, Exit};
use crate::inject::{Exception, is_aarch32};
use crate::ports::Ports;
use crate::vcpu::Vcpu;
use crate::vgic::Kicks;
use crate::vm::Stop;

/// What a CPU does once a trap is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Next {
    /// Goes on with the vCPU.
    Resume = 0,
    /// Waits until an interrupt is pending for the vCPU or for EL2, then goes on with it.
    Wait = 1,
    /// Has the vCPU leave: it went off, or its VM stops.
    Leave = 2,
}

/// Answers a synchronous exception of `vcpu` but for an HVC or SMC of AArch64.
#[inline]
pub fn synchronous<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, esr: u64) -> Next {
    if is_aarch32(cpu.pstate()) && vcpu.vm.space.is_protected() {
        return crash(vcpu, cpu, &Crash::AArch32);
    }
    match esr::class(esr) {
        esr::DATA_ABORT => abort::data(vcpu, cpu, esr),
        esr::SYSTEM_REGISTER => register::access(vcpu, cpu, esr),
        _ => rare(vcpu, cpu, esr),
    }
}

/// [`synchronous`] for what is neither an access to data nor one to a system register.
#[inline(never)]
fn rare<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, esr: u64) -> Next {
    match Exit::from_esr(esr) {
        Exit::FetchAbort(_) => abort::any(vcpu, cpu, esr),
        Exit::Wait => {
            exception::advance(vcpu, cpu, esr);
            Next::Wait
        }
        _ => exception::inject(vcpu, cpu, Exception::Undefined),
    }
}

/// Stops the VM of `vcpu`, which cannot go on.
#[cold]
#[inline(never)]
pub fn crash<P: Ports, C: Cpu>(vcpu: &Vcpu<'_, P>, cpu: C, why: &Crash) -> Next {
    if stop(vcpu, cpu, Stop::Crash) {
        cpu.crashed(vcpu, why);
    }
    Next::Leave
}

/// Asks the VM of `vcpu` to stop. Whether nobody has asked before.
fn stop<P: Ports, C: Cpu>(vcpu: &Vcpu<'_, P>, cpu: C, reason: Stop) -> bool {
    let is_first = vcpu.vm.life.request(reason);
    if is_first {
        let others = (0..vcpu.vm.gic.vcpus()).filter(|other| *other != vcpu.index);
        vcpu.vm.kick(others.fold(Kicks::NONE, Kicks::with), &cpu);
    }
    is_first
}

#[cfg(test)]
mod tests;
