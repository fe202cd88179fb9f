//! Virtual machine identifiers, the tags of TLB entries.

use crate::sync::{AtomicU64, Ordering};

/// A VMID, 1 to 255. 0 is what EL2 runs under while no VM's tables are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vmid(u8);

impl Vmid {
    /// `number` as a VMID, unless it is 0.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Hands out VMIDs.
///
/// A VM keeps its VMID for life. There are never more VMs than 8-bit VMIDs, which every Armv8 CPU
/// has, so there is no rollover and no generation.
#[derive(Debug)]
pub struct VmidAllocator {
    used: [AtomicU64; 4],
}

impl VmidAllocator {
    /// An allocator that holds 1 to 255.
    #[must_use]
    pub const fn new() -> Self {
        Self { used: [AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)] }
    }

    /// The lowest VMID that is free, or `None`.
    pub fn allocate(&self) -> Option<Vmid> {
        self.used.iter().zip(0u8..).find_map(|(word, index)| {
            let before = word
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                    let free = (!used).trailing_zeros();
                    Some(used | 1u64.checked_shl(free)?)
                })
                .ok()?;
            let bit = u8::try_from((!before).trailing_zeros()).ok()?;
            Vmid::new(index.checked_mul(64)?.checked_add(bit)?)
        })
    }

    /// Takes `vmid` back. Whoever used it has invalidated all that the TLBs hold under it.
    pub fn release(&self, vmid: Vmid) {
        let number = vmid.get();
        if let Some(word) = self.used.get(usize::from(number >> 6)) {
            let bit = 1u64.wrapping_shl(u32::from(number & 63));
            word.fetch_and(!bit, Ordering::AcqRel);
        }
    }
}

impl Default for VmidAllocator {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn each_vmid_is_given_once_and_zero_never() {
        let pool = VmidAllocator::new();
        let all: BTreeSet<u8> = core::iter::from_fn(|| pool.allocate()).map(Vmid::get).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), (1..=255).collect::<Vec<_>>());
        assert_eq!(pool.allocate(), None);
        pool.release(Vmid::new(130).unwrap());
        assert_eq!(pool.allocate(), Vmid::new(130));
        assert_eq!(pool.allocate(), None);
    }
}
