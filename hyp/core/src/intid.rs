//! Numbers of the machine's interrupts (IHI 0069, 2.2 "INTIDs").

/// First shared peripheral interrupt.
const FIRST_SPI: u32 = 32;
/// First of the numbers that are no interrupts: spurious and special.
const FIRST_SPECIAL: u32 = 1020;
/// The last of those.
const LAST_SPECIAL: u32 = 1023;
/// Extended PPIs (`GICR_TYPER.PPInum`).
const FIRST_EXTENDED_PPI: u32 = 1056;
const LAST_EXTENDED_PPI: u32 = 1119;
/// Extended SPIs (`GICD_TYPER.ESPI`).
const FIRST_EXTENDED_SPI: u32 = 4096;
const LAST_EXTENDED_SPI: u32 = 5119;
/// First locality-specific interrupt: a message, which is never active.
const FIRST_LPI: u32 = 8192;

/// Whether a CPU interface that answers with `intid` has acknowledged an interrupt. Then its priority
/// is active, whatever it is, and nothing as urgent comes until that is dropped.
#[inline]
#[must_use]
pub const fn is_acknowledged(intid: u32) -> bool {
    !matches!(intid, FIRST_SPECIAL..=LAST_SPECIAL)
}

/// Whether an acknowledged interrupt is active until it is deactivated: all but LPIs are (IHI 0069,
/// 4.1.2).
#[inline]
#[must_use]
pub const fn has_active_state(intid: u32) -> bool {
    intid < FIRST_LPI
}

/// Where an interrupt is enabled and disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `GICR_ICENABLER0` and, from 1 on, `GICR_ICENABLER<n>E` of its CPU.
    Redistributor(usize),
    /// `GICD_ICENABLER<n>`.
    Distributor(usize),
    /// `GICD_ICENABLER<n>E`.
    Extended(usize),
    /// A table in memory that somebody else has made; `GICR_CTLR` has one switch for all LPIs of a CPU.
    Memory,
}

impl Place {
    /// That of `intid`; `None` for numbers that no interrupt has.
    #[must_use]
    pub fn of(intid: u32) -> Option<Self> {
        let word = |first: u32| intid.checked_sub(first).map_or(0, |n| (n >> 5) as usize);
        Some(match intid {
            0..FIRST_SPI => Self::Redistributor(0),
            FIRST_SPI..FIRST_SPECIAL => Self::Distributor(word(0)),
            FIRST_EXTENDED_PPI..=LAST_EXTENDED_PPI => {
                Self::Redistributor(word(FIRST_EXTENDED_PPI).saturating_add(1))
            }
            FIRST_EXTENDED_SPI..=LAST_EXTENDED_SPI => Self::Extended(word(FIRST_EXTENDED_SPI)),
            FIRST_LPI.. => Self::Memory,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IHI 0069, table 2-1: only 1020 to 1023 stand for "none", and only LPIs have no active state.
    #[test]
    fn every_number_but_the_special_ones_was_acknowledged() {
        for intid in [0, 15, 16, 31, 32, 1019, 1024, 1056, 1119, 4096, 5119, 8192, 0xff_ffff] {
            assert!(is_acknowledged(intid), "{intid}");
            assert_eq!(has_active_state(intid), intid < 8192, "{intid}");
        }
        assert!((1020..=1023).all(|intid| !is_acknowledged(intid)));
    }

    /// IHI 0069: `GICR_ICENABLER<n>E`, `GICD_ICENABLER<n>`, `GICD_ICENABLER<n>E` ("the bit number is
    /// (INTID - base) MOD 32").
    #[test]
    fn an_interrupt_is_disabled_where_its_kind_is() {
        for (intid, place) in [
            (0, Some(Place::Redistributor(0))),
            (31, Some(Place::Redistributor(0))),
            (32, Some(Place::Distributor(1))),
            (1019, Some(Place::Distributor(31))),
            (1020, None),
            (1023, None),
            (1024, None),
            (1055, None),
            (1056, Some(Place::Redistributor(1))),
            (1087, Some(Place::Redistributor(1))),
            (1088, Some(Place::Redistributor(2))),
            (1119, Some(Place::Redistributor(2))),
            (1120, None),
            (4095, None),
            (4096, Some(Place::Extended(0))),
            (4128, Some(Place::Extended(1))),
            (5119, Some(Place::Extended(31))),
            (5120, None),
            (8191, None),
            (8192, Some(Place::Memory)),
            (u32::MAX, Some(Place::Memory)),
        ] {
            assert_eq!(Place::of(intid), place, "{intid}");
        }
    }
}
