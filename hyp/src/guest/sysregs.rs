//! Applies the answers to trapped system registers.

use hyp_core::esr::{Direction, SysRegAccess};
use hyp_core::sysreg::Answer;
use hyp_core::vgic::SentTo;

use super::shell::Here;
use super::tracing;
use super::vcpu::Vcpu;
use crate::arch::{debug, ich, low_half, sysreg};
use crate::drivers::gic;
use crate::drivers::virtual_interface::VirtualInterface;

/// Does `access` if it reads an ID register. `false`, with nothing done, if not.
#[inline]
pub(crate) fn read_id(vcpu: &mut Vcpu, access: &SysRegAccess) -> bool {
    let value = vcpu.state.view.id_read(access);
    if let Some(value) = value {
        vcpu.frame.set(usize::from(access.rt), value);
    }
    value.is_some()
}

/// Sends the SGI of `value`, which the guest writes to ICC_SGI1R_EL1 of a GICv3, if it is for one
/// other vCPU.
#[inline(always)]
pub(crate) fn send_sgi(vcpu: &Vcpu, value: u64) -> SentTo {
    let sent = vcpu.state.vm.gic.sgi_to_one(vcpu.state.index, value);
    if let SentTo::Woken(target) = sent {
        gic::kick_v3(target);
    }
    sent
}

/// Does so if it is for the vCPU itself: [`SentTo::Itself`]. `false`, with nothing done, if more is to
/// do.
#[inline(always)]
pub(crate) fn send_to_self(vcpu: &Vcpu, value: u64) -> bool {
    vcpu.state.vm.gic.sgi_to_self(vcpu.state.index, value, &mut VirtualInterface::V3)
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
    let (vm, index) = (vcpu.state.vm, vcpu.state.index);
    let kicks = match answer {
        Answer::Value(value) => {
            vcpu.frame.set(register, value);
            return true;
        }
        Answer::Ignored => return true,
        Answer::Undefined => return false,
        Answer::Common(which) => {
            let common = ich::common();
            match access.direction {
                Direction::Read => vcpu.frame.set(register, common.read(which)),
                Direction::Write => {
                    sysreg::set_ich_vmcr_el2(common.written(which, vcpu.frame.get(register)));
                }
            }
            return true;
        }
        Answer::Debug(which) => {
            let state = &mut vcpu.state.debug;
            match access.direction {
                Direction::Read => vcpu.frame.set(register, state.read(which)),
                Direction::Write => {
                    state.write(which, vcpu.frame.get(register), &mut debug::Cpu);
                }
            }
            return true;
        }
        Answer::Sgi(which) => vm.gic.sgi(index, which, vcpu.frame.get(register), &mut iface),
        Answer::Deactivate => {
            let intid = low_half(vcpu.frame.get(register)) & 0xff_ffff;
            vm.gic.deactivate(index, intid, &mut iface)
        }
    };
    vm.pass_on(index, kicks, &Here, &mut iface);
    true
}
