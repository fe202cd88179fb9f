//! Stage-2 faults.

use hyp_core::addr::{Ipa, Va};
use hyp_core::bus::Register;
use hyp_core::esr::{DataAbort, Direction, FetchAbort, PlainAccess};
use hyp_core::fault::{
    AddressSource, Fault, Stage1, Verdict, address_source, ipa_from_hpfar, ipa_from_par, judge,
};
use hyp_core::guard::DeviceError;
use hyp_core::inject::{self, AbortCause, Exception};
use hyp_core::memory::Populated;

use super::decode;
use super::emulate;
use super::ghost;
use super::inject::{advance, refuse, refuse_unguarded};
use super::power;
use super::stuck;
use super::tracing;
use super::vcpu::Vcpu;
use crate::arch::{cpu, sysreg, tlb};

/// What the vectors do after a handler of the medium lane.
#[repr(u64)]
pub(crate) enum Lane {
    /// Return to the guest.
    Done = 0,
    /// Save the rest of the registers and call [`super::traps::trap_sync`].
    Long = 1,
}

/// A data abort whose syndrome describes the access: the one road that guests
/// take often. [`Lane::Long`], with nothing done, where [`data_abort`] has to decide.
#[inline(always)]
pub(crate) fn described(vcpu: &mut Vcpu, esr: u64) -> Lane {
    let Some(access) = PlainAccess::from_iss(esr) else { return Lane::Long };
    let pstate = sysreg::spsr_el2();
    if vcpu.state.long_road
        || inject::is_aarch32(pstate)
        || inject::is_big_endian(pstate, sysreg::sctlr_el1())
    {
        return Lane::Long;
    }
    let ipa = ipa_from_hpfar(sysreg::hpfar_el2(), sysreg::far_el2());
    if !ipa.is_aligned(access.width().bytes()) {
        return Lane::Long;
    }
    ghost::described(vcpu, ipa, access);
    // What is not done at once is the last thing that is called: so no register is saved for it.
    let Some(register) = vcpu.state.vm.space.open_register(ipa, access.width()) else {
        return refuse_at_once(vcpu, ipa, access);
    };
    ghost::reaches(vcpu);
    emulate::perform_plain(vcpu, register, access);
    Lane::Done
}

/// Makes the guest take the abort of an unguarded access, if `access`, which lies in one page, at
/// `ipa`, is one and nothing else needs a look.
#[inline(never)]
fn refuse_at_once(vcpu: &Vcpu, ipa: Ipa, access: PlainAccess) -> Lane {
    if !vcpu.state.vm.space.is_plainly_unguarded(ipa) || !stuck::is_fresh(vcpu) {
        return Lane::Long;
    }
    refuse_unguarded(vcpu, ipa, access);
    ghost::refused(vcpu);
    Lane::Done
}

/// A load, store or cache maintenance instruction faulted.
pub(crate) fn data_abort(vcpu: &'static mut Vcpu, abort: &DataAbort) {
    let va = fault_va(abort.address_unknown);
    let source = address_source(abort.cause, abort.on_walk, vcpu.state.erratum_834220);
    if let Some(ipa) = fault_address(source, va, abort.direction) {
        fault(vcpu, &Fault::from_data(abort, va, ipa));
    }
}

/// An instruction fetch faulted.
pub(crate) fn fetch_abort(vcpu: &'static mut Vcpu, abort: &FetchAbort) {
    let va = fault_va(abort.address_unknown);
    let source = address_source(abort.cause, abort.on_walk, vcpu.state.erratum_834220);
    if let Some(ipa) = fault_address(source, va, Direction::Read) {
        fault(vcpu, &Fault::from_fetch(abort, va, ipa));
    }
}

/// FAR_EL2, or 0 where the hardware says that it holds nothing of use (`FnV`).
#[inline]
fn fault_va(is_unknown: bool) -> Va {
    Va(if is_unknown { 0 } else { sysreg::far_el2() })
}

/// Where the fault is; `None` if the guest changed its tables meanwhile and has to try again.
#[inline]
fn fault_address(source: AddressSource, va: Va, direction: Direction) -> Option<Ipa> {
    match source {
        AddressSource::Hpfar => Some(ipa_from_hpfar(sysreg::hpfar_el2(), va.get())),
        AddressSource::Translate => {
            let par = cpu::translate_el1(va.get(), direction == Direction::Write);
            ipa_from_par(par, va.get())
        }
        AddressSource::None => Some(Ipa(va.get())),
    }
}

fn fault(vcpu: &'static mut Vcpu, fault: &Fault) {
    let (vm, index) = (vcpu.state.vm, vcpu.state.index);
    match ghost::fault(vcpu, fault, || judge(vm, fault)) {
        Verdict::Retry => {}
        Verdict::InvalidateTlb => tlb::invalidate_all_guests_local(),
        Verdict::Populate => match vm.space.populate(fault.ipa, cpu::is_interrupt_pending) {
            Ok(Populated::Mapped) => {
                vcpu.state.note_life();
                tracing::populated(fault);
            }
            Ok(Populated::Busy | Populated::Interrupted) => {}
            Err(error) => power::crash(
                vcpu,
                format_args!("memory at IPA {} cannot be backed: {error}", fault.ipa),
            ),
        },
        Verdict::MapDevice => match vm.space.map_device(fault.ipa) {
            // The VM enrolled meanwhile: the guest comes again and is refused.
            Err(DeviceError::NotGuarded) => {}
            Ok(()) => {
                vcpu.state.note_life();
                tracing::device_mapped(fault);
            }
            Err(error) => power::crash(
                vcpu,
                format_args!("the device at IPA {} cannot be mapped: {error}", fault.ipa),
            ),
        },
        Verdict::Skip => advance(vcpu),
        Verdict::Abort { exception, reason } if fault.is_on_walk() => {
            refuse(vcpu, fault, on_walk(vcpu, fault, exception), reason);
        }
        Verdict::Abort { exception, reason } => refuse(vcpu, fault, exception, reason),
        Verdict::Emulate { device, access } => {
            tracing::access(vcpu, fault.ipa, &access);
            emulate::perform(vcpu, device, access);
        }
        Verdict::Decode => decode::undescribed(vcpu, fault),
    }
    ghost::done(index);
}

/// `exception` with the level of the guest's table that lies at `fault`, where it still does.
#[cold]
fn on_walk(vcpu: &Vcpu, fault: &Fault, exception: Exception) -> Exception {
    let stage1 = Stage1 {
        tcr: sysreg::tcr_el1(),
        ttbr0: sysreg::ttbr0_el1(),
        ttbr1: sysreg::ttbr1_el1(),
        big_endian: inject::starts_big_endian(sysreg::sctlr_el1()),
    };
    let level = stage1.level_of(fault.va, fault.ipa, |ipa| {
        let mut descriptor = [0; 8];
        vcpu.state.vm.space.read(ipa, &mut descriptor).ok()?;
        Some(descriptor)
    });
    level.map_or(exception, |level| exception.because(AbortCause::Walk { level }))
}
