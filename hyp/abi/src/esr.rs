//! Exception syndromes that a guest is promised to the bit (Arm ARM, ESR_EL1; Linux,
//! `inject_abt64` in `arch/arm64/kvm/inject_fault.c`).

/// Data abort taken from EL1: EC 0x25, IL 1, all else 0.
pub const DATA_EL1: u64 = 0x9600_0000;
/// Data abort taken from EL0.
pub const DATA_EL0: u64 = 0x9200_0000;
/// Instruction abort taken from EL1.
pub const FETCH_EL1: u64 = 0x8600_0000;
/// Instruction abort taken from EL0.
pub const FETCH_EL0: u64 = 0x8200_0000;

/// DFSC and IFSC: synchronous external abort, not on a table walk.
pub const FSC_EXTERNAL: u64 = 0x10;
/// DFSC and IFSC: synchronous external abort on the walk of a level-0 table; levels -1 to 3 are
/// added.
pub const FSC_EXTERNAL_ON_WALK: u64 = 0x14;
/// DFSC: unsupported exclusive or atomic access.
pub const FSC_UNSUPPORTED_ATOMIC: u64 = 0x35;

/// Synchronous external abort, data, taken from EL1.
pub const SEA_DATA_EL1: u64 = DATA_EL1 | FSC_EXTERNAL;
/// Synchronous external abort, data, taken from EL0.
pub const SEA_DATA_EL0: u64 = DATA_EL0 | FSC_EXTERNAL;
/// Synchronous external abort, instruction fetch, taken from EL1.
pub const SEA_FETCH_EL1: u64 = FETCH_EL1 | FSC_EXTERNAL;
/// Synchronous external abort, instruction fetch, taken from EL0.
pub const SEA_FETCH_EL0: u64 = FETCH_EL0 | FSC_EXTERNAL;
/// Unknown reason: EC 0, IL 1.
pub const UNDEFINED: u64 = 0x0200_0000;
