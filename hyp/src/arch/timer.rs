//! EL2's own timer, CNTHP, and the counter.

use super::barrier::isb;
use super::sysreg;
use super::sysreg::fields::cnthp_ctl;

/// Ticks of the physical counter, which starts at 0 with the machine.
#[inline]
pub(crate) fn now() -> u64 {
    // The counter may be read early otherwise (Arm ARM, D12.1.2).
    isb();
    sysreg::cntpct_el0()
}

/// Ticks in a second.
pub(crate) fn frequency() -> u64 {
    sysreg::cntfrq_el0()
}

/// Lets the timer of this CPU fire never. It stays asserted until this or until it is set anew.
pub(crate) fn stop() {
    sysreg::set_cnthp_ctl_el2(0);
    isb();
}

/// Lets the timer of this CPU fire at `deadline` ticks, if it does not fire earlier anyway.
pub(crate) fn fire_by(deadline: u64) {
    let is_set = cnthp_ctl::ENABLE.is_set(sysreg::cnthp_ctl_el2());
    if is_set && sysreg::cnthp_cval_el2() <= deadline {
        return;
    }
    sysreg::set_cnthp_cval_el2(deadline);
    sysreg::set_cnthp_ctl_el2(cnthp_ctl::ENABLE::SET.value);
    isb();
}

/// Lets the timer of this CPU fire within a millisecond from now.
pub(crate) fn fire_soon() {
    fire_by(now().saturating_add(frequency() / 1000));
}
