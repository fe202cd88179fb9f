//! The doors of EL2: the vectors call these functions, with interrupts masked and the guest's registers in
//! the vCPU's frame. Each reads the machine, asks `hyp-core`, and returns what comes next.
//!
//! Nothing a guest does panics EL2, so that none of this may even index or compute unchecked.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]

mod current;
pub(crate) mod interrupts;

pub(crate) use current::CurrentCpu;

use hyp_abi::exit::HYP_FAILED;
use hyp_core::cpu::Crash;
use hyp_core::serror::is_uncontainable;
use hyp_core::trap::{self, Next};
use hyp_core::{inject, vcpu};

use crate::arch::{percpu, sysreg};
use crate::exit::fail;
use crate::mm::ports::Hardware;
#[cfg(feature = "ghost")]
use crate::watch::ghost;
use crate::watch::tracing;

/// A vCPU on the real machine.
pub(crate) type Vcpu = vcpu::Vcpu<'static, Hardware>;

/// HVC or SMC from AArch64. x19 to x28 are not in the frame.
pub(crate) extern "C" fn trap_call(vcpu: &mut Vcpu, esr: u64) -> Next {
    let next = if vcpu.is_traced { traced_call(vcpu, esr) } else { call(vcpu, esr) };
    by_the_loop(next)
}

#[inline]
fn call(vcpu: &mut Vcpu, esr: u64) -> Next {
    let outcome = ghosted!(call(vcpu, esr), trap::ask(vcpu, CurrentCpu, esr));
    trap::apply(vcpu, CurrentCpu, esr, outcome)
}

#[cold]
#[inline(never)]
fn traced_call(vcpu: &mut Vcpu, esr: u64) -> Next {
    let record = tracing::Call::note(vcpu, trap::is_smc(esr));
    let next = call(vcpu, esr);
    record.answered(vcpu);
    next
}

/// Every other synchronous exception.
pub(crate) extern "C" fn trap_sync(vcpu: &mut Vcpu, esr: u64) -> Next {
    #[cfg(feature = "ghost")]
    if hyp_core::esr::is_abort(esr)
        && let Some(fault) = trap::fault(vcpu, CurrentCpu, esr)
    {
        let pstate = sysreg::spsr_el2();
        ghost::faults(vcpu, &fault);
        let (next, verdict) = trap::answer(vcpu, CurrentCpu, esr, &fault);
        ghost::answered(vcpu, &fault, pstate, verdict);
        return next;
    }
    trap::synchronous(vcpu, CurrentCpu, esr)
}

/// IRQ or FIQ. x19 to x28 are not in the frame.
pub(crate) extern "C" fn trap_interrupt(vcpu: &mut Vcpu) -> Next {
    if inject::is_aarch32(sysreg::spsr_el2()) && vcpu.vm.space.is_protected() {
        return trap::crash(vcpu, CurrentCpu, &Crash::AArch32);
    }
    interrupts::take(vcpu);
    // A stop of the VM is announced by a kick.
    by_the_loop(if vcpu.vm.life.is_stopping() { Next::Leave } else { Next::Resume })
}

/// Sends a vCPU that could go on through the loop, if a test asks for that.
#[inline]
fn by_the_loop(next: Next) -> Next {
    match next {
        Next::Resume if injected!(switches(), false) => Next::Wait,
        next => next,
    }
}

/// A physical SError that reached EL2 while the guest ran.
pub(crate) extern "C" fn trap_serror(vcpu: &mut Vcpu, esr: u64) -> Next {
    if inject::is_aarch32(sysreg::spsr_el2()) && vcpu.vm.space.is_protected() {
        return trap::crash(vcpu, CurrentCpu, &Crash::AArch32);
    }
    serror(vcpu, esr);
    Next::Resume
}

/// Makes the guest take the SError with the syndrome `esr`, unless that says that the machine cannot go on.
pub(crate) fn serror(vcpu: &Vcpu, esr: u64) {
    if is_uncontainable(esr) {
        fail(
            HYP_FAILED,
            format_args!(
                "CPU {}: uncontainable SError, syndrome {esr:#x}: memory or a device is broken",
                percpu::index()
            ),
        );
    }
    trap::serror(vcpu, CurrentCpu);
}
