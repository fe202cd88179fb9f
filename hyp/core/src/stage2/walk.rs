//! The one walker: from an address down to the entry that decides about it.
//!
//! Reading needs no lock. An entry changes by a single store, a table is complete before anything
//! points to it and is never freed while the VM may run; so whatever a reader finds was true at
//! one moment during its walk.

use crate::addr::{Ipa, Pa};
use crate::ports::{Table, TableMemory};
use crate::stage2::descriptor::{self, Descriptor, EMPTY};
use crate::stage2::{Attributes, Geometry, Level, PageState, Vmid};
use crate::sync::{AtomicU64, Ordering};

/// One VM's tables: where they begin and what shape they have.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    root: Pa,
    geometry: Geometry,
    vmid: Vmid,
}

/// What stage 2 says about a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// It is mapped.
    Valid(Mapping),
    /// It is not mapped, and the VM has declared it to be MMIO.
    Guarded,
    /// It is not mapped.
    Empty,
}

/// A mapped page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// Where the byte asked about lies.
    pub pa: Pa,
    /// Bytes that the leaf covers: 4 KiB, 2 MiB or 1 GiB.
    pub size: u64,
    /// How it is mapped.
    pub attributes: Attributes,
    /// Whose it is.
    pub state: PageState,
}

/// The lowest entry there is for an address: a leaf, a mark or nothing, never a table.
pub(crate) struct Slot<'t> {
    pub(crate) entry: &'t AtomicU64,
    pub(crate) level: Level,
    /// What the entry held.
    pub(crate) value: u64,
}

impl Slot<'_> {
    /// What the entry said.
    #[inline]
    pub(crate) const fn descriptor(&self) -> Descriptor {
        Descriptor::decode(self.value, self.level)
    }

    /// Whether there was nothing.
    #[inline(always)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.value == EMPTY
    }

    /// Whether a page or block was mapped here.
    pub(crate) const fn is_leaf(&self) -> bool {
        matches!(self.descriptor(), Descriptor::Leaf(_))
    }

    /// Marks the granule of this page entry as guarded, if there is still nothing; `false` if there
    /// is something now. With the writer lock held.
    #[inline(always)]
    pub(crate) fn mark_if_empty(&self) -> bool {
        // No walker ever caches the mark, so nobody has to be told.
        let is_empty = self.entry.load(Ordering::Relaxed) == EMPTY;
        if is_empty {
            self.entry.store(descriptor::GUARD_MARK, Ordering::Release);
        }
        is_empty
    }

    /// Takes the mark away, if that is why the granule was guarded; `false` if it is a page. With the
    /// writer lock held since before this was read.
    pub(crate) fn clear_mark(&self) -> bool {
        let is_mark = self.value == descriptor::GUARD_MARK;
        if is_mark {
            self.entry.store(EMPTY, Ordering::Release);
        }
        is_mark
    }

    /// Whether the granule was guarded.
    #[inline(always)]
    pub(crate) const fn is_guarded(&self) -> bool {
        matches!(self.level, Level::L3) && descriptor::is_guarded_page(self.value)
    }
}

impl Tables {
    /// Tables of `geometry` whose root lies at `root`, aligned to its size.
    #[must_use]
    pub const fn new(root: Pa, geometry: Geometry, vmid: Vmid) -> Self {
        Self { root, geometry, vmid }
    }

    /// VTTBR_EL2 for these tables: root and VMID. CnP stays clear.
    #[must_use]
    pub const fn vttbr(&self) -> u64 {
        self.root.0 | ((self.vmid.get() as u64) << 48)
    }

    /// Their shape.
    #[inline]
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The tag of their entries in a TLB.
    #[must_use]
    pub const fn vmid(&self) -> Vmid {
        self.vmid
    }

    /// The root's tables.
    pub(crate) fn roots<'t>(
        &self,
        memory: &'t impl TableMemory,
    ) -> impl Iterator<Item = Option<&'t Table>> {
        let root = self.root;
        (0..self.geometry.root_tables()).map(move |number| {
            memory.table(root.checked_add(number.checked_mul(crate::addr::PAGE_SIZE)?)?)
        })
    }

    /// The lowest entry for `ipa`.
    ///
    /// `None` above the IPA size, and where an entry points to a table that `memory` does not
    /// know: then EL2 has damaged its tables.
    #[inline(always)]
    pub(crate) fn slot<'t>(&self, memory: &'t impl TableMemory, ipa: Ipa) -> Option<Slot<'t>> {
        if !self.geometry.contains(ipa) {
            return None;
        }
        // Counted by shift and not by level, which is a few instructions less for each.
        let mut shift = self.geometry.start_shift();
        let root = self.root.checked_add(self.geometry.root_offset(ipa))?;
        let mut pa = root.page();
        loop {
            let index = ipa.0.wrapping_shr(shift) & 0x1ff;
            let entry = memory.table(pa)?.entry(usize::try_from(index).ok()?)?;
            let value = entry.load(Ordering::Acquire);
            if shift == Level::L3.shift() || !descriptor::is_table(value) {
                return Some(Slot { entry, level: Level::of_shift(shift), value });
            }
            shift = shift.wrapping_sub(9);
            pa = descriptor::address(value);
        }
    }

    /// What these tables say about `ipa`. Above the IPA size everything is empty.
    #[inline]
    pub fn lookup(&self, memory: &impl TableMemory, ipa: Ipa) -> Leaf {
        let Some(slot) = self.slot(memory, ipa) else { return Leaf::Empty };
        match slot.descriptor() {
            Descriptor::Guard => Leaf::Guarded,
            Descriptor::Leaf(leaf) => {
                let offset = ipa.0 & slot.level.size().wrapping_sub(1);
                Leaf::Valid(Mapping {
                    pa: Pa(leaf.pa.0 | offset),
                    size: slot.level.size(),
                    attributes: leaf.attributes,
                    state: leaf.state,
                })
            }
            Descriptor::Empty | Descriptor::Table(_) | Descriptor::Unknown => Leaf::Empty,
        }
    }
}
