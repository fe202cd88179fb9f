//! Calls: what a return address stands behind.

/// Whether `word` is a BL or a BLR, with pointer authentication or without (Arm ARM, C6.2 "BL", "BLR",
/// "BLRAA, BLRAAZ, BLRAB, BLRABZ").
#[must_use]
pub const fn is_call(word: u32) -> bool {
    word >> 26 == 0x25
        || word & 0xffff_fc1f == 0xd63f_0000
        || word & 0xffff_f81f == 0xd63f_081f
        || word & 0xffff_f800 == 0xd73f_0800
}

#[cfg(test)]
mod tests {
    use super::is_call;

    /// Words as an assembler makes them.
    #[test]
    fn calls_are_told_from_other_branches() {
        for (word, expected, text) in [
            (0x9400_0001, true, "bl .+4"),
            (0x97ff_ffff, true, "bl .-4"),
            (0xd63f_0000, true, "blr x0"),
            (0xd63f_03c0, true, "blr x30"),
            (0xd63f_083f, true, "blraaz x1"),
            (0xd63f_0c3f, true, "blrabz x1"),
            (0xd73f_0822, true, "blraa x1, x2"),
            (0xd73f_0c3f, true, "blrab x1, sp"),
            (0x1400_0001, false, "b .+4"),
            (0xd61f_0000, false, "br x0"),
            (0xd71f_0822, false, "braa x1, x2"),
            (0xd65f_03c0, false, "ret"),
            (0xd400_0002, false, "hvc #0"),
            (0x5400_0020, false, "b.eq .+4"),
            (0, false, "udf #0"),
            (u32::MAX, false, "nothing"),
        ] {
            assert_eq!(is_call(word), expected, "{text}");
        }
    }
}
