//! What a physical SError means for the machine.

/// ESR_ELx.IDS: the rest of the syndrome is the implementation's own.
const IDS: u64 = 1 << 24;
/// ESR_ELx.DFSC, and its value for an SError that AET describes.
const STATUS: u64 = 0x3f;
const DESCRIBED: u64 = 0b01_0001;

/// Whether the error that `esr` tells of may have spread, so that nothing of the machine can be
/// relied on any more: AET says "uncontainable" (`FEAT_RAS`), or a value that has no meaning yet.
///
/// `esr` is ESR_EL2 of an SError, or DISR_EL1, whose syndrome lies in the same bits (Arm ARM, "ISS
/// encoding for an SError exception"). What is not described has happened in the guest as far as
/// anyone can tell.
#[must_use]
pub const fn is_uncontainable(esr: u64) -> bool {
    if esr & IDS != 0 || esr & STATUS != DESCRIBED {
        return false;
    }
    match esr >> 10 & 7 {
        // Unrecoverable, restartable, recoverable, corrected.
        0b001 | 0b010 | 0b011 | 0b110 => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arm ARM, ESR_EL2: EC 0x2f, IL; IDS is bit 24, AET 12:10, DFSC 5:0.
    const SERROR: u64 = 0x2f << 26 | 1 << 25;

    #[test]
    fn only_what_is_described_as_uncontainable_stops_the_machine() {
        let aet = |aet: u64| SERROR | aet << 10 | 0x11;
        let contained = [0b001, 0b010, 0b011, 0b110];
        for value in 0..8 {
            assert_eq!(is_uncontainable(aet(value)), !contained.contains(&value), "AET {value}");
        }
        // Uncategorized; AET means nothing with another status; the implementation's own.
        assert!(!is_uncontainable(SERROR));
        assert!(!is_uncontainable(SERROR | 0x10));
        assert!(!is_uncontainable(aet(0) | 1 << 24));
        // What Cortex-A53, A57 and A72 say of a bus error on a store.
        assert!(!is_uncontainable(0xbf00_0002));
        // DISR_EL1: A is bit 31.
        assert!(is_uncontainable(1 << 31 | 0x11));
    }
}
