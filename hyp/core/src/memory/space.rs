//! One VM's address space: its memory map, its tables, its guard.
//!
//! Invariants, kept under the writer lock: memory is mapped by owned or shared leaves and never
//! carries a mark; a mark or a guarded device's leaf exists for exactly the granules the VM has
//! guarded; the cached bits of emulated devices say what the leaves say.
//!
//! What is asked on every access ([`AddressSpace::lookup`], [`AddressSpace::is_guarded`]) takes
//! no lock. Calls of the guard are in [`crate::guard`], calls of sharing in [`crate::share`].

use core::sync::atomic::{AtomicBool, Ordering};

use arrayvec::ArrayVec;
use spin::RelaxStrategy;
use spin::mutex::TicketMutex;
use thiserror::Error;

use crate::addr::{Ipa, PAGE_SIZE, Pa};
use crate::guard::cache::GuardCache;
use crate::memory::populate::Claims;
use crate::memory::{IpaRange, MemoryMap, PaRange};
use crate::ports::Ports;
use crate::stage2::{
    Attributes, DeviceType, EditError, Editor, Geometry, Leaf, Level, Purpose, TablePool, Tables,
    Vmid,
};
use crate::vm_type::VmType;

/// Table frames that the marks of one VM may take.
pub const MARK_TABLES: u64 = 256;
/// The most ranges guarded from the start.
pub const MAX_GUARDED: usize = 16;
/// The most devices assigned to a VM.
pub const MAX_DEVICES: usize = 16;
/// The most windows of devices that EL2 emulates.
pub const MAX_EMULATED: usize = 4;

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
    /// Windows of devices that EL2 emulates; their guard state is kept at hand.
    pub emulated: ArrayVec<IpaRange, MAX_EMULATED>,
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
        bits: u32,
    },
    /// A guarded range, a device or an emulated window is not made of whole pages.
    /// For a device that also means where it really lies.
    #[error("{0} is not made of whole 4 KiB pages")]
    Unaligned(IpaRange),
    /// A guarded range, a device or an emulated window lies on the VM's memory.
    #[error("{0} is declared as a device and lies on the VM's memory")]
    OnMemory(IpaRange),
    /// Two devices, or a device and an emulated window, overlap.
    #[error("two devices of the VM overlap at {0}")]
    Overlap(IpaRange),
    /// Emulated windows have more pages than there are cached bits.
    #[error("emulated windows have more than {0} pages")]
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
            emulated: ArrayVec::new(),
        }
    }

    /// Bytes that its tables need, and the alignment of their base: the root, tables that let
    /// every block of its memory be split, and [`MARK_TABLES`].
    ///
    /// # Errors
    ///
    /// [`SpaceError::OutOfRange`] where memory lies above the IPA size.
    pub fn table_bytes(&self) -> Result<(u64, u64), SpaceError> {
        let geometry = self.geometry()?;
        let frames = self.memory_tables(geometry).saturating_add(MARK_TABLES);
        let bytes = frames.saturating_mul(PAGE_SIZE).saturating_add(geometry.root_bytes());
        Ok((bytes, geometry.root_bytes()))
    }

    fn geometry(&self) -> Result<Geometry, SpaceError> {
        let bits = self.vm_type.ipa_bits();
        let all = IpaRange::between(Ipa(0), Ipa(u64::MAX));
        let geometry = Geometry::new(bits).ok_or(SpaceError::OutOfRange { range: all, bits })?;
        self.memory.extents().iter().try_for_each(|extent| in_range(geometry, extent.ipa()))?;
        Ok(geometry)
    }

    /// Tables below the root over all memory, split to pages throughout. An upper bound: extents
    /// that share a table count it twice.
    fn memory_tables(&self, geometry: Geometry) -> u64 {
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

    fn check(&self, geometry: Geometry) -> Result<(), SpaceError> {
        let devices = self.devices.iter().map(|device| device.ipa);
        let windows = devices.chain(self.emulated.iter().copied());
        for range in windows.clone().chain(self.guarded.iter().copied()) {
            in_range(geometry, range)?;
            if !range.is_aligned(PAGE_SIZE) {
                return Err(SpaceError::Unaligned(range));
            }
            if self.memory.overlaps(range) {
                return Err(SpaceError::OnMemory(range));
            }
        }
        for device in &self.devices {
            let physical = PaRange::new(device.pa, device.ipa.size());
            if physical.is_none_or(|physical| !physical.is_aligned(PAGE_SIZE)) {
                return Err(SpaceError::Unaligned(device.ipa));
            }
        }
        for (index, range) in windows.clone().enumerate() {
            if windows.clone().take(index).any(|other| other.overlaps(range)) {
                return Err(SpaceError::Overlap(range));
            }
        }
        Ok(())
    }
}

fn in_range(geometry: Geometry, range: IpaRange) -> Result<(), SpaceError> {
    let last = Ipa(range.end().0.saturating_sub(1));
    if geometry.contains(last) {
        return Ok(());
    }
    Err(SpaceError::OutOfRange { range, bits: geometry.ipa_bits() })
}

/// What the writer lock protects.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) pool: TablePool,
    pub(crate) claims: Claims,
}

/// Table frames in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableUse {
    /// Over the VM's memory.
    pub memory: u64,
    /// Over marks and assigned devices, of [`MARK_TABLES`].
    pub marks: u64,
}

