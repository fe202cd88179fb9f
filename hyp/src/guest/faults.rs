//! Stage-2 faults.

use hyp_core::addr::{Ipa, Va};
use hyp_core::esr::{DataAbort, Direction, FetchAbort};
use hyp_core::fault::{
    AddressSource, Fault, Verdict, address_source, ipa_from_hpfar, ipa_from_par, judge,
};
use hyp_core::guard::DeviceError;

use super::decode;
use super::emulate;
use super::inject::{advance, refuse};
use super::power;
use super::vcpu::Vcpu;
use crate::arch::{cpu, sysreg, tlb};

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
    let vm = vcpu.state.vm;
    match judge(vm, fault) {
        Verdict::Retry => {}
        Verdict::InvalidateTlb => tlb::invalidate_all_guests_local(),
        Verdict::Populate => {
            if let Err(error) = vm.space.populate(fault.ipa, cpu::is_interrupt_pending) {
                power::crash(
                    vcpu,
                    format_args!("memory at IPA {} cannot be backed: {error}", fault.ipa),
                );
            }
        }
        Verdict::MapDevice => match vm.space.map_device(fault.ipa) {
            // The VM enrolled meanwhile: the guest comes again and is refused.
            Ok(()) | Err(DeviceError::NotGuarded(_)) => {}
            Err(error) => power::crash(vcpu, format_args!("{error}")),
        },
        Verdict::Skip => advance(),
        Verdict::Abort { exception, reason } => refuse(vcpu, fault, exception, reason),
        Verdict::Emulate { device, access } => {
            if emulate::perform(vcpu, device, &access) {
                advance();
            }
        }
        Verdict::Decode => decode::undescribed(vcpu, fault),
    }
}
