//! Physical interrupts, which all come to EL2.

use hyp_abi::vplatform::{PTIMER_INTID, VTIMER_INTID};
use hyp_core::vgic::Kicks;

use super::shell::Here;
use super::vcpu::Vcpu;
use super::{events, stuck};
use crate::arch::percpu;
use crate::drivers::gic;
use crate::drivers::virtual_interface::VirtualInterface;
use crate::{console, machine};

/// Private interrupts that each CPU takes beside the GIC's own.
pub(crate) const PPIS: [u32; 3] = [HYP_TIMER, VTIMER_INTID, PTIMER_INTID];

/// INTID of the EL2 physical timer: PPI 10.
const HYP_TIMER: u32 = 26;

/// Takes every interrupt that is pending on this CPU. Also while its vCPU is off.
pub(crate) fn serve(vcpu: &Vcpu) {
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
                console::timer_fired();
                stuck::look(vcpu);
                Kicks::NONE
            }
            intid if intid == gic::maintenance_intid() => vm.gic.maintenance(index, &mut iface),
            other => {
                device_interrupt(vcpu, other);
                Kicks::NONE
            }
        };
        vm.pass_on(index, kicks, &Here, &mut iface);
        gic::deactivate(claim);
    }
    events::drain();
}

/// An interrupt that is neither the guest's timers' nor EL2's own: the console's, or one that
/// nobody asked for.
fn device_interrupt(vcpu: &Vcpu, intid: u32) {
    if machine::facts().is_none_or(|facts| facts.console_intid != Some(intid)) {
        log::debug!("CPU {}: interrupt {intid} is nobody's", percpu::index());
        return;
    }
    console::interrupt(|receive| {
        vcpu.state.vm.serve_console(vcpu.state.index, receive, &Here, &mut VirtualInterface::here())
    });
    console::arm_timer();
}
