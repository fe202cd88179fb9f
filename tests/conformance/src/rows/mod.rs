//! The rows, in the order in which they run.

mod cpu_view;
mod debug;
pub(crate) mod faults;
mod gic;
mod gic_common;
mod gic_smp;
mod guard;
mod psci;
pub(crate) mod reset;
mod sharing;
mod shim;
mod smccc;
mod stress;
mod timer;
mod trng;
mod uart;
mod undescribed;
mod walks;

use crate::config::Config;
use crate::tap::Row;

/// Every group. What a reset undoes is looked at first; the guard's group leaves GIC and console
/// guarded, which the groups behind it need.
pub(crate) fn all(config: &Config) -> [&'static [Row]; 19] {
    [
        reset::rows(config),
        smccc::ROWS,
        guard::ROWS,
        shim::ROWS,
        sharing::ROWS,
        psci::ROWS,
        trng::ROWS,
        cpu_view::ROWS,
        debug::ROWS,
        faults::ROWS,
        walks::ROWS,
        undescribed::ROWS,
        gic::ROWS,
        gic_common::ROWS,
        gic_smp::ROWS,
        timer::ROWS,
        if crate::uart::is_pl011() { uart::ROWS } else { &[] },
        if config.asks_input { uart::INPUT_ROWS } else { &[] },
        stress::ROWS,
    ]
}
