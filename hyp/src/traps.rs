//! What a guest's traps lead to: read the syndrome, ask `hyp-core`, apply the answer.
//!
//! The vectors call these functions with interrupts masked and the guest's registers in the
//! vCPU's frame; returning resumes the guest.

use hyp_abi::vplatform::{PTIMER_INTID, VTIMER_INTID};
use hyp_core::addr::{Ipa, Va};
use hyp_core::calls::{self, Outcome};
use hyp_core::esr::{Access, Direction, Exit};
use hyp_core::events::{Event, Reason, Touch};
use hyp_core::fault::{
    AddressSource, Fault, Verdict, address_source, ipa_from_hpfar, ipa_from_par, judge,
    load_result, store_value,
};
use hyp_core::guard::DeviceError;
use hyp_core::inject::{self, Exception, GuestState};
use hyp_core::vm::{Caller, Device, Emulated, Stop};

use crate::arch::{context, cpu, stage2, sysreg, tlb};
use crate::drivers::gic;
use crate::drivers::virtual_interface::VirtualInterface;
use crate::events;
use crate::shell::Here;
use crate::vcpu::{self, Vcpu};

/// Private interrupts that each CPU takes beside the GIC's own.
pub(crate) const PPIS: [u32; 3] = [HYP_TIMER, VTIMER_INTID, PTIMER_INTID];
/// INTID of the EL2 physical timer: PPI 10.
const HYP_TIMER: u32 = 26;

/// HVC or SMC from AArch64. x19 to x28 are not in the frame.
pub(crate) extern "C" fn trap_call(vcpu: &'static mut Vcpu, esr: u64) {
    let services = Caller { vm: vcpu.state.vm, shell: &Here };
    let [x0, x1, x2, x3, ..] = vcpu.frame.x;
    let regs = [x0, x1, x2, x3];
    let imm = (esr & 0xffff) as u16;
    // Of HVC and SMC, the only classes that come here, SMC has bit 26 set.
    let is_smc = esr & (1 << 26) != 0;
    let outcome =
        if is_smc { calls::smc(&services, imm, regs) } else { calls::hvc(&services, imm, regs) };
    match outcome {
        Outcome::Done(results) => {
            set_results(vcpu, results);
            if is_smc {
                advance();
            }
        }
        other => unusual_outcome(vcpu, other, is_smc),
    }
}

#[inline]
fn set_results(vcpu: &mut Vcpu, results: [u64; 4]) {
    for (register, value) in vcpu.frame.x.iter_mut().zip(results) {
        *register = value;
    }
}

#[cold]
fn unusual_outcome(vcpu: &'static mut Vcpu, outcome: Outcome, is_smc: bool) {
    match outcome {
        Outcome::Done(_) => {}
        Outcome::Suspend => {
            set_results(vcpu, [0; 4]);
            if is_smc {
                advance();
            }
            vcpu::standby();
        }
        Outcome::CpuOff => vcpu::power_off(vcpu),
        Outcome::SystemOff => vcpu::stop(vcpu, Stop::Off),
        Outcome::SystemReset => vcpu::stop(vcpu, Stop::Reset),
        Outcome::Undefined => {
            vcpu::watch(vcpu, false);
            take(Exception::Undefined);
        }
        Outcome::Replay => {
            if !is_smc {
                // ELR_EL2 is behind the HVC; go back to it.
                sysreg::set_elr_el2(sysreg::elr_el2().wrapping_sub(4));
            }
        }
    }
}

/// Every other synchronous exception.
pub(crate) extern "C" fn trap_sync(vcpu: &'static mut Vcpu, esr: u64) {
    let vcpu = refuse_aarch32(vcpu);
    match Exit::from_esr(esr) {
        Exit::DataAbort(abort) => {
            let va = fault_va(abort.address_unknown);
            let source = address_source(abort.cause, abort.on_walk, vcpu.state.erratum_834220);
            if let Some(ipa) = fault_address(source, va, abort.direction) {
                fault(vcpu, &Fault::from_data(&abort, va, ipa));
            }
        }
        Exit::FetchAbort(abort) => {
            let va = fault_va(abort.address_unknown);
            let source = address_source(abort.cause, abort.on_walk, vcpu.state.erratum_834220);
            if let Some(ipa) = fault_address(source, va, Direction::Read) {
                fault(vcpu, &Fault::from_fetch(&abort, va, ipa));
            }
        }
        Exit::SystemRegister(access) => crate::sysregs::access(vcpu, access),
        Exit::Wait => {
            vcpu::standby();
            advance();
        }
        Exit::Hvc { .. } | Exit::Smc { .. } => trap_call(vcpu, esr),
        Exit::AArch32 { .. } | Exit::Unknown { .. } => inject(vcpu, Exception::Undefined),
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
                vcpu::crash(
                    vcpu,
                    format_args!("memory at IPA {} cannot be backed: {error}", fault.ipa),
                );
            }
        }
        Verdict::MapDevice => match vm.space.map_device(fault.ipa) {
            // The VM enrolled meanwhile: the guest comes again and is refused.
            Ok(()) | Err(DeviceError::NotGuarded(_)) => {}
            Err(error) => vcpu::crash(vcpu, format_args!("{error}")),
        },
        Verdict::Skip => advance(),
        Verdict::Abort { exception, reason } => refuse(vcpu, fault, exception, reason),
        Verdict::Emulate { device, access } => emulate(vcpu, device, &access),
        Verdict::Decode => crate::decode::undescribed(vcpu, fault),
    }
}

