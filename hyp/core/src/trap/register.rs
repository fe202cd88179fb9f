//! Trapped MRS, MSR and system instructions.

use super::{Next, exception};
use crate::cpu::{Cpu, Seen};
use crate::esr::{Direction, SysRegAccess};
use crate::inject::Exception;
use crate::ports::Ports;
use crate::sysreg::Answer;
use crate::vcpu::Vcpu;

/// Does the access that trapped with the syndrome `esr`, or makes the guest take an undefined-instruction
/// exception for it.
#[inline]
pub(super) fn access<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, esr: u64) -> Next {
    let access = SysRegAccess::from_iss(esr);
    match vcpu.view.identification(&access) {
        Some(value) if !vcpu.is_traced => {
            vcpu.frame.set(usize::from(access.rt), value);
            exception::advance(vcpu, cpu, esr)
        }
        _ => other(vcpu, cpu, esr),
    }
}

/// Does an access of a traced vCPU, or to what is no ID register.
#[inline(never)]
fn other<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, esr: u64) -> Next {
    let access = SysRegAccess::from_iss(esr);
    let answer = vcpu.view.answer(&access);
    if vcpu.is_traced {
        cpu.trace(vcpu, &Seen::Register { is_sgi: matches!(answer, Answer::Sgi(_)) });
    }
    if answer == Answer::Undefined {
        return exception::inject(vcpu, cpu, Exception::Undefined);
    }
    act(vcpu, cpu, &access, answer);
    exception::advance(vcpu, cpu, esr)
}

/// Does `access`, to which the answer is `answer`.
#[inline]
fn act<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, access: &SysRegAccess, answer: Answer) {
    let register = usize::from(access.rt);
    let is_read = access.direction == Direction::Read;
    let value = vcpu.frame.get(register);
    match answer {
        Answer::Value(value) => vcpu.frame.set(register, value),
        Answer::Ignored | Answer::Undefined => {}
        Answer::Common(which) if is_read => {
            vcpu.frame.set(register, cpu.virtual_common().read(which));
        }
        Answer::Common(which) => {
            cpu.set_virtual_control(cpu.virtual_common().written(which, value));
        }
        Answer::Debug(which) if is_read => vcpu.frame.set(register, vcpu.debug.read(which)),
        Answer::Debug(which) => vcpu.debug.write(which, value, &mut { cpu }),
        Answer::Sgi(which) => {
            let mut iface = cpu.interface();
            let kicks = vcpu.vm.gic.sgi(vcpu.index, which, value, &mut iface);
            vcpu.vm.pass_on(vcpu.index, kicks, &cpu, &mut iface);
        }
        Answer::Deactivate => {
            let mut iface = cpu.interface();
            let intid = (value & 0xff_ffff) as u32;
            let kicks = vcpu.vm.gic.deactivate(vcpu.index, intid, &mut iface);
            vcpu.vm.pass_on(vcpu.index, kicks, &cpu, &mut iface);
        }
    }
}
