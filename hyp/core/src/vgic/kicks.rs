//! The set of vCPUs that must look at their interrupts.

use super::bits::{Bits, low, member};
use core::ops::{BitOr, BitOrAssign};

/// vCPUs to which the caller has to send its wake-up SGI; each then calls
/// [`Vgic::sync`](super::Vgic::sync) on its own CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use = "a vCPU that is not kicked does not see its interrupt"]
pub struct Kicks(u64);

impl Kicks {
    /// Nobody.
    pub const NONE: Self = Self(0);

    /// Whether nobody needs a kick.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `vcpu` needs one.
    #[must_use]
    pub fn contains(self, vcpu: usize) -> bool {
        self.without(vcpu) != self
    }

    /// The vCPUs in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        Bits(low(self.0)).map(|n| n as usize)
    }

    /// These and `vcpu`.
    pub fn with(self, vcpu: usize) -> Self {
        Self(self.0 | u64::from(member(vcpu)))
    }

    /// These without `vcpu`.
    pub fn without(self, vcpu: usize) -> Self {
        Self(self.0 & !u64::from(member(vcpu)))
    }
}

impl BitOr for Kicks {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Kicks {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
