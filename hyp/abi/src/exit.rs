//! How a run ends: the machine-readable last line of EL2's log and the codes in it.

/// EL2's last line is this word, a blank and a decimal code.
pub const EXIT_PREFIX: &str = "POSTERN-EXIT";

/// The guest powered itself off.
pub const GUEST_OFF: u8 = 0;
/// The guest crashed or broke a rule that was to be denied.
pub const GUEST_FAILED: u8 = 1;
/// Bad input: bundle, device tree, boot argument.
pub const BAD_INPUT: u8 = 2;
/// The hypervisor itself failed.
pub const HYP_FAILED: u8 = 3;
/// The emulator was ended from outside, or the machine by its firmware, before EL2 came to its last
/// line; given by `xtask`, never by EL2.
pub const CUT_OFF: u8 = 4;
/// The time limit ran out; given by `xtask`, never by EL2.
pub const TIME_LIMIT: u8 = 124;
