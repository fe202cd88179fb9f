//! What all CPUs of a machine have, where they are of more than one kind (big.LITTLE).
//!
//! A guest may look at the ID registers of one vCPU and use on another what it saw. So all vCPUs see
//! one view, made of the value of each field that is safe on every CPU. Which one that is, is Linux's
//! choice (`arch/arm64/kernel/cpufeature.c`, the `ftr_id_*` tables).

use super::host::{HostId, IdRegister, Mitigations};
use IdRegister::{Dfr0, Isar1, Isar2, Mmfr0, Mmfr1, Mmfr4, Pfr0};

/// Which of two values of a field is safe on both CPUs.
#[derive(Clone, Copy)]
enum Safe {
    /// The lower one, as signed numbers: 0xf stands for "not there".
    LowerSigned,
    /// The higher one: the field admits something.
    Higher,
    /// Neither: 0 unless they agree.
    Exact,
}

/// The fields for which the lower value is not the safe one.
#[rustfmt::skip]
const ODD: &[(IdRegister, u32, Safe)] = &[
    // FP, AdvSIMD.
    (Pfr0, 16, Safe::LowerSigned), (Pfr0, 20, Safe::LowerSigned),
    // PMUVer, where 0xf is a private form; DoubleLock, MTPMU.
    (Dfr0, 8, Safe::LowerSigned), (Dfr0, 36, Safe::LowerSigned), (Dfr0, 48, Safe::LowerSigned),
    // APA, API; APA3: what one algorithm has signed another does not authenticate.
    (Isar1, 4, Safe::Exact), (Isar1, 8, Safe::Exact), (Isar2, 12, Safe::Exact),
    // TGran64, TGran4.
    (Mmfr0, 24, Safe::LowerSigned), (Mmfr0, 28, Safe::LowerSigned),
    // SpecSEI: speculation may cause SErrors.
    (Mmfr1, 24, Safe::Higher),
    // E2H0.
    (Mmfr4, 24, Safe::LowerSigned),
];

/// Names of the registers that the view is made of.
const NAMES: [(IdRegister, &str); 9] = [
    (Pfr0, "ID_AA64PFR0"),
    (IdRegister::Pfr1, "ID_AA64PFR1"),
    (IdRegister::Isar0, "ID_AA64ISAR0"),
    (Isar1, "ID_AA64ISAR1"),
    (Isar2, "ID_AA64ISAR2"),
    (Mmfr0, "ID_AA64MMFR0"),
    (Mmfr1, "ID_AA64MMFR1"),
    (IdRegister::Mmfr2, "ID_AA64MMFR2"),
    (Mmfr4, "ID_AA64MMFR4"),
];

impl HostId {
    /// Keeps of the feature registers what the CPU `other` has as well. The others (MIDR_EL1, …) stay
    /// those of the first CPU.
    pub fn restrict(&mut self, other: &Self) {
        for (index, (mine, theirs)) in self.registers.iter_mut().zip(other.registers).enumerate() {
            *mine = safe(index, *mine, theirs);
        }
    }

    /// Names of the registers, among those that guests see, in which the CPU `other` differs.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static str> + 'a {
        NAMES
            .iter()
            .filter(|(register, _)| self.get(*register) != other.get(*register))
            .map(|(_, name)| *name)
    }
}

/// Field by field, the value of register number `index` that is safe on both CPUs.
fn safe(index: usize, one: u64, two: u64) -> u64 {
    let mut both = 0;
    for shift in (0..u64::BITS).step_by(4) {
        let field = |value: u64| value.checked_shr(shift).unwrap_or(0) & 0xf;
        let (one, two) = (field(one), field(two));
        let odd = ODD.iter().find(|(register, at, _)| (*register as usize, *at) == (index, shift));
        let value = match odd {
            None => one.min(two),
            Some((.., Safe::LowerSigned)) if signed(one) < signed(two) => one,
            Some((.., Safe::LowerSigned)) => two,
            Some((.., Safe::Higher)) => one.max(two),
            Some((.., Safe::Exact)) if one == two => one,
            Some((.., Safe::Exact)) => 0,
        };
        both |= value.checked_shl(shift).unwrap_or(0);
    }
    both
}

/// A four-bit field as a signed number, moved up by 8: 0 for the least.
const fn signed(field: u64) -> u64 {
    field ^ 8
}

impl Mitigations {
    /// Each at its worst of the two: a guest asks once for all CPUs.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        Self {
            one: self.one.min(other.one),
            two: self.two.min(other.two),
            three: self.three.min(other.three),
        }
    }
}

#[cfg(test)]
#[path = "common_tests.rs"]
mod tests;
