//! What a guest is made to take, and stepping past what was done for it.

use hyp_abi::exit::HYP_FAILED;
use hyp_core::addr::{Ipa, Va};
use hyp_core::esr::PlainAccess;
use hyp_core::events::{Event, Reason, Touch};
use hyp_core::fault::{Fault, Kind};
use hyp_core::inject::{self, Exception, GuestState};
use hyp_core::serror;

use super::vcpu::Vcpu;
use super::{events, ghost, stuck, tracing};
use crate::arch::{context, stage2, sysreg};
use crate::exit::fail;

/// Makes the guest take `exception` for `fault` and records why.
pub(crate) fn refuse(vcpu: &Vcpu, fault: &Fault, exception: Exception, reason: Reason) {
    let trapped = sysreg::elr_el2();
    let (reason, pc) = match reason {
        Reason::FetchOffMemory => {
            let [vbar, elr] = [sysreg::vbar_el1(), sysreg::elr_el1()];
            match inject::came_to_vector(trapped, vbar, elr, sysreg::spsr_el1()) {
                Some(origin) => (Reason::NoVectors, origin),
                None => (reason, trapped),
            }
        }
        _ => (reason, trapped),
    };
    let bytes = match fault.kind {
        Kind::Data { access: Some(access), .. } => u8::try_from(access.width.bytes()).unwrap_or(0),
        _ => 0,
    };
    events::record_watched(Event {
        vm: 0,
        vcpu: events::number(vcpu.state.index),
        reason,
        touch: Touch::from(fault.kind),
        bytes,
        pc,
        va: fault.va,
        ipa: fault.ipa,
    });
    if vcpu.state.is_traced {
        tracing::tell_callers(vcpu);
    }
    inject(vcpu, exception);
}

/// Makes the guest take the external abort of `access`, whose page at `ipa` is not guarded, and records
/// it. The caller has asked [`stuck::is_fresh`].
#[inline]
pub(crate) fn refuse_unguarded(vcpu: &Vcpu, ipa: Ipa, access: PlainAccess) {
    if events::is_news(Reason::Unguarded) {
        record_unguarded(vcpu, ipa, access);
    } else {
        take_here(vcpu, Exception::data_abort(Va(sysreg::far_el2())));
    }
}

/// The same for the first access of its site.
#[cold]
fn record_unguarded(vcpu: &Vcpu, ipa: Ipa, access: PlainAccess) {
    events::record(Event {
        vm: 0,
        vcpu: events::number(vcpu.state.index),
        reason: Reason::Unguarded,
        touch: Touch::from(access.direction()),
        bytes: u8::try_from(access.width().bytes()).unwrap_or(0),
        pc: sysreg::elr_el2(),
        va: Va(sysreg::far_el2()),
        ipa,
    });
    take(vcpu, Exception::data_abort(Va(sysreg::far_el2())));
}

/// Makes the guest take `exception` at the instruction that trapped. Ends the VM if the vCPU has
/// done nothing else for a long time.
pub(crate) fn inject(vcpu: &Vcpu, exception: Exception) {
    stuck::watch(vcpu, true);
    if vcpu.state.is_traced && exception == Exception::Undefined {
        tracing::undefined();
    }
    take(vcpu, exception);
}

/// Makes the guest take an SError once it unmasks it, and records that one came. `esr` is its syndrome,
/// which may say that the machine cannot go on.
pub(crate) fn serror(vcpu: &Vcpu, esr: u64) {
    if serror::is_uncontainable(esr) {
        fail(
            HYP_FAILED,
            format_args!(
                "CPU {}: uncontainable SError, syndrome {esr:#x}: memory or a device is broken",
                vcpu.state.index
            ),
        );
    }
    events::record_watched(Event {
        vm: 0,
        vcpu: events::number(vcpu.state.index),
        reason: Reason::SError,
        touch: Touch::Unknown,
        bytes: 0,
        pc: sysreg::elr_el2(),
        va: Va(0),
        ipa: Ipa(0),
    });
    stage2::pend_virtual_serror();
}

/// As [`inject`], for what cannot go on for ever.
pub(crate) fn take(vcpu: &Vcpu, exception: Exception) {
    take_here(vcpu, exception);
}

#[inline(always)]
fn take_here(vcpu: &Vcpu, exception: Exception) {
    let guest = GuestState {
        pc: sysreg::elr_el2(),
        pstate: sysreg::spsr_el2(),
        vbar_el1: sysreg::vbar_el1(),
        sctlr_el1: sysreg::sctlr_el1(),
    };
    let new = inject::take(exception, &guest, vcpu.state.pstate_features);
    ghost::takes(new.esr_el1);
    sysreg::set_esr_el1(new.esr_el1);
    if let Some(far) = new.far_el1 {
        sysreg::set_far_el1(far);
    }
    sysreg::set_elr_el1(new.elr_el1);
    sysreg::set_spsr_el1(new.spsr_el1);
    sysreg::set_elr_el2(new.pc);
    context::enter_el1(new.pstate);
}

/// Steps past the instruction that trapped in AArch64 state, which is done.
#[inline]
pub(crate) fn advance_aarch64(vcpu: &Vcpu) {
    vcpu.state.note_life();
    sysreg::set_elr_el2(sysreg::elr_el2().wrapping_add(4));
    context::clear_pstate(inject::COMPLETED);
}

/// Steps past the instruction that trapped, which is done.
#[inline]
pub(crate) fn advance(vcpu: &Vcpu) {
    vcpu.state.note_life();
    let (pc, pstate) = (sysreg::elr_el2(), sysreg::spsr_el2());
    let (pc, pstate) = if inject::is_aarch32(pstate) {
        // ESR_EL2.IL.
        inject::advance_aarch32(pc, pstate, sysreg::esr_el2() & (1 << 25) == 0)
    } else {
        inject::advance(pc, pstate)
    };
    sysreg::set_elr_el2(pc);
    context::keep_pstate(pstate);
}

/// Goes back to the HVC that trapped.
pub(crate) fn back_to_call() {
    let (pc, pstate) = inject::back_to_call(sysreg::elr_el2(), sysreg::spsr_el2());
    sysreg::set_elr_el2(pc);
    context::keep_pstate(pstate);
}