/// The address space of one VM.
#[derive(Debug)]
pub struct AddressSpace<P, R> {
    pub(crate) ports: P,
    pub(crate) tables: Tables,
    pub(crate) layout: SpaceLayout,
    pub(crate) enrolled: AtomicBool,
    pub(crate) cache: GuardCache,
    pub(crate) writer: TicketMutex<Writer, R>,
}

impl<P: Ports, R: RelaxStrategy> AddressSpace<P, R> {
    /// An address space as after a reset, its tables in `frames`.
    ///
    /// # Errors
    ///
    /// Where `layout` contradicts itself or `frames` is smaller or less aligned than
    /// [`SpaceLayout::table_bytes`] says.
    pub fn new(ports: P, layout: SpaceLayout, frames: PaRange) -> Result<Self, SpaceError> {
        let geometry = layout.geometry()?;
        layout.check(geometry)?;
        let (need, align) = layout.table_bytes()?;
        let wrong = SpaceError::Tables { need, align, have: frames };
        if frames.size() < need || !frames.base().is_aligned(align) {
            return Err(wrong);
        }
        let first = frames.base().checked_add(geometry.root_bytes()).ok_or(wrong)?;
        let pool = TablePool::new(
            PaRange::between(first, frames.end()),
            layout.memory_tables(geometry),
            MARK_TABLES,
        );
        let space = Self {
            tables: Tables::new(frames.base(), geometry, layout.vmid),
            cache: GuardCache::new(&layout.emulated)?,
            enrolled: AtomicBool::new(false),
            writer: TicketMutex::new(Writer { pool, claims: Claims::new() }),
            ports,
            layout,
        };
        space.reset()?;
        Ok(space)
    }

    /// Puts everything back to how the VM starts: nothing mapped, marks and enrolment dropped,
    /// then the static settings applied again.
    ///
    /// Memory is not zeroed here but, as at the first start, before it is mapped again; so
    /// nothing of what it held can come back. Only while no vCPU of the VM runs and none is
    /// inside [`AddressSpace::populate`].
    ///
    /// # Errors
    ///
    /// None that a guest can bring about: the same steps succeeded when the VM was made.
    pub fn reset(&self) -> Result<(), EditError> {
        let mut writer = self.writer.lock();
        let Writer { pool, claims } = &mut *writer;
        for root in self.tables.roots(&self.ports) {
            root.ok_or(EditError::Damaged(Ipa(0)))?.clear();
        }
        // Walkers may hold pointers to the tables that are about to be used anew.
        self.ports.invalidate_vmid(self.tables.vmid());
        pool.reset();
        claims.clear();
        self.cache.clear();
        self.enrolled.store(self.layout.vm_type.is_protected(), Ordering::Release);
        let mut editor = Editor::new(self.tables, &self.ports, pool);
        // Tables down to the blocks, so that populating memory never needs a frame.
        for extent in self.layout.memory.extents() {
            let mut ipa = extent.ipa().base();
            while ipa < extent.ipa().end() {
                editor.ensure_table(ipa, Level::L2, Purpose::Memory)?;
                let Some(next) = Level::L1.base(ipa).checked_add(Level::L1.size()) else { break };
                ipa = next;
            }
        }
        for range in &self.layout.guarded {
            let mut ipa = range.base();
            while ipa < range.end() {
                self.place_mark(&mut editor, ipa, None)?;
                let Some(next) = ipa.checked_add(PAGE_SIZE) else { break };
                ipa = next;
            }
        }
        self.ports.publish();
        Ok(())
    }

    /// VTTBR_EL2 while this VM runs.
    #[must_use]
    pub const fn vttbr(&self) -> u64 {
        self.tables.vttbr()
    }

    /// VTCR_EL2 while this VM runs, on a machine with `pa_bits` of physical address.
    #[must_use]
    pub const fn vtcr(&self, pa_bits: u32) -> u64 {
        self.tables.geometry().vtcr(pa_bits)
    }

    /// Kind and IPA size.
    #[must_use]
    pub const fn vm_type(&self) -> VmType {
        self.layout.vm_type
    }

    /// Whether the VM is protected.
    #[must_use]
    pub const fn is_protected(&self) -> bool {
        self.layout.vm_type.is_protected()
    }

    /// What the tables say about `ipa` now. Takes no lock.
    #[inline]
    pub fn lookup(&self, ipa: Ipa) -> Leaf {
        self.tables.lookup(&self.ports, ipa)
    }

    /// Whether `ipa` is the VM's memory, populated or not.
    #[inline]
    pub fn is_memory(&self, ipa: Ipa) -> bool {
        self.layout.memory.contains(ipa)
    }

    /// The VM's memory.
    #[must_use]
    pub const fn memory(&self) -> &MemoryMap {
        &self.layout.memory
    }

    /// Table frames in use.
    pub fn table_use(&self) -> TableUse {
        let (memory, marks) = self.writer.lock().pool.used();
        TableUse { memory, marks }
    }

    pub(crate) fn device_at(&self, ipa: Ipa) -> Option<&AssignedDevice> {
        self.layout.devices.iter().find(|device| device.ipa.contains(ipa))
    }

    pub(crate) fn in_range(&self, ipa: Ipa) -> bool {
        self.tables.geometry().contains(ipa)
    }

    /// The attributes that the registers of `device` are mapped with.
    pub(crate) const fn device_attributes(
        device: &AssignedDevice,
        kind: Option<DeviceType>,
    ) -> Attributes {
        Attributes::device(match kind {
            Some(kind) => kind,
            None => device.kind,
        })
    }
}
