//! How a run ends: the machine-readable last line of EL2's log and the codes in it.

/// EL2's last line is this word, a blank and a decimal code; then, if boot argument [`NONCE`] gave one, a blank
/// and that nonce. A guest can print such a line too, but does not know the nonce.
pub const EXIT_PREFIX: &str = "POSTERN-EXIT";
/// The boot argument `postern.<name>` with the nonce.
pub const NONCE: &str = "nonce";
/// Characters that a nonce has at most.
pub const LONGEST_NONCE: usize = 32;

/// Whether `text` can be a nonce: letters and digits of ASCII, 1 to [`LONGEST_NONCE`] of them.
#[must_use]
pub fn is_nonce(text: &str) -> bool {
    (1..=LONGEST_NONCE).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_one_short_word() {
        let longest = [b'f'; LONGEST_NONCE];
        for (text, expected) in [
            ("0", true),
            ("aZ09", true),
            (str::from_utf8(&longest).unwrap_or_default(), true),
            ("", false),
            ("a b", false),
            ("a\n", false),
            ("\u{e9}", false),
            ("012345678901234567890123456789012", false),
        ] {
            assert_eq!(is_nonce(text), expected, "{text:?}");
        }
    }
}
