//! What guests did wrong: recorded on the trap path, printed where interrupts are served.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use hyp_abi::exit::BAD_INPUT;
use hyp_core::events::{Event, Reason};

use super::tracing;
use crate::arch::percpu;
use crate::drivers::gic;
use crate::exit::fail;
use crate::say::{info, warn};
use crate::vm::system::{self, Instance};
use crate::{console, trace};

/// Somebody wants to know more of each event than the console tells.
static WATCHED: AtomicBool = AtomicBool::new(false);
/// A run in which a guest broke a rule is to fail.
static DENY: AtomicBool = AtomicBool::new(false);

/// Does as the boot argument `deny` says. Once it is known what is traced.
#[inline(never)]
pub(crate) fn init(argument: Option<&str>) {
    match argument {
        None | Some("off") => {}
        Some("unguarded") => DENY.store(true, Ordering::Relaxed),
        Some(other) => {
            fail(BAD_INPUT, format_args!("postern.deny={other}: write unguarded or off"))
        }
    }
    WATCHED.store(DENY.load(Ordering::Relaxed) || trace::is_on(), Ordering::Relaxed);
}

#[cold]
#[inline(never)]
fn watched(instance: &Instance, event: &Event) {
    tracing::refused(event);
    if DENY.load(Ordering::Relaxed) && event.reason.breaks_a_rule() {
        instance.past.denied.fetch_add(1, Ordering::Relaxed);
    }
}

/// Records `event`: in the log if it is the first of its site, and for the trace and [`Past::denied`](system::Past::denied) if somebody
/// asked for those. The first one makes this CPU interrupt itself, so that its line is made after the trap
/// and not on its path.
pub(crate) fn record(event: Event) {
    let Some(instance) = system::nth(event.vm) else { return };
    if WATCHED.load(Ordering::Relaxed) {
        watched(instance, &event);
    }
    if instance.past.events.record(event) {
        gic::kick(percpu::index());
    }
}

/// Prints what waits of the VM.
#[inline]
pub(crate) fn drain(instance: &Instance) {
    if !instance.past.events.is_quiet() {
        print(instance);
    }
}

#[cold]
#[inline(never)]
fn print(instance: &Instance) {
    let mut printed = false;
    while let Some(event) = instance.past.events.pop() {
        info!("event: {event}{}", Memory(instance, event.reason));
        if event.reason == Reason::Unguarded {
            explain_guard(instance);
        }
        printed = true;
    }
    let lost = instance.past.events.take_lost();
    if lost > 0 {
        warn!("{lost} event(s) lost: the guest makes them faster than they are read");
        printed = true;
    }
    if printed {
        console::arm_timer();
    }
}

/// Where the VM has memory, if that is of use where an event has this reason.
struct Memory<'a>(&'a Instance, Reason);

impl fmt::Display for Memory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(instance, reason) = self;
        if !reason.is_about_memory() {
            return Ok(());
        }
        write!(f, " (memory:")?;
        let extents = &instance.description.memory;
        extents.iter().try_for_each(|extent| write!(f, " {extent}"))?;
        write!(f, ")")
    }
}

/// Tells what is behind an unguarded access of a protected VM that has not guarded anything yet: most
/// often a kernel that knows no guard. Once in a VM's life.
fn explain_guard(instance: &Instance) {
    let space = &instance.vm.space;
    let is_told = || instance.past.is_explained.swap(true, Ordering::Relaxed);
    if !space.is_protected() || space.has_guarded() || is_told() {
        return;
    }
    info!(
        "VM {} has guarded no page so far: a Linux without CONFIG_ARM_PKVM_GUEST does not, nor one that \
         uses a device too early (earlycon). Without the MMIO guard it can be a normal VM only: --normal, \
         or protected = false",
        instance.description.name
    );
}

/// Forgets what was printed: the VM starts over.
pub(crate) fn forget(instance: &Instance) {
    instance.past.events.forget_sites();
    instance.past.is_explained.store(false, Ordering::Relaxed);
}