/// Makes the guest take `exception` for `fault` and records why.
pub(crate) fn refuse(vcpu: &Vcpu, fault: &Fault, exception: Exception, reason: Reason) {
    let bytes = match fault.kind {
        hyp_core::fault::Kind::Data { access: Some(access), .. } => {
            u8::try_from(access.width.bytes()).unwrap_or(0)
        }
        _ => 0,
    };
    events::record(Event {
        vm: 0,
        vcpu: events::number(vcpu.state.index),
        reason,
        touch: Touch::from(fault.kind),
        bytes,
        pc: sysreg::elr_el2(),
        va: fault.va,
        ipa: fault.ipa,
    });
    inject(vcpu, exception);
}

/// Does `access` on `device` and steps past the instruction.
pub(crate) fn emulate(vcpu: &mut Vcpu, device: Device, access: &Access) {
    let big_endian = inject::is_big_endian(sysreg::spsr_el2(), sysreg::sctlr_el1());
    let register = usize::from(access.register);
    let value = match access.direction {
        Direction::Write => store_value(access, vcpu.frame.get(register), big_endian),
        Direction::Read => 0,
    };
    let (vm, index) = (vcpu.state.vm, vcpu.state.index);
    match vm.emulate(index, device, access, value, &Here, &mut VirtualInterface::here()) {
        Emulated::Loaded(raw) => {
            vcpu.frame.set(register, load_result(access, raw, big_endian));
            advance();
        }
        Emulated::Stored => advance(),
        // The other CPU gets time to answer before the guest comes back.
        Emulated::Again => cpu::yield_now(),
    }
}

/// IRQ or FIQ. x19 to x28 are not in the frame.
pub(crate) extern "C" fn trap_irq(vcpu: &'static mut Vcpu) {
    let vcpu = refuse_aarch32(vcpu);
    serve_interrupts(vcpu);
    if vcpu.state.vm.life.stopping().is_some() {
        vcpu::leave(vcpu);
    }
}

/// Takes every interrupt that is pending on this CPU. Also while its vCPU is off.
pub(crate) fn serve_interrupts(vcpu: &Vcpu) {
    let (vm, index) = (vcpu.state.vm, vcpu.state.index);
    while let Some(claim) = gic::acknowledge() {
        gic::drop_priority(claim);
        let mut iface = VirtualInterface::here();
        let kicks = match claim.intid {
            // Stays active: the guest deactivates it through its list register.
            intid @ (VTIMER_INTID | PTIMER_INTID) => {
                let kicks = vm.gic.ppi_fired(index, intid, &mut iface);
                vm.pass_on(index, kicks, &Here, &mut iface);
                continue;
            }
            gic::KICK_SGI => vm.gic.sync(index, &mut iface),
            HYP_TIMER => {
                crate::console::timer_fired();
                vcpu::look(vcpu);
                hyp_core::vgic::Kicks::NONE
            }
            intid if intid == gic::maintenance_intid() => vm.gic.maintenance(index, &mut iface),
            other => {
                crate::shell::device_interrupt(vcpu, other);
                hyp_core::vgic::Kicks::NONE
            }
        };
        vm.pass_on(index, kicks, &Here, &mut iface);
        gic::deactivate(claim);
    }
    events::drain();
}

/// A physical SError that reached EL2 while the guest ran: the guest's own doing, as far as
/// anyone can tell, so it gets it as a virtual one (HCR_EL2.VSE).
pub(crate) extern "C" fn trap_serror(vcpu: &'static mut Vcpu, _esr: u64) {
    let vcpu = refuse_aarch32(vcpu);
    events::record(Event {
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

/// A protected vCPU in AArch32 state is stopped for good, with its VM.
#[inline]
fn refuse_aarch32(vcpu: &'static mut Vcpu) -> &'static mut Vcpu {
    if inject::is_aarch32(sysreg::spsr_el2()) && vcpu.state.vm.space.is_protected() {
        vcpu::crash(vcpu, format_args!("AArch32 state in a protected VM"));
    }
    vcpu
}

/// Makes the guest take `exception` at the instruction that trapped. Ends the VM if the vCPU has
/// done nothing else for a long time.
pub(crate) fn inject(vcpu: &Vcpu, exception: Exception) {
    vcpu::watch(vcpu, true);
    take(exception);
}

fn take(exception: Exception) {
    let guest = GuestState {
        pc: sysreg::elr_el2(),
        pstate: sysreg::spsr_el2(),
        vbar_el1: sysreg::vbar_el1(),
        sctlr_el1: sysreg::sctlr_el1(),
    };
    let new = inject::take(exception, &guest, crate::machine::pstate_features());
    sysreg::set_esr_el1(new.esr_el1);
    if let Some(far) = new.far_el1 {
        sysreg::set_far_el1(far);
    }
    sysreg::set_elr_el1(new.elr_el1);
    sysreg::set_spsr_el1(new.spsr_el1);
    sysreg::set_elr_el2(new.pc);
    context::set_pstate(new.pstate);
}

/// Steps past the instruction that trapped.
#[inline]
pub(crate) fn advance() {
    let (pc, pstate) = inject::advance(sysreg::elr_el2(), sysreg::spsr_el2());
    sysreg::set_elr_el2(pc);
    context::keep_pstate(pstate);
}
