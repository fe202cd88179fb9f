//! Accesses to the devices that EL2 emulates.

use hyp_core::esr::{Access, Direction, PlainAccess};
use hyp_core::fault::{load_result, store_value};
use hyp_core::inject;
use hyp_core::vm::{Device, Emulated};

use super::shell::Here;
use super::vcpu::{GuestVm, Vcpu};
use crate::arch::{cpu, sysreg};
use crate::drivers::virtual_interface::VirtualInterface;

/// Does `access` on `device`, if that takes nothing but the guest's
/// register: constants are read so, and stores of nothing. `false`, with nothing done, if not.
#[inline(always)]
pub(crate) fn perform_at_once(vcpu: &mut Vcpu, device: Device, access: PlainAccess) -> bool {
    let register = access.register();
    match access.direction() {
        Direction::Read => match vcpu.state.vm.constant(device, access.width()) {
            // All of the register: what is not loaded becomes zero.
            Some(value) => vcpu.frame.set(register, value),
            None => return false,
        },
        Direction::Write => {
            let value = vcpu.frame.get(register) & access.width().mask();
            if !GuestVm::is_idle_store(device, access.width(), value) {
                return false;
            }
        }
    }
    true
}

/// Does `access` on `device`; `false` where another CPU has to answer first and the guest has to
/// execute the instruction once more.
pub(crate) fn perform(vcpu: &mut Vcpu, device: Device, access: &Access) -> bool {
    let big_endian = inject::is_big_endian(sysreg::spsr_el2(), sysreg::sctlr_el1());
    let register = usize::from(access.register);
    let value = match access.direction {
        Direction::Write => store_value(access, vcpu.frame.get(register), big_endian),
        Direction::Read => 0,
    };
    let (vm, index) = (vcpu.state.vm, vcpu.state.index);
    match vm.emulate(index, device, access, value, &Here, &mut VirtualInterface::here()) {
        Emulated::Loaded(raw) => vcpu.frame.set(register, load_result(access, raw, big_endian)),
        Emulated::Stored => {}
        Emulated::Again => {
            cpu::yield_now();
            return false;
        }
    }
    true
}
