//! Exception syndromes that a guest is promised to the bit (Arm ARM, ESR_EL1; Linux,
//! `inject_abt64` in `arch/arm64/kvm/inject_fault.c`).

/// Synchronous external abort, data, taken from EL1: EC 0x25, IL 1, DFSC 0x10, all else 0.
pub const SEA_DATA_EL1: u64 = 0x9600_0010;
/// Synchronous external abort, data, taken from EL0.
pub const SEA_DATA_EL0: u64 = 0x9200_0010;
/// Synchronous external abort, instruction fetch, taken from EL1.
pub const SEA_FETCH_EL1: u64 = 0x8600_0010;
/// Synchronous external abort, instruction fetch, taken from EL0.
pub const SEA_FETCH_EL0: u64 = 0x8200_0010;
/// Unknown reason: EC 0, IL 1.
pub const UNDEFINED: u64 = 0x0200_0000;
