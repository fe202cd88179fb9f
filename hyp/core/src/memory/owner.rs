//! Whose each physical address is: a sorted table of extents, no array per page.

use arrayvec::ArrayVec;
use thiserror::Error;

use crate::addr::Pa;
use crate::memory::PaRange;
use crate::stage2::Vmid;

/// The most extents that can have an owner.
pub const MAX_OWNED: usize = 64;

/// Who owns some physical memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// EL2: its image, heap, tables and the bundle.
    Hypervisor,
    /// A VM, by its VMID.
    Vm(Vmid),
    /// A device that EL2 drives.
    Device,
}

/// Why an owner cannot be entered.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum OwnerError {
    /// Part of the range has an owner.
    #[error("{range} belongs to {owner:?} already")]
    Taken {
        /// The extent that is in the way.
        range: PaRange,
        /// Its owner.
        owner: Owner,
    },
    /// There are [`MAX_OWNED`] extents already.
    #[error("more than {MAX_OWNED} extents of memory have an owner")]
    Full,
}

/// The owners of physical memory.
#[derive(Debug, Default)]
pub struct OwnerTable {
    extents: ArrayVec<(PaRange, Owner), MAX_OWNED>,
}

impl OwnerTable {
    /// Nobody owns anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `owner` the owner of all of `range`.
    ///
    /// # Errors
    ///
    /// Where part of it has an owner, even the same one, or the table is full. The table is
    /// unchanged then.
    pub fn claim(&mut self, range: PaRange, owner: Owner) -> Result<(), OwnerError> {
        if range.is_empty() {
            return Ok(());
        }
        if let Some((range, owner)) = self.extents.iter().find(|(other, _)| other.overlaps(range)) {
            return Err(OwnerError::Taken { range: *range, owner: *owner });
        }
        let place = self.extents.partition_point(|(other, _)| other.base() < range.base());
        self.extents.try_insert(place, (range, owner)).map_err(|_| OwnerError::Full)
    }

    /// The owner of `pa`, if it has one.
    #[must_use]
    pub fn owner(&self, pa: Pa) -> Option<Owner> {
        let above = self.extents.partition_point(|(range, _)| range.base() <= pa);
        let (range, owner) = self.extents.get(above.checked_sub(1)?)?;
        range.contains(pa).then_some(*owner)
    }

    /// Takes everything from `owner`.
    pub fn release(&mut self, owner: Owner) {
        self.extents.retain(|(_, other)| *other != owner);
    }

    /// The extents with their owners, from the lowest.
    #[must_use]
    pub fn extents(&self) -> &[(PaRange, Owner)] {
        &self.extents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_one_owner() {
        let mut table = OwnerTable::new();
        let vm = Owner::Vm(Vmid::new(1).unwrap());
        let range = |base, size| PaRange::new(Pa(base), size).unwrap();
        table.claim(range(0x8000, 0x2000), vm).unwrap();
        table.claim(range(0x4000, 0x1000), Owner::Hypervisor).unwrap();
        assert_eq!(
            table.claim(range(0x9000, 0x4000), Owner::Device),
            Err(OwnerError::Taken { range: range(0x8000, 0x2000), owner: vm })
        );
        assert_eq!(table.owner(Pa(0x9fff)), Some(vm));
        assert_eq!(table.owner(Pa(0xa000)), None);
        assert_eq!(table.owner(Pa(0x4000)), Some(Owner::Hypervisor));
        assert_eq!(table.owner(Pa(0x3fff)), None);
        table.release(vm);
        assert_eq!(table.owner(Pa(0x9000)), None);
        table.claim(range(0x9000, 0x4000), Owner::Device).unwrap();
        assert_eq!(table.owner(Pa(0x9000)), Some(Owner::Device));
    }
}
