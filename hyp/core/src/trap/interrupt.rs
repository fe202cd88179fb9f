//! Physical interrupts that are a vCPU's business.

use super::liveness;
use crate::cpu::Cpu;
use crate::ports::Ports;
use crate::vcpu::Vcpu;

/// A physical interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The guest's timer that has this number in the guest, 27 or 30.
    GuestTimer(u32),
    /// Another CPU's kick.
    Kick,
    /// The maintenance interrupt of the virtual CPU interface.
    Maintenance,
    /// EL2's own timer, which has been stopped.
    HypTimer,
}

/// Serves `interrupt`, which has been acknowledged and its priority dropped. A guest's timer stays
/// active: the guest deactivates it through its list register.
#[inline]
pub fn serve<P: Ports, C: Cpu>(vcpu: &mut Vcpu<'_, P>, cpu: C, interrupt: Interrupt) {
    let (vm, index) = (vcpu.vm, vcpu.index);
    let mut iface = cpu.interface();
    let kicks = match interrupt {
        Interrupt::GuestTimer(intid) => {
            // The next one comes only once the guest has served this one: a sign of life.
            vcpu.note_life();
            vm.gic.ppi_fired(index, intid, &mut iface)
        }
        Interrupt::Kick => vm.gic.sync(index, &mut iface),
        Interrupt::Maintenance => vm.gic.maintenance(index, &mut iface),
        Interrupt::HypTimer => {
            vm.console_timeout(index, &cpu, &mut iface);
            return liveness::timer_fired(vcpu, cpu);
        }
    };
    vm.pass_on(index, kicks, &cpu, &mut iface);
}
