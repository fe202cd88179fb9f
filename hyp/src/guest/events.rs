//! What guests did wrong: recorded on the trap path, printed where interrupts are served.

use hyp_core::events::{Event, EventLog};
use log::{info, warn};

use crate::arch::percpu;
use crate::console;
use crate::drivers::gic;

static EVENTS: EventLog = EventLog::new();

/// Records `event`. The first one of its site makes this CPU interrupt itself, so that the line is
/// made after the trap and not on its path.
pub(crate) fn record(event: Event) {
    if EVENTS.record(event) {
        gic::kick(percpu::index());
    }
}

/// Prints what waits.
#[inline]
pub(crate) fn drain() {
    if !EVENTS.is_quiet() {
        print();
    }
}

#[cold]
fn print() {
    let mut printed = false;
    while let Some(record) = EVENTS.pop() {
        if record.is_first() {
            info!("event: {}", record.event);
            printed = true;
        }
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

/// Forgets which sites were printed: the VM starts over.
pub(crate) fn forget() {
    EVENTS.forget_sites();
}

/// A vCPU's number as an event holds it; there are at most 8.
pub(crate) fn number(vcpu: usize) -> u8 {
    u8::try_from(vcpu).unwrap_or(u8::MAX)
}
