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

/// Lets the timer of this CPU fire at `deadline` ticks, or never. It stays asserted until it is
/// set anew.
pub(crate) fn set_deadline(deadline: Option<u64>) {
    match deadline {
        Some(at) => {
            sysreg::set_cnthp_cval_el2(at);
            sysreg::set_cnthp_ctl_el2(cnthp_ctl::ENABLE::SET.value);
        }
        None => sysreg::set_cnthp_ctl_el2(0),
    }
    isb();
}
