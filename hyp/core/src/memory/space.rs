//! One VM's address space: its memory map, its tables, its guard.
//!
//! Invariants, kept under the writer lock: memory is mapped by owned or shared leaves and never
//! carries a mark; a mark or a guarded device's leaf exists for exactly the granules the VM has
//! guarded; the flags of the bus say what the leaves say.
//!
//! What is asked on every access ([`AddressSpace::lookup`], [`AddressSpace::is_guarded`]) takes
//! no lock. Calls of the guard are in [`crate::guard`], calls of sharing in [`crate::share`].

use core::ops::{Deref, DerefMut};

use crate::addr::{Ipa, PAGE_SIZE, Pa};
use crate::bus::Bus;
use crate::memory::claims::Claims;
use crate::memory::{AssignedDevice, MARK_TABLES, MemoryMap, PaRange, SpaceError, SpaceLayout};
use crate::ports::Ports;
use crate::stage2::{
    Attributes, DeviceType, EditError, Editor, Leaf, Level, Purpose, TablePool, Tables,
};
use crate::sync::{AtomicBool, Ordering, TicketMutex, TicketMutexGuard};
use crate::vm_type::VmType;

/// What the writer lock protects.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) pool: TablePool,
    pub(crate) claims: Claims,
}

/// The writer lock, held.
pub(crate) struct Writing<'a, P: Ports> {
    space: &'a AddressSpace<P>,
    writer: TicketMutexGuard<'a, Writer>,
}

impl<P: Ports> Deref for Writing<'_, P> {
    type Target = Writer;

    #[inline]
    fn deref(&self) -> &Writer {
        &self.writer
    }
}

impl<P: Ports> DerefMut for Writing<'_, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Writer {
        &mut self.writer
    }
}

impl<P: Ports> Drop for Writing<'_, P> {
    #[inline]
    fn drop(&mut self) {
        self.space.ports.settled(self.writer.pool.used(), self.writer.claims.blocks());
    }
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
pub struct AddressSpace<P> {
    pub(crate) ports: P,
    pub(crate) tables: Tables,
    pub(crate) layout: SpaceLayout,
    pub(crate) enrolled: AtomicBool,
    /// The VM has guarded a page itself.
    pub(crate) guards: AtomicBool,
    pub(crate) bus: Bus,
    writer: TicketMutex<Writer>,
}

impl<P: Ports> AddressSpace<P> {
    /// An address space as after a reset, its tables in `frames`.
    ///
    /// # Errors
    ///
    /// Where `layout` contradicts itself or `frames` is smaller or less aligned than
    /// [`SpaceLayout::table_bytes`] says.
    #[inline(never)]
    pub fn new(ports: P, layout: SpaceLayout, frames: PaRange) -> Result<Self, SpaceError> {
        let geometry = layout.check(frames)?;
        // The check has seen that this is below the end.
        let first = Pa(frames.base().get().saturating_add(geometry.root_bytes()));
        let pool = TablePool::new(
            PaRange::between(first, frames.end()),
            layout.memory_tables(geometry),
            MARK_TABLES,
        );
        let space = Self {
            tables: Tables::new(frames.base(), geometry, layout.vmid),
            bus: Bus::new(&layout.bus),
            enrolled: AtomicBool::new(false),
            guards: AtomicBool::new(false),
            writer: TicketMutex::new(Writer { pool, claims: Claims::new() }),
            ports,
            layout,
        };
        space.reset()?;
        Ok(space)
    }

    /// Takes the writer lock.
    #[inline]
    pub(crate) fn write(&self) -> Writing<'_, P> {
        let writer = self.writer.lock();
        self.ports.opened();
        Writing { space: self, writer }
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
        let mut writer = self.write();
        let Writer { pool, claims } = &mut *writer;
        for root in self.tables.roots(&self.ports) {
            root.ok_or(EditError::Damaged)?.clear();
        }
        // Walkers may hold pointers to the tables that are about to be used anew.
        self.ports.invalidate_vmid(self.tables.vmid());
        pool.reset();
        claims.clear();
        self.bus.clear();
        self.guards.store(false, Ordering::Relaxed);
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

    /// The machine that its tables and memory are on.
    #[must_use]
    pub const fn ports(&self) -> &P {
        &self.ports
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
    #[inline(always)]
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
        let (memory, marks) = self.write().pool.used();
        TableUse { memory, marks }
    }

    /// Whether the register at `ipa` is an assigned device's.
    #[must_use]
    pub fn is_assigned(&self, ipa: Ipa) -> bool {
        self.device_at(ipa).is_some()
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
