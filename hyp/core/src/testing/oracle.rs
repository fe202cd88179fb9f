//! A stage-2 walker that knows nothing of this crate's.
//!
//! Written from the pseudocode of the Arm ARM (DDI 0487: `AArch64.S2Walk`, `AArch64.S2SLTTEntryAddress`,
//! `AArch64.S2InvalidSL`, `AArch64.S2InconsistentSL`, `DecodeDescriptorType`) in its own terms:
//! the root is one array, however many tables it is made of.

/// What a walk finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Translation {
    pub(crate) pa: u64,
    pub(crate) level: i32,
    pub(crate) memattr: u64,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) execute: bool,
    pub(crate) software: u64,
}

/// Why a walk ends without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A translation fault at this level, with the entry that was read.
    Translation { level: i32, entry: u64 },
    /// An access flag that is clear.
    AccessFlag,
    /// VTCR_EL2 or VTTBR_EL2 holds what the architecture does not allow.
    Programming(&'static str),
}

fn bits(value: u64, high: u32, low: u32) -> u64 {
    (value >> low) & ((1u64 << (high - low + 1)) - 1)
}

/// Translates `ipa` with the registers `vtcr` and `vttbr`; `read` loads eight bytes.
pub(crate) fn translate(
    vtcr: u64,
    vttbr: u64,
    ipa: u64,
    read: &dyn Fn(u64) -> u64,
) -> Result<Translation, Fault> {
    let wrong = |what| Err(Fault::Programming(what));
    if bits(vtcr, 31, 31) != 1 {
        return wrong("VTCR_EL2[31] is RES1");
    }
    if bits(vtcr, 15, 14) != 0 {
        return wrong("TG0 is not 4 KiB");
    }
    let pamax = match bits(vtcr, 18, 16) {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        5 => 48,
        _ => return wrong("PS"),
    };
    let iasize = 64 - i32::try_from(bits(vtcr, 5, 0)).unwrap();
    if !(25..=48).contains(&iasize) || iasize > pamax {
        return wrong("T0SZ");
    }
    let startlevel = match bits(vtcr, 7, 6) {
        0 => 2,
        1 => 1,
        2 if pamax >= 44 => 0,
        _ => return wrong("SL0"),
    };
    // AArch64.S2InconsistentSL
    let levels = 3 - startlevel;
    let least = levels * 9 + 12 + 1;
    if iasize < least || iasize > least + 8 + 4 {
        return wrong("SL0 and T0SZ do not go together");
    }
    if ipa >> iasize != 0 {
        return Err(Fault::Translation { level: 0, entry: 0 });
    }
    let mut base = bits(vttbr, 47, 1) << 1;
    let root_bits = iasize - (levels * 9 + 12) + 3;
    if base & ((1 << root_bits) - 1) != 0 {
        return wrong("the root is not aligned to its size");
    }
    let mut level = startlevel;
    let mut top = iasize - 1;
    loop {
        let bottom = (3 - level) * 9 + 12;
        let index = bits(ipa, top as u32, bottom as u32);
        let descriptor = read(base + index * 8);
        let fault = Err(Fault::Translation { level, entry: descriptor });
        match (descriptor & 3, level) {
            (3, 0..=2) => {
                base = descriptor & 0x0000_ffff_ffff_f000;
                top = bottom - 1;
                level += 1;
            }
            (1, 1 | 2) | (3, 3) => {
                if bits(descriptor, 10, 10) == 0 {
                    return Err(Fault::AccessFlag);
                }
                let offset = ipa & ((1 << bottom) - 1);
                let output = descriptor & 0x0000_ffff_ffff_f000;
                assert_eq!(output & ((1 << bottom) - 1), 0, "RES0 bits below a block's address");
                assert_eq!(bits(descriptor, 9, 8), 3, "inner shareable");
                return Ok(Translation {
                    pa: output | offset,
                    level,
                    memattr: bits(descriptor, 5, 2),
                    read: bits(descriptor, 6, 6) == 1,
                    write: bits(descriptor, 7, 7) == 1,
                    execute: bits(descriptor, 54, 53) == 0,
                    software: bits(descriptor, 58, 55),
                });
            }
            _ => return fault,
        }
    }
}
