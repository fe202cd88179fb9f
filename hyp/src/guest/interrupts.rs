//! Physical interrupts, which all come to EL2.

use core::sync::atomic::{AtomicU64, Ordering};

use hyp_core::intid;
use hyp_core::vgic::{Arrival, Kicks};

use super::inject::serror;
use super::shell::Here;
use super::vcpu::Vcpu;
use super::{events, stuck, tracing};
use crate::arch::{percpu, timer};
use crate::drivers::gic;
use crate::drivers::virtual_interface::VirtualInterface;
use crate::say::warn;
use crate::{console, injection, machine};

/// Number of the CPU that the console's interrupt comes to.
pub(super) const CONSOLE_CPU: usize = 0;

/// How far [`take_at_once`] got.
pub(crate) enum Taken {
    /// It was the guest's own timer, and all is done.
    Timer,
    /// It was another CPU's kick, and all is done.
    Kick,
    /// There was none, or it was another CPU's kick: what is left is [`events::drain`].
    Events,
    /// This one of a GICv3 is acknowledged, its priority dropped: [`take_v3`] does the rest.
    V3(u32),
    /// Nothing is done: [`take_any`].
    Nothing,
}

/// Takes one interrupt of a guest that ran, if little is to do. If there are more, the guest comes
/// back at once.
#[inline(always)]
pub(crate) fn take_at_once(vcpu: &Vcpu) -> Taken {
    let (vm, index) = (vcpu.state.vm, vcpu.state.index);
    injection::withdraw();
    if !vcpu.state.short_interrupts {
        return Taken::Nothing;
    }
    let Some(intid) = gic::acknowledge_v3() else {
        injection::was_spurious();
        return Taken::Events;
    };
    gic::drop_priority_v3(intid);
    let what = if intid == gic::KICK_SGI {
        Arrival::Kick
    } else if let Some(timer) = gic::guest_timer(intid) {
        Arrival::Timer { intid: timer, physical: intid }
    } else {
        return Taken::V3(intid);
    };
    if !vm.gic.arrived(index, what, &mut VirtualInterface::V3) {
        return Taken::V3(intid);
    }
    if let Arrival::Timer { .. } = what {
        return Taken::Timer;
    }
    gic::deactivate_v3(gic::KICK_SGI);
    if events::is_quiet() { Taken::Kick } else { Taken::Events }
}

/// The rest of [`take_at_once`] for an interrupt of a GICv3.
#[inline]
pub(crate) fn take_v3(vcpu: &Vcpu, intid: u32) {
    handle(vcpu, gic::Claim::v3(intid));
    events::drain();
}

/// Takes one interrupt of a guest that ran, with whatever GIC there is.
pub(crate) fn take_any(vcpu: &Vcpu) {
    if let Some(claim) = gic::acknowledge() {
        gic::drop_priority(claim);
        handle(vcpu, claim);
    } else {
        injection::was_spurious();
    }
    events::drain();
}

/// Takes every interrupt that is pending on this CPU. Also while its vCPU is off.
pub(crate) fn serve(vcpu: &Vcpu) {
    loop {
        injection::withdraw();
        let Some(claim) = gic::acknowledge() else { break };
        gic::drop_priority(claim);
        handle(vcpu, claim);
    }
    events::drain();
}

/// Serves the interrupt `claim`, whose priority has been dropped.
fn handle(vcpu: &Vcpu, claim: gic::Claim) {
    if vcpu.state.is_traced {
        tracing::interrupt(claim.intid);
    }
    let (vm, index) = (vcpu.state.vm, vcpu.state.index);
    let mut iface = VirtualInterface::here();
    if let Some(timer) = gic::guest_timer(claim.intid) {
        // Stays active: the guest deactivates it through its list register, and only then comes the
        // next, which is therefore a sign of life.
        vcpu.state.note_life();
        let kicks = vm.gic.ppi_fired(index, timer, &mut iface);
        if gic::forgets_lines() {
            timer::fire_soon();
        }
        injection::was_served();
        return vm.pass_on(index, kicks, &Here, &mut iface);
    }
    let kicks = match claim.intid {
        gic::KICK_SGI => vm.gic.sync(index, &mut iface),
        intid if intid == gic::hyp_timer_intid() => {
            timer::stop();
            injection::serror_at_el2();
            console::timer_fired();
            vm.console_timeout(index, &Here, &mut iface);
            if index == CONSOLE_CPU && console::is_polled() {
                serve_console(vcpu);
                console::look_again();
            }
            stuck::timer_fired(vcpu);
            if gic::forgets_lines() && gic::is_timer_active_here() {
                timer::fire_soon();
            }
            tracing::tell_counts();
            if let Some(esr) = injection::serror().filter(|_| vm.power.is_on(index)) {
                serror(vcpu, esr);
                timer::fire_soon();
            }
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
    injection::was_served();
}

/// An interrupt that is neither the guest's timers' nor EL2's own: the console's, or one that
/// nobody asked for.
fn device_interrupt(vcpu: &Vcpu, intid: u32) {
    if machine::facts().is_none_or(|facts| facts.console_intid != Some(intid)) {
        return disable_stray(intid, "is nobody's: disabled");
    }
    if serve_console(vcpu) {
        disable_stray(intid, "is the console's and stays up: disabled, looked after by timer");
        console::look_again();
    }
}

/// Serves the console. Answers whether its interrupt is to be disabled.
fn serve_console(vcpu: &Vcpu) -> bool {
    let is_stuck = console::serve(|receive| {
        vcpu.state.vm.serve_console(vcpu.state.index, receive, &Here, &mut VirtualInterface::here())
    });
    console::arm_timer();
    is_stuck
}

/// How many interrupts came that nobody wants.
static STRAYS: AtomicU64 = AtomicU64::new(0);

/// Where its line stays high, the guest would get no further. LPIs may come again, where they cannot be
/// turned off: then not each is told.
#[cold]
#[inline(never)]
fn disable_stray(intid: u32, why: &str) {
    gic::disable(intid);
    let count = STRAYS.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if intid::has_active_state(intid) || count.is_power_of_two() {
        warn!(
            "CPU {}: interrupt {} {why} ({count} such so far)",
            percpu::index(),
            u64::from(intid)
        );
    }
}
