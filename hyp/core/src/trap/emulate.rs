//! Accesses to emulated devices, in the guest's registers.

use super::{Next, exception};
use crate::addr::Ipa;
use crate::bus::{Answer, Register};
use crate::cpu::{Cpu, Seen};
use crate::esr::{Access, Direction};
use crate::fault::{load_result, store_value};
use crate::inject;
use crate::ports::Ports;
use crate::vcpu::{El1, Vcpu};

/// Does `access` on `register`, which lies at `ipa`, and steps past the instruction; where another CPU has to
/// answer first the guest executes it once more.
#[inline]
pub(super) fn perform<P: Ports, C: Cpu>(
    vcpu: &mut Vcpu<'_, P>,
    cpu: C,
    esr: u64,
    ipa: Ipa,
    register: Register,
    access: Access,
) -> Next {
    let big_endian = inject::is_big_endian(cpu.pstate(), cpu.el1(El1::Sctlr));
    let rt = usize::from(access.register());
    let value = match access.direction() {
        Direction::Write => store_value(access, vcpu.frame.get(rt), big_endian),
        Direction::Read => 0,
    };
    if vcpu.is_traced {
        cpu.trace(vcpu, &Seen::Access { ipa, access, value });
    }
    let mut iface = cpu.interface();
    match (
        vcpu.vm.access(vcpu.index, register, access, value, &cpu, &mut iface),
        access.direction(),
    ) {
        (Answer::Done(raw), Direction::Read) => {
            vcpu.frame.set(rt, load_result(access, raw, big_endian));
        }
        (Answer::Done(_), Direction::Write) => {}
        (Answer::Again, _) => {
            cpu.give_way();
            return Next::Resume;
        }
    }
    exception::advance(vcpu, cpu, esr)
}
