//! Faults of stage 2.

use super::{Next, crash, emulate, exception, undescribed};
use crate::addr::{Ipa, Va};
use crate::bus::Register;
use crate::cpu::{Cpu, Crash, FaultAddress, Seen};
use crate::esr::{self, DataAbort, Direction, FetchAbort};
use crate::fault::{
    AddressSource, Fault, Stage1, Verdict, address_source, ipa_from_hpfar, ipa_from_par, judge,
};
use crate::guard::DeviceError;
use crate::inject::{self, AbortCause, Exception, Rights};
use crate::memory::Populated;
use crate::ports::Ports;
use crate::vcpu::{El1, Vcpu};

/// Answers a data abort.
///
/// What guests do most is asked first: a load or store of a register that the guard lets them use, on which
/// [`judge`] would say the same. It needs a look at the bus and none at the tables.
#[inline(never)]
pub(super) fn data<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, esr: u64) -> Next {
    if let Some(access) = esr::described_translation_fault(esr)
        && !vcpu.home.erratum_834220
    {
        let at = cpu.fault_address();
        let ipa = ipa_from_hpfar(at.hpfar, at.far);
        if let Some((register, true)) = vcpu.vm.space.register(ipa)
            && ipa.is_aligned(access.width().bytes())
        {
            return emulate::perform(vcpu, cpu, esr, ipa, register, access);
        }
    }
    any(vcpu, cpu, esr)
}

/// Answers an abort of any kind.
#[inline(never)]
pub(super) fn any<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, esr: u64) -> Next {
    match fault(vcpu, cpu, esr) {
        Some(fault) => answer(vcpu, cpu, esr, &fault).0,
        None => Next::Resume,
    }
}

/// What stage 2 refused, for an abort whose syndrome is `esr`; `None` if the guest changed its tables meanwhile
/// and has to try again.
#[inline]
pub fn fault<P: Ports, C: Cpu>(vcpu: &Vcpu<'_, P>, cpu: C, esr: u64) -> Option<Fault> {
    let at = cpu.fault_address();
    let erratum = vcpu.home.erratum_834220;
    if esr::is_fetch(esr) {
        let abort = FetchAbort::from_iss(esr);
        let source = address_source(abort.cause, abort.on_walk, erratum);
        let va = address(&at, abort.address_unknown);
        let ipa = locate(cpu, &at, source, va, Direction::Read)?;
        return Some(Fault::from_fetch(&abort, va, ipa));
    }
    let abort = DataAbort::from_iss(esr);
    let source = address_source(abort.cause, abort.on_walk, erratum);
    let va = address(&at, abort.address_unknown);
    let ipa = locate(cpu, &at, source, va, abort.direction)?;
    Some(Fault::from_data(&abort, va, ipa))
}

/// FAR_EL2, or 0 where the hardware says that it holds nothing of use (`FnV`).
#[inline]
const fn address(at: &FaultAddress, is_unknown: bool) -> Va {
    Va(if is_unknown { 0 } else { at.far })
}

#[inline]
fn locate<C: Cpu>(
    cpu: C,
    at: &FaultAddress,
    source: AddressSource,
    va: Va,
    direction: Direction,
) -> Option<Ipa> {
    match source {
        AddressSource::Hpfar => Some(ipa_from_hpfar(at.hpfar, va.get())),
        AddressSource::Translate => {
            let par = cpu.translate(va, direction == Direction::Write, Rights::Kernel);
            ipa_from_par(par, va.get())
        }
        AddressSource::None => Some(Ipa(va.get())),
    }
}

/// Answers `fault`, whose syndrome is `esr`: what comes next, and what was decided.
#[inline]
pub fn answer<P: Ports, C: Cpu>(
    vcpu: &mut Vcpu<'_, P>,
    cpu: C,
    esr: u64,
    fault: &Fault,
) -> (Next, Verdict<Register>) {
    let verdict = judge(vcpu.vm, fault);
    let next = match verdict {
        Verdict::Retry => Next::Resume,
        Verdict::InvalidateTlb => {
            cpu.invalidate_tlb();
            Next::Resume
        }
        Verdict::Populate => populate(vcpu, cpu, fault),
        Verdict::MapDevice => map_device(vcpu, cpu, fault),
        Verdict::Skip => exception::advance(vcpu, cpu, esr),
        Verdict::Abort { exception, reason } => {
            let exception =
                if fault.is_on_walk() { on_walk(vcpu, cpu, fault, exception) } else { exception };
            exception::refuse(vcpu, cpu, fault, exception, reason)
        }
        Verdict::Emulate { device, access } => {
            emulate::perform(vcpu, cpu, esr, fault.ipa, device, access)
        }
        Verdict::Decode => undescribed::answer(vcpu, cpu, esr, fault),
    };
    (next, verdict)
}

/// Backs the page of `fault` with memory.
#[inline(never)]
fn populate<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, fault: &Fault) -> Next {
    match vcpu.vm.space.populate(fault.ipa, || cpu.is_interrupt_pending()) {
        Ok(Populated::Mapped) => {
            done(vcpu, cpu, &Seen::Populated(fault));
            Next::Resume
        }
        Ok(Populated::Busy | Populated::Interrupted) => Next::Resume,
        Err(error) => crash(vcpu, cpu, &Crash::Memory(fault.ipa, error)),
    }
}

/// Maps the page of the assigned device at `fault`.
#[inline(never)]
pub(super) fn map_device<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, fault: &Fault) -> Next {
    match vcpu.vm.space.map_device(fault.ipa) {
        // The VM enrolled meanwhile: the guest comes again and is refused.
        Err(DeviceError::NotGuarded) => Next::Resume,
        Ok(()) => {
            done(vcpu, cpu, &Seen::DeviceMapped(fault));
            Next::Resume
        }
        Err(error) => crash(vcpu, cpu, &Crash::Device(fault.ipa, error)),
    }
}

/// What the guest touched has been mapped.
fn done<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, seen: &Seen<'_>) {
    vcpu.note_life();
    if vcpu.is_traced {
        cpu.trace(vcpu, seen);
    }
}

/// `exception` with the level of the guest's table that lies at `fault`, where it still does.
#[cold]
fn on_walk<P: Ports, C: Cpu>(
    vcpu: &Vcpu<'_, P>,
    cpu: C,
    fault: &Fault,
    exception: Exception,
) -> Exception {
    let stage1 = Stage1 {
        tcr: cpu.el1(El1::Tcr),
        ttbr0: cpu.el1(El1::Ttbr0),
        ttbr1: cpu.el1(El1::Ttbr1),
        big_endian: inject::starts_big_endian(cpu.el1(El1::Sctlr)),
    };
    let level = stage1.level_of(fault.va, fault.ipa, |ipa| {
        let mut descriptor = [0; 8];
        vcpu.vm.space.read(ipa, &mut descriptor).ok()?;
        Some(descriptor)
    });
    level.map_or(exception, |level| exception.because(AbortCause::Walk { level }))
}
