//! Numbers that Postern and its guests must agree on.
//!
//! Function ids, return codes, register layouts and names in files that one side writes and the
//! other reads. No logic beyond taking a number apart.
#![no_std]
#![forbid(unsafe_code)]

pub mod bundle;
pub mod esr;
pub mod exit;
pub mod log;
pub mod psci;
pub mod smccc;
pub mod trace;
pub mod trng;
pub mod vendor;
pub mod vm_type;
pub mod vplatform;
