//! Errata of CPUs that concern EL2, by MIDR_EL1, and what EL2 does about each.
//!
//! Which of them are a guest's own affair is in `docs/platforms.md`.

mod table;

use core::fmt;
use core::ops::RangeInclusive;

use bitflags::bitflags;

use table::MODELS;

bitflags! {
    /// What EL2 does about errata.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Actions: u8 {
        /// Follows each broadcast TLBI and its DSB by one more TLBI and DSB: an access that a translation
        /// let through may be incomplete when the first DSB is.
        const REPEAT_TLBI = 1 << 0;
        /// Translates FAR_EL2 where HPFAR_EL2 may be wrong.
        const TRANSLATE_FAULTS = 1 << 1;
        /// Keeps the walker off whenever EL1's translation registers or the VMID change: the CPU may walk,
        /// ahead of any AT, with some registers of the one and some of the other. Nothing changes them while
        /// a CPU has one VM.
        const SPECULATIVE_AT = 1 << 2;
        /// Nothing: says at boot that any guest can stop the machine.
        const GUEST_STOPS_MACHINE = 1 << 3;
        /// Nothing: says at boot that EL2 has no workaround.
        const NO_WORKAROUND = 1 << 4;
        /// What the image does on every CPU, or has no instructions for.
        const ALWAYS = 1 << 5;
    }
}

impl Actions {
    /// What makes a run less than Postern promises, in words; `None` where all is well.
    #[must_use]
    pub const fn taint(self) -> Option<&'static str> {
        if self.contains(Self::GUEST_STOPS_MACHINE) {
            Some("any guest can stop this machine")
        } else if self.contains(Self::NO_WORKAROUND) {
            Some("EL2 has no workaround")
        } else {
            None
        }
    }
}

/// Variant in 7:4 and revision in 3:0, as `r<variant>p<revision>`.
type Version = u8;

/// A defect of some versions of a CPU.
#[derive(Debug)]
pub struct Erratum {
    /// The vendor's number.
    pub number: &'static str,
    /// Versions that have it.
    versions: RangeInclusive<Version>,
    /// What EL2 does about it.
    pub actions: Actions,
}

/// A CPU with errata.
#[derive(Debug)]
struct Model {
    name: &'static str,
    /// MIDR_EL1.Implementer.
    implementer: u8,
    /// MIDR_EL1.PartNum.
    parts: &'static [u16],
    errata: &'static [Erratum],
}

/// What MIDR_EL1 says of a CPU that has errata.
///
/// Its text is the CPU's name and version: `Cortex-A57 r1p1`.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    model: &'static Model,
    version: Version,
}

impl Kind {
    /// The CPU whose MIDR_EL1 is `midr`; `None` where no erratum of the model is known to concern EL2.
    #[must_use]
    pub fn new(midr: u64) -> Option<Self> {
        let field = |shift: u32, mask: u64| (midr >> shift) & mask;
        // Architecture in 19:16: told by the ID registers, as in every CPU of Armv8.
        let model = MODELS.iter().find(|model| {
            field(24, 0xff) == u64::from(model.implementer)
                && field(16, 0xf) == 0xf
                && u16::try_from(field(4, 0xfff)).is_ok_and(|part| model.parts.contains(&part))
        })?;
        let version = field(20, 0xf) << 4 | field(0, 0xf);
        Some(Self { model, version: u8::try_from(version).ok()? })
    }

    /// The errata of this version.
    pub fn errata(&self) -> impl Iterator<Item = &'static Erratum> + use<> {
        let version = self.version;
        self.model.errata.iter().filter(move |erratum| erratum.versions.contains(&version))
    }

    /// What EL2 does about all of them.
    #[must_use]
    pub fn actions(&self) -> Actions {
        self.errata().fold(Actions::empty(), |actions, erratum| actions | erratum.actions)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} r{}p{}", self.model.name, self.version >> 4, self.version & 0xf)
    }
}

#[cfg(test)]
mod tests;
