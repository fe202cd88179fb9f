//! Applies the answers to trapped system registers.

use hyp_core::esr::SysRegAccess;
use hyp_core::sysreg::Answer;

use super::shell::Here;
use super::tracing;
use super::vcpu::Vcpu;
use crate::arch::low_half;
use crate::drivers::gic;
use crate::drivers::virtual_interface::VirtualInterface;

/// Does `access` if that takes nothing but the guest's register: an ID register is read, or the
/// vCPU sends an SGI to one vCPU. `false`, with nothing done, if not.
#[inline]
pub(crate) fn access_at_once(vcpu: &mut Vcpu, access: &SysRegAccess) -> bool {
    let register = usize::from(access.rt);
    if let Some(value) = vcpu.state.view.id_read(access) {
        vcpu.frame.set(register, value);
        return true;
    }
    // One that is to be counted goes the long way.
    if !vcpu.state.view.is_sgi1(access) || vcpu.state.is_traced {
        return false;
    }
    let (vm, index, value) = (vcpu.state.vm, vcpu.state.index, vcpu.frame.get(register));
    if vm.gic.sgi_to_self(index, value, &mut VirtualInterface::V3) {
        return true;
    }
    let Some(kicks) = vm.gic.sgi_to_one(index, value) else { return false };
    kicks.iter().for_each(gic::kick_v3);
    true
}

/// A trapped MRS, MSR or system instruction. `false`, with nothing done, if it is
/// undefined.
pub(crate) fn access(vcpu: &mut Vcpu, access: SysRegAccess) -> bool {
    let register = usize::from(access.rt);
    // What follows needs one only where the GIC is made of system registers.
    let mut iface = VirtualInterface::V3;
    let answer = vcpu.state.view.answer(&access);
    if vcpu.state.is_traced {
        tracing::register(matches!(answer, Answer::Sgi(_)));
    }
    match answer {
        Answer::Value(value) => vcpu.frame.set(register, value),
        Answer::Ignored => {}
        Answer::Undefined => return false,
        Answer::Sgi(which) => {
            let value = vcpu.frame.get(register);
            let (vm, index) = (vcpu.state.vm, vcpu.state.index);
            let kicks = vm.gic.sgi(index, which, value, &mut iface);
            vm.pass_on(index, kicks, &Here, &mut iface);
        }
        Answer::Deactivate => {
            let intid = low_half(vcpu.frame.get(register)) & 0xff_ffff;
            let (vm, index) = (vcpu.state.vm, vcpu.state.index);
            let kicks = vm.gic.deactivate(index, intid, &mut iface);
            vm.pass_on(index, kicks, &Here, &mut iface);
        }
    }
    true
}
