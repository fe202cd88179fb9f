//! What an address space is made from, and the checks that it makes sense.

use arrayvec::ArrayVec;
use thiserror::Error;

use crate::addr::{Ipa, PAGE_SIZE, Pa};
use crate::bus::{Entry, MAX_ENTRIES, MAX_PAGES};
use crate::memory::{IpaRange, MemoryMap, PaRange};
use crate::stage2::{DeviceType, EditError, Geometry, Level, Vmid};
use crate::vm_type::VmType;

/// Table frames that the marks of one VM may take.
pub const MARK_TABLES: u64 = 256;
/// The most ranges guarded from the start.
pub const MAX_GUARDED: usize = 16;
/// The most devices assigned to a VM.
pub const MAX_DEVICES: usize = 16;

/// Registers of a real device that a VM may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssignedDevice {
    /// Where the VM sees them, in whole pages.
    pub ipa: IpaRange,
    /// Where they lie.
    pub pa: Pa,
    /// As which device type they are mapped, unless a call says otherwise.
    pub kind: DeviceType,
}

impl AssignedDevice {
    /// Where the register at `ipa` lies.
    pub(crate) fn translate(&self, ipa: Ipa) -> Option<Pa> {
        if !self.ipa.contains(ipa) {
            return None;
        }
        self.pa.checked_add(ipa.checked_sub(self.ipa.base())?)
    }
}

/// What an address space is made from: the VM's description, with addresses found.
#[derive(Debug, Clone)]
pub struct SpaceLayout {
    /// Kind and IPA size.
    pub vm_type: VmType,
    /// The tag of its TLB entries, not in use by another VM.
    pub vmid: Vmid,
    /// Its RAM.
    pub memory: MemoryMap,
    /// Ranges that are guarded from the start and again after each reset.
    pub guarded: ArrayVec<IpaRange, MAX_GUARDED>,
    /// Real devices it may use.
    pub devices: ArrayVec<AssignedDevice, MAX_DEVICES>,
    /// Devices that EL2 emulates, looked up in this order.
    pub bus: ArrayVec<Entry, MAX_ENTRIES>,
}

/// Why an address space cannot be made.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum SpaceError {
    /// A range ends above the IPA size.
    #[error("{range} lies above the VM's {bits}-bit address space: give it more IPA bits")]
    OutOfRange {
        /// The range.
        range: IpaRange,
        /// The VM's IPA size.
        bits: u64,
    },
    /// A guarded range, a device or an entry of the bus is not made of whole pages.
    /// For a device that also means where it really lies.
    #[error("{0} is not made of whole 4 KiB pages")]
    Unaligned(IpaRange),
    /// A guarded range, a device or an entry of the bus lies on the VM's memory.
    #[error("{0} is declared as a device and lies on the VM's memory")]
    OnMemory(IpaRange),
    /// Two devices, assigned or emulated, overlap.
    #[error("two devices of the VM overlap at {0}")]
    Overlap(IpaRange),
    /// The devices that EL2 emulates have more pages than the bus.
    #[error("the devices that EL2 emulates have more than {0} pages")]
    TooManyPages(usize),
    /// The extent for the tables is too small or not aligned.
    #[error("tables need {need:#x} bytes aligned to {align:#x}; they were given {have}")]
    Tables {
        /// Bytes needed.
        need: u64,
        /// Alignment of their base.
        align: u64,
        /// What was given.
        have: PaRange,
    },
    /// The tables could not be built.
    #[error("the first tables cannot be built: {0}")]
    Edit(#[from] EditError),
}

impl SpaceLayout {
    /// A VM of `vm_type` with `memory` and nothing else.
    #[must_use]
    pub fn new(vm_type: VmType, vmid: Vmid, memory: MemoryMap) -> Self {
        Self {
            vm_type,
            vmid,
            memory,
            guarded: ArrayVec::new(),
            devices: ArrayVec::new(),
            bus: ArrayVec::new(),
        }
    }

