//! What the ghost check says.

use core::sync::atomic::{AtomicBool, Ordering};

use ::ghost::{Difference, Tally};
use hyp_abi::exit::HYP_FAILED;

use crate::arch::{cpu, percpu, sysreg};
use crate::console;
use crate::exit::exit;
use crate::say::error;

/// Set by the first CPU that finds a difference; others then stop.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Says how much was done and compared.
pub(super) fn tell(tally: Tally, differences: usize) {
    let Tally { transitions, comparisons } = tally;
    console::announce(format_args!(
        "[postern] ghost: {transitions} transitions, {comparisons} comparisons, {differences} \
         differences"
    ));
}

/// Goes on only if the machine does what the model says.
pub(super) fn check(result: Result<(), Difference>, tally: Tally) {
    if let Err(difference) = result {
        stop(&difference, tally);
    }
}

/// The machine is not what the model says: the end.
pub(super) fn stop(difference: &Difference, tally: Tally) -> ! {
    if STOPPED.swap(true, Ordering::AcqRel) {
        cpu::park();
    }
    error!(
        "ghost: CPU {} at PC {:#x}: machine and model differ after: {}",
        percpu::index(),
        sysreg::elr_el2(),
        difference.after
    );
    for line in difference.shown() {
        error!("ghost:   {line}");
    }
    if difference.hidden() > 0 {
        error!("ghost:   and {} more", difference.hidden());
    }
    tell(tally, difference.lines.len());
    exit(HYP_FAILED)
}
