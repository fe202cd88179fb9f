//! What guests did wrong: recorded on the trap path, printed where interrupts are served.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hyp_abi::exit::BAD_INPUT;
use hyp_core::events::{Event, EventLog, Reason};

use super::instance;
use super::tracing;
use crate::arch::{percpu, sysreg};
use crate::drivers::gic;
use crate::exit::fail;
use crate::say::{info, warn};
use crate::{console, trace};

static EVENTS: EventLog = EventLog::new();
/// See [`is_watched`].
static WATCHED: AtomicBool = AtomicBool::new(false);
/// A run in which a guest broke a rule is to fail.
static DENY: AtomicBool = AtomicBool::new(false);
/// [`explain_guard`] has said it.
static EXPLAINED: AtomicBool = AtomicBool::new(false);
/// How often guests broke a rule in such a run.
static VIOLATIONS: AtomicU64 = AtomicU64::new(0);

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

/// How often guests did what was to be denied.
pub(crate) fn denied() -> u64 {
    VIOLATIONS.load(Ordering::Relaxed)
}

#[cold]
#[inline(never)]
fn watched(event: &Event) {
    tracing::refused(event);
    if DENY.load(Ordering::Relaxed) && event.reason.breaks_a_rule() {
        VIOLATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

/// As [`record`], and for the trace and for [`denied`] if somebody asked for those. What does not come
/// here must not happen while [`is_watched`].
pub(crate) fn record_watched(event: Event) {
    if is_watched() {
        watched(&event);
    }
    record(event);
}

/// Whether somebody wants to know more of each event than the console tells.
pub(crate) fn is_watched() -> bool {
    WATCHED.load(Ordering::Relaxed)
}

/// Whether [`record`] has anything to do for an event of `reason` at the instruction that trapped.
#[inline(always)]
pub(crate) fn is_news(reason: Reason) -> bool {
    EVENTS.is_news(0, reason, sysreg::elr_el2())
}

/// Records `event`. The first one of its site makes this CPU interrupt itself, so that the line is
/// made after the trap and not on its path.
pub(crate) fn record(event: Event) {
    if EVENTS.record(event) {
        gic::kick(percpu::index());
    }
}

/// Prints what waits.
#[inline(always)]
pub(crate) fn drain() {
    if !is_quiet() {
        print();
    }
}

/// Whether [`drain`] has nothing to do.
#[inline(always)]
pub(crate) fn is_quiet() -> bool {
    EVENTS.is_quiet()
}

#[cold]
fn print() {
    let mut printed = false;
    while let Some(event) = EVENTS.pop() {
        info!("event: {event}{}", Memory(event.reason));
        if event.reason == Reason::Unguarded {
            explain_guard();
        }
        printed = true;
    }
    let lost = EVENTS.take_lost();
    if lost > 0 {
        warn!("{lost} event(s) lost: the guest makes them faster than they are read");
        printed = true;
    }
    if printed {
        console::arm_timer();
    }
}

/// Where the VM has memory, if that is of use where an event has this reason.
struct Memory(Reason);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(instance) = instance::get().filter(|_| self.0.is_about_memory()) else {
            return Ok(());
        };
        write!(f, " (memory:")?;
        let extents = &instance.description.memory;
        extents.iter().try_for_each(|extent| write!(f, " {extent}"))?;
        write!(f, ")")
    }
}

/// Tells what is behind an unguarded access of a protected VM that has not guarded anything yet: most
/// often a kernel that knows no guard. Once in a VM's life.
fn explain_guard() {
    let Some(instance) = instance::get() else { return };
    let space = &instance.vm.space;
    let is_told = || EXPLAINED.swap(true, Ordering::Relaxed);
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
pub(crate) fn forget() {
    EVENTS.forget_sites();
    EXPLAINED.store(false, Ordering::Relaxed);
}

/// A vCPU's number as an event holds it; there are at most 8.
pub(crate) fn number(vcpu: usize) -> u8 {
    u8::try_from(vcpu).unwrap_or(u8::MAX)
}
