//! Power State Coordination Interface (DEN0022): function ids and return codes.

use crate::smccc::{FunctionId, owner};

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $form:ident($number:expr);)*) => {
        $($(#[$doc])* pub const $name: FunctionId = FunctionId::$form(owner::STANDARD, $number);)*
    };
}

functions! {
    /// `PSCI_VERSION`.
    VERSION = fast32(0x00);
    /// `CPU_SUSPEND`, 32-bit form.
    CPU_SUSPEND_32 = fast32(0x01);
    /// `CPU_SUSPEND`, 64-bit form.
    CPU_SUSPEND_64 = fast64(0x01);
    /// `CPU_OFF`.
    CPU_OFF = fast32(0x02);
    /// `CPU_ON`, 32-bit form.
    CPU_ON_32 = fast32(0x03);
    /// `CPU_ON`, 64-bit form.
    CPU_ON_64 = fast64(0x03);
    /// `AFFINITY_INFO`, 32-bit form.
    AFFINITY_INFO_32 = fast32(0x04);
    /// `AFFINITY_INFO`, 64-bit form.
    AFFINITY_INFO_64 = fast64(0x04);
    /// `MIGRATE`, 32-bit form.
    MIGRATE_32 = fast32(0x05);
    /// `MIGRATE`, 64-bit form.
    MIGRATE_64 = fast64(0x05);
    /// `MIGRATE_INFO_TYPE`.
    MIGRATE_INFO_TYPE = fast32(0x06);
    /// `MIGRATE_INFO_UP_CPU`, 32-bit form.
    MIGRATE_INFO_UP_CPU_32 = fast32(0x07);
    /// `MIGRATE_INFO_UP_CPU`, 64-bit form.
    MIGRATE_INFO_UP_CPU_64 = fast64(0x07);
    /// `SYSTEM_OFF`.
    SYSTEM_OFF = fast32(0x08);
    /// `SYSTEM_RESET`.
    SYSTEM_RESET = fast32(0x09);
    /// `PSCI_FEATURES`.
    FEATURES = fast32(0x0a);
    /// `SYSTEM_SUSPEND`, 32-bit form.
    SYSTEM_SUSPEND_32 = fast32(0x0e);
    /// `SYSTEM_SUSPEND`, 64-bit form.
    SYSTEM_SUSPEND_64 = fast64(0x0e);
    /// `SYSTEM_RESET2`, 32-bit form.
    SYSTEM_RESET2_32 = fast32(0x12);
    /// `SYSTEM_RESET2`, 64-bit form.
    SYSTEM_RESET2_64 = fast64(0x12);
    /// `MEM_PROTECT`.
    MEM_PROTECT = fast32(0x13);
    /// `SYSTEM_OFF2`, 32-bit form.
    SYSTEM_OFF2_32 = fast32(0x15);
    /// `SYSTEM_OFF2`, 64-bit form.
    SYSTEM_OFF2_64 = fast64(0x15);
}

/// PSCI 1.1, what Postern reports (major in 31:16, minor in 15:0).
pub const VERSION_1_1: u64 = 0x1_0001;
/// `MIGRATE_INFO_TYPE`: no trusted OS, or one that needs no migration.
pub const MIGRATE_NOT_REQUIRED: u64 = 2;

/// Return codes (DEN0022, 5.2.2).
pub mod status {
    /// The call succeeded.
    pub const SUCCESS: i64 = 0;
    /// The function is not there.
    pub const NOT_SUPPORTED: i64 = -1;
    /// An argument is out of range.
    pub const INVALID_PARAMETERS: i64 = -2;
    /// The call is refused in this state.
    pub const DENIED: i64 = -3;
    /// The CPU is on already.
    pub const ALREADY_ON: i64 = -4;
    /// A CPU_ON for this CPU is under way.
    pub const ON_PENDING: i64 = -5;
    /// The firmware failed.
    pub const INTERNAL_FAILURE: i64 = -6;
    /// There is no such trusted OS.
    pub const NOT_PRESENT: i64 = -7;
    /// The CPU is disabled.
    pub const DISABLED: i64 = -8;
    /// The entry point is not valid.
    pub const INVALID_ADDRESS: i64 = -9;
}

/// Answers of `AFFINITY_INFO`.
pub mod affinity {
    /// At least one CPU of the affinity instance is on.
    pub const ON: i64 = 0;
    /// All are off.
    pub const OFF: i64 = 1;
    /// None is on and at least one is about to be.
    pub const ON_PENDING: i64 = 2;
}

/// Bits of an MPIDR argument that hold affinity: Aff3 in 39:32, Aff2..Aff0 in 23:0.
pub const MPIDR_AFFINITY: u64 = 0xff_00ff_ffff;
