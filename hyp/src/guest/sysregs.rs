//! Applies the answers to trapped system registers.

use hyp_core::esr::SysRegAccess;
use hyp_core::inject::Exception;
use hyp_core::sysreg::Answer;

use super::inject::{advance, inject};
use super::shell::Here;
use super::vcpu::Vcpu;
use crate::arch::low_half;
use crate::drivers::virtual_interface::VirtualInterface;

/// A trapped MRS, MSR or system instruction.
pub(crate) fn access(vcpu: &mut Vcpu, access: SysRegAccess) {
    let register = usize::from(access.rt);
    // What follows needs one only where the GIC is made of system registers.
    let mut iface = VirtualInterface::V3;
    match vcpu.state.view.answer(&access) {
        Answer::Value(value) => vcpu.frame.set(register, value),
        Answer::Ignored => {}
        Answer::Undefined => {
            log::trace!(
                "vcpu {}: {:?} is undefined, PC {:#x}",
                vcpu.state.index,
                access.register,
                crate::arch::sysreg::elr_el2()
            );
            inject(vcpu, Exception::Undefined);
            return;
        }
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
    advance();
}
