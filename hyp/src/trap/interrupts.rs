//! Physical interrupts, which all come to EL2.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use hyp_core::intid;
use hyp_core::trap::{Interrupt, serve};

use super::{CurrentCpu, Vcpu};
use crate::arch::{percpu, timer};
use crate::drivers::gic;
use crate::drivers::virtual_interface::VirtualInterface;
use crate::say::warn;
use crate::vm::system;
use crate::watch::{events, tracing};
use crate::{console, machine};

/// Number of the CPU that the console's interrupt comes to.
pub(crate) const CONSOLE_CPU: usize = 0;

/// Takes one interrupt of a guest that ran. If there are more, the guest comes back at once.
pub(crate) fn take(vcpu: &mut Vcpu) {
    if !take_one(vcpu) {
        injected!(was_spurious());
    }
}

/// Takes every interrupt that is pending on this CPU, whose vCPU is off.
pub(crate) fn take_all(vcpu: &mut Vcpu) {
    while take_one(vcpu) {}
}

/// Prints what the vCPU's VM did wrong.
#[inline]
fn drain(vcpu: &Vcpu) {
    if let Some(instance) = system::nth(vcpu.vm.number()) {
        events::drain(instance);
    }
}

/// Takes the most urgent interrupt. `false` if there was none.
#[inline]
fn take_one(vcpu: &mut Vcpu) -> bool {
    injected!(withdraw());
    let Some(claim) = gic::acknowledge() else { return false };
    gic::drop_priority(claim);
    if vcpu.is_traced {
        tracing::interrupt(claim.intid);
    }
    if let Some(timer) = gic::guest_timer(claim.intid) {
        // Stays active: the guest deactivates it through its list register.
        serve(vcpu, CurrentCpu, Interrupt::GuestTimer(timer));
        if gic::forgets_lines() {
            timer::fire_soon();
        }
    } else {
        match claim.intid {
            gic::KICK_SGI => {
                serve(vcpu, CurrentCpu, Interrupt::Kick);
                // Whoever records what is to be printed kicks its own CPU.
                drain(vcpu);
            }
            intid if intid == gic::hyp_timer_intid() => hyp_timer(vcpu),
            intid if intid == gic::maintenance_intid() => {
                serve(vcpu, CurrentCpu, Interrupt::Maintenance);
            }
            other => device_interrupt(vcpu, other),
        }
        gic::deactivate(claim);
    }
    injected!(was_served());
    true
}

/// EL2's own timer fired.
#[inline(never)]
fn hyp_timer(vcpu: &mut Vcpu) {
    timer::stop();
    injected!(serror_at_el2());
    console::timer_fired();
    if percpu::index() == CONSOLE_CPU && console::is_polled() {
        serve_console(vcpu);
        console::look_again();
    }
    serve(vcpu, CurrentCpu, Interrupt::HypTimer);
    if gic::forgets_lines() && gic::is_timer_active_here() {
        timer::fire_soon();
    }
    tracing::tell_counts();
    if let Some(esr) = injected!(serror(), None::<u64>).filter(|_| vcpu.vm.power.is_on(vcpu.index))
    {
        super::serror(vcpu, esr);
        timer::fire_soon();
    }
}

/// An interrupt that is neither the guest's timers' nor EL2's own: the console's, or one that
/// nobody asked for.
#[inline(never)]
fn device_interrupt(vcpu: &Vcpu, intid: u32) {
    if machine::facts().is_none_or(|facts| facts.console_intid != Some(intid)) {
        return disable_stray(intid, "is nobody's: disabled");
    }
    if serve_console(vcpu) {
        disable_stray(intid, "is the console's and stays up: disabled, looked after by timer");
        console::look_again();
    }
}

/// Serves the console: input goes to the vCPU's VM, and all VMs have their output fetched. Answers whether its
/// interrupt is to be disabled.
fn serve_console(vcpu: &Vcpu) -> bool {
    let mut iface = VirtualInterface::here();
    let is_stuck = console::serve(|receive| {
        for other in system::all().iter().filter(|other| !ptr::eq(&raw const other.vm, vcpu.vm)) {
            other.vm.serve_console(usize::MAX, &mut || None, &CurrentCpu, &mut iface);
        }
        vcpu.vm.serve_console(vcpu.index, receive, &CurrentCpu, &mut iface)
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
