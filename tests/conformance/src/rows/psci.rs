//! Rows 104 to 119: power.

use hyp_abi::psci;

use crate::config::Kinds;
use crate::hyper::{NOT_SUPPORTED, call0};
use crate::tap::Row;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("R104", Kinds::ALL, "PSCI_VERSION is 1.1", |check, _| {
        check.eq("x0", call0(psci::VERSION, [0; 3]), psci::VERSION_1_1);
    }),
    Row::new("R118", Kinds::VM, "PSCI_FEATURES tells the truth", |check, _| {
        let features = |id: u32| call0(psci::FEATURES, [u64::from(id), 0, 0]);
        check.eq("SYSTEM_RESET2", features(psci::SYSTEM_RESET2_32.0), 0);
        check.eq("MEM_PROTECT", features(psci::MEM_PROTECT.0), NOT_SUPPORTED);
    }),
];
