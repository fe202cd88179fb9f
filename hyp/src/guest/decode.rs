//! Loads and stores without a syndrome in a normal VM: the instruction is read and decoded.

use hyp_core::esr::Access;
use hyp_core::events::Reason;
use hyp_core::fault::{Fault, Kind, Verdict, ipa_from_par, judge_decoded};
use hyp_core::inject::{self, Exception};
use hyp_core::insn::{self, REGISTER_31};
use hyp_core::vm::Device;

use super::emulate;
use super::inject::{advance, refuse};
use super::vcpu::Vcpu;
use crate::arch::{cpu, sysreg};

/// SPSR_EL2.M of EL1 on its own stack pointer.
const EL1H: u64 = 0b0_0101;

/// The access behind `fault` was not described by the hardware. Emulates it if the instruction is
/// one that can be, else the guest takes an external abort.
pub(crate) fn undescribed(vcpu: &mut Vcpu, fault: &Fault) {
    if inject::is_aarch32(sysreg::spsr_el2()) {
        return no_syndrome(vcpu, fault);
    }
    let Some(instruction) = read_instruction(vcpu).and_then(insn::decode) else {
        return no_syndrome(vcpu, fault);
    };
    let base = base_register(vcpu, instruction.base);
    // Otherwise the fault is that of the second access, or the code changed meanwhile: from a load
    // to a store, it would get around the guest's own permissions.
    if instruction.address(base) != fault.va.get() || !is_direction(fault, &instruction.first) {
        return no_syndrome(vcpu, fault);
    }
    // Both are judged before either is done. A pair across two pages may lie anywhere in the
    // second one's place, so it is left alone.
    let Some(first) = admit(vcpu, fault, instruction.first) else { return };
    let second = match instruction.second {
        None => None,
        Some(access) => match fault.behind(instruction.first.width.bytes()) {
            Some(behind) if behind.ipa.page() == fault.ipa.page() => {
                match admit(vcpu, &behind, access) {
                    Some(device) => Some((device, access)),
                    None => return,
                }
            }
            _ => return no_syndrome(vcpu, fault),
        },
    };
    if !emulate::perform(vcpu, first, &instruction.first) {
        return;
    }
    if let Some((device, access)) = second
        && !emulate::perform(vcpu, device, &access)
    {
        return;
    }
    if let Some(value) = instruction.written_back(base) {
        set_base_register(vcpu, instruction.base, value);
    }
    advance();
}

/// Whether `access` goes the way that faulted.
fn is_direction(fault: &Fault, access: &Access) -> bool {
    matches!(fault.kind, Kind::Data { direction, .. } if direction == access.direction)
}

fn no_syndrome(vcpu: &Vcpu, fault: &Fault) {
    refuse(vcpu, fault, Exception::DataAbort { address: fault.va }, Reason::NoSyndrome);
}

/// The device that `access` goes to, or `None` after the guest was made to take an abort.
fn admit(vcpu: &Vcpu, fault: &Fault, access: Access) -> Option<Device> {
    match judge_decoded(vcpu.state.vm, fault, access) {
        Verdict::Emulate { device, .. } => Some(device),
        Verdict::Abort { exception, reason } => {
            refuse(vcpu, fault, exception, reason);
            None
        }
        _ => {
            no_syndrome(vcpu, fault);
            None
        }
    }
}

/// The instruction at the guest's PC; `None` where its page went away meanwhile.
fn read_instruction(vcpu: &Vcpu) -> Option<u32> {
    let pc = sysreg::elr_el2();
    let ipa = ipa_from_par(cpu::translate_el1(pc, false), pc)?;
    let mut bytes = [0; 4];
    vcpu.state.vm.space.read(ipa, &mut bytes).ok()?;
    Some(u32::from_le_bytes(bytes))
}

fn base_register(vcpu: &Vcpu, register: u8) -> u64 {
    match register {
        REGISTER_31 if sysreg::spsr_el2() & 0x1f == EL1H => sysreg::sp_el1(),
        REGISTER_31 => sysreg::sp_el0(),
        other => vcpu.frame.get(usize::from(other)),
    }
}

fn set_base_register(vcpu: &mut Vcpu, register: u8, value: u64) {
    match register {
        REGISTER_31 if sysreg::spsr_el2() & 0x1f == EL1H => sysreg::set_sp_el1(value),
        REGISTER_31 => sysreg::set_sp_el0(value),
        other => vcpu.frame.set(usize::from(other), value),
    }
}
