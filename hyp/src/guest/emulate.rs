//! Accesses to the devices that EL2 emulates.

use hyp_core::bus::{Answer, Register};
use hyp_core::esr::{Access, Direction, PlainAccess};
use hyp_core::fault::{load_result, store_value};
use hyp_core::inject;

use super::inject::{advance, advance_aarch64};
use super::shell::Here;
use super::vcpu::Vcpu;
use crate::arch::{cpu, sysreg};
use crate::drivers::virtual_interface::VirtualInterface;

/// Does `access` on `register` and steps past the instruction. Where another CPU has to answer first,
/// the guest executes it once more.
pub(crate) fn perform(vcpu: &mut Vcpu, register: Register, access: Access) {
    let big_endian = inject::is_big_endian(sysreg::spsr_el2(), sysreg::sctlr_el1());
    let operand = usize::from(access.register);
    let value = store_value(&access, vcpu.frame.get(operand), big_endian);
    let Some(loaded) = ask(vcpu, register, access, value) else { return };
    if access.direction == Direction::Read {
        vcpu.frame.set(operand, load_result(&access, loaded, big_endian));
    }
    advance(vcpu);
}

/// The same for one in AArch64 state that moves a value as it is.
#[inline(always)]
pub(crate) fn perform_plain(vcpu: &mut Vcpu, register: Register, access: PlainAccess) {
    let operand = access.register();
    let value = match access.direction() {
        Direction::Write => vcpu.frame.get(operand) & access.width().mask(),
        Direction::Read => 0,
    };
    let Some(loaded) = ask(vcpu, register, access.access(), value) else { return };
    if access.direction() == Direction::Read {
        vcpu.frame.set(operand, loaded);
    }
    advance_aarch64(vcpu);
}

#[inline(always)]
fn ask(vcpu: &Vcpu, register: Register, access: Access, value: u64) -> Option<u64> {
    let (vm, index) = (vcpu.state.vm, vcpu.state.index);
    match vm.access(index, register, access, value, &Here, &mut VirtualInterface::here()) {
        Answer::Done(loaded) => Some(loaded),
        Answer::Again => {
            cpu::yield_now();
            None
        }
    }
}
