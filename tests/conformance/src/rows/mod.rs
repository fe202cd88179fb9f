//! The rows, in the order in which they run.

mod faults;
mod psci;
mod smccc;

use crate::tap::Row;

/// Every group.
pub(crate) fn all() -> [&'static [Row]; 3] {
    [smccc::ROWS, psci::ROWS, faults::ROWS]
}
