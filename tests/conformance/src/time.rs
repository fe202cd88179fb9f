//! Time limits, from the virtual counter.

use crate::arch::sysreg;

/// Ticks in `milliseconds`.
pub(crate) fn ticks(milliseconds: u64) -> u64 {
    sysreg::cntfrq_el0().max(1).saturating_mul(milliseconds) / 1000
}

/// Polls `condition` for at most `milliseconds`; whether it came true.
#[must_use]
pub(crate) fn wait_until(milliseconds: u64, mut condition: impl FnMut() -> bool) -> bool {
    let start = sysreg::cntvct();
    let limit = ticks(milliseconds);
    loop {
        if condition() {
            return true;
        }
        if sysreg::cntvct().wrapping_sub(start) > limit {
            return condition();
        }
        core::hint::spin_loop();
    }
}

/// Lets `milliseconds` pass.
pub(crate) fn sleep(milliseconds: u64) {
    let _ = wait_until(milliseconds, || false);
}

/// Lets `microseconds` pass.
pub(crate) fn pause(microseconds: u64) {
    let start = sysreg::cntvct();
    let limit = ticks(microseconds) / 1000;
    while sysreg::cntvct().wrapping_sub(start) < limit {
        core::hint::spin_loop();
    }
}