    /// Bytes that its tables need, and the alignment of their base: the root, tables that let
    /// every block of its memory be split, and [`MARK_TABLES`].
    ///
    /// # Errors
    ///
    /// [`SpaceError::OutOfRange`] where memory lies above the IPA size.
    pub fn table_bytes(&self) -> Result<(u64, u64), SpaceError> {
        self.geometry().map(|geometry| self.tables_in(geometry))
    }

    fn tables_in(&self, geometry: Geometry) -> (u64, u64) {
        let frames = self.memory_tables(geometry).saturating_add(MARK_TABLES);
        let bytes = frames.saturating_mul(PAGE_SIZE).saturating_add(geometry.root_bytes());
        (bytes, geometry.root_bytes())
    }

    fn geometry(&self) -> Result<Geometry, SpaceError> {
        let bits = self.vm_type.ipa_bits();
        let all = IpaRange::between(Ipa(0), Ipa(u64::MAX));
        let geometry =
            Geometry::new(bits).ok_or(SpaceError::OutOfRange { range: all, bits: bits.into() })?;
        self.memory.extents().iter().try_for_each(|extent| in_range(geometry, extent.ipa()))?;
        Ok(geometry)
    }

    /// Tables below the root over all memory, split to pages throughout. An upper bound: extents
    /// that share a table count it twice.
    pub(super) fn memory_tables(&self, geometry: Geometry) -> u64 {
        let parents = [Level::L0, Level::L1, Level::L2];
        let tables = |range: IpaRange, parent: Level| {
            let first = range.base().0 >> parent.shift();
            let last = range.end().0.saturating_sub(1) >> parent.shift();
            last.saturating_sub(first).saturating_add(1)
        };
        self.memory
            .extents()
            .iter()
            .flat_map(|extent| parents.map(|parent| (extent.ipa(), parent)))
            .filter(|(_, parent)| *parent >= geometry.start())
            .fold(0, |sum, (range, parent)| tables(range, parent).saturating_add(sum))
    }

    /// The shape of its tables, if it makes sense and they fit into `frames`.
    #[inline(never)]
    pub(super) fn check(&self, frames: PaRange) -> Result<Geometry, SpaceError> {
        let geometry = self.geometry()?;
        let mut devices: ArrayVec<IpaRange, { MAX_DEVICES + MAX_ENTRIES }> = ArrayVec::new();
        for device in &self.devices {
            // All that can be listed fit in here, and in what follows.
            let _full = devices.try_push(device.ipa);
            let physical = PaRange::new(device.pa, device.ipa.size());
            if physical.is_none_or(|physical| !physical.is_aligned(PAGE_SIZE)) {
                return Err(SpaceError::Unaligned(device.ipa));
            }
        }
        for entry in &self.bus {
            let _full = devices.try_push(entry.ipa);
        }
        for range in devices.iter().chain(&self.guarded) {
            in_range(geometry, *range)?;
            if !range.is_aligned(PAGE_SIZE) {
                return Err(SpaceError::Unaligned(*range));
            }
            if self.memory.overlaps(*range) {
                return Err(SpaceError::OnMemory(*range));
            }
        }
        while let Some(range) = devices.pop() {
            if devices.iter().any(|other| other.overlaps(range)) {
                return Err(SpaceError::Overlap(range));
            }
        }
        let pages = |sum: u64, entry: &Entry| sum.saturating_add(entry.ipa.size() / PAGE_SIZE);
        if self.bus.iter().fold(0, pages) > MAX_PAGES as u64 {
            return Err(SpaceError::TooManyPages(MAX_PAGES));
        }
        let (need, align) = self.tables_in(geometry);
        if frames.size() < need || !frames.base().is_aligned(align) {
            return Err(SpaceError::Tables { need, align, have: frames });
        }
        Ok(geometry)
    }
}

fn in_range(geometry: Geometry, range: IpaRange) -> Result<(), SpaceError> {
    let last = Ipa(range.end().0.saturating_sub(1));
    if geometry.contains(last) {
        return Ok(());
    }
    Err(SpaceError::OutOfRange { range, bits: geometry.ipa_bits().into() })
}
