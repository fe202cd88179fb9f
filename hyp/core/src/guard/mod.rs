//! The MMIO guard: which granules a VM has declared to be devices.
//!
//! A declared granule carries a mark in its invalid leaf; one that belongs to an assigned device
//! is mapped at once instead, its leaf saying that it is guarded. Memory is never marked. The
//! calls are those of `Documentation/virt/kvm/arm/mmio-guard.rst` in Android's kernel; their wire
//! codes belong to the call router.

#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::addr::{Ipa, PAGE_SIZE};
use crate::bus::Register;
use crate::memory::{AddressSpace, Writer};
use crate::ports::Ports;
use crate::stage2::{DeviceType, EditError, Editor, Leaf, LeafEntry, Level, PageState, Purpose};
use crate::sync::Ordering;

/// Granules that one range call handles at most; its caller goes on with the rest. No interrupt is
/// taken meanwhile, so this keeps them waiting no longer than population does.
pub const RANGE_LIMIT: u64 = 64;

/// Why a call of the guard is refused.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum GuardError {
    /// The VM has not enrolled.
    #[error("the VM has not enrolled in the MMIO guard")]
    NotEnrolled,
    /// The address is not a multiple of the granule.
    #[error("not a multiple of the granule")]
    Unaligned,
    /// The address is above the VM's address space.
    #[error("above the VM's address space")]
    OutOfRange,
    /// The address is the VM's memory.
    #[error("memory")]
    Memory,
    /// The granule is not guarded.
    #[error("not guarded")]
    NotGuarded,
    /// A range of no granules.
    #[error("a range of no granules")]
    EmptyRange,
    /// The VM's budget of table frames is used up.
    #[error("the guard has used up its tables")]
    NoTables,
    /// The tables are damaged.
    #[error("{0}")]
    Tables(EditError),
}

/// Why a page of an assigned device is not mapped.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum DeviceError {
    /// No device is assigned there.
    #[error("no device is assigned there")]
    NotAssigned,
    /// The VM has enrolled and has not guarded the page.
    #[error("not guarded")]
    NotGuarded,
    /// The tables refused.
    #[error("{0}")]
    Edit(#[from] EditError),
}

impl<P: Ports> AddressSpace<P> {
    /// Whether an access outside memory and guarded granules aborts.
    #[inline(always)]
    pub fn is_enrolled(&self) -> bool {
        self.enrolled.load(Ordering::Acquire)
    }

    /// Whether the VM has guarded a page itself since its last reset.
    pub fn has_guarded(&self) -> bool {
        self.guards.load(Ordering::Relaxed)
    }

    /// Switches the guard on for the whole VM: on every vCPU, at once, until the next reset.
    /// Enrolling twice changes nothing.
    ///
    /// # Errors
    ///
    /// [`GuardError::Tables`] where the tables are damaged.
    pub fn enroll(&self) -> Result<(), GuardError> {
        if self.is_enrolled() {
            return Ok(());
        }
        let mut writer = self.write();
        let mut editor = Editor::new(self.tables, &self.ports, &mut writer.pool);
        // No device page stays mapped that is not guarded. None comes meanwhile: that takes the lock.
        let mut answer = Ok(());
        for device in &self.layout.devices {
            let mut ipa = device.ipa.base();
            while ipa < device.ipa.end() {
                let taken = editor.take_page(ipa, PageState::Device);
                if let Err(error @ EditError::Damaged) = taken {
                    answer = Err(GuardError::Tables(error));
                }
                let Some(next) = ipa.checked_add(PAGE_SIZE) else { break };
                ipa = next;
            }
        }
        // Last: another vCPU that enrols and finds it done relies on the pages being gone.
        self.enrolled.store(true, Ordering::Release);
        answer
    }

    /// Whether the granule of `ipa` is guarded. Takes no lock.
    #[inline]
    pub fn is_guarded(&self, ipa: Ipa) -> bool {
        match self.bus.find(ipa) {
            Some(found) => found.is_guarded,
            None => self.leaf_is_guarded(ipa),
        }
    }

    /// Whether the guard lets an access outside memory to the granule of `ipa` go on. Takes no lock.
    pub fn is_open(&self, ipa: Ipa) -> bool {
        self.lets(self.is_guarded(ipa))
    }

    /// The register on the bus at `ipa`, and whether the guard lets an access to its page go on. Takes no lock
    /// and walks no tables.
    #[inline]
    pub fn register(&self, ipa: Ipa) -> Option<(Register, bool)> {
        self.bus.find(ipa).map(|found| (found.register, self.lets(found.is_guarded)))
    }

    /// The guard's rule: an access outside memory goes on where the VM has not enrolled or the page is
    /// guarded.
    #[inline]
    pub(crate) fn lets(&self, is_guarded: bool) -> bool {
        is_guarded || !self.is_enrolled()
    }

    #[inline(never)]
    fn leaf_is_guarded(&self, ipa: Ipa) -> bool {
        self.tables.slot(&self.ports, ipa).is_some_and(|slot| slot.is_guarded())
    }

    /// Declares the granule at `ipa` to be MMIO. Declaring it again changes nothing.
    ///
    /// The registers of an assigned device are mapped by this, as the device's own type.
    ///
    /// # Errors
    ///
    /// In this order: the VM has not enrolled; `ipa` is not aligned, above the address space, or
    /// memory; no table frame is left.
    #[inline(always)]
    pub fn guard_map_at_once(&self, ipa: Ipa) -> Result<(), GuardError> {
        self.check_call(ipa)?;
        let is_done = match self.bus.find(ipa) {
            Some(found) => found.is_guarded,
            None => self.mark_in_place(ipa),
        };
        if is_done { Ok(()) } else { self.guard_map_slowly(ipa, None) }
    }

    /// As [`AddressSpace::guard_map_at_once`], with the registers of an assigned device mapped as
    /// `kind`, if that is one.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn guard_map(&self, ipa: Ipa, kind: Option<DeviceType>) -> Result<(), GuardError> {
        self.check_call(ipa)?;
        self.guard_map_slowly(ipa, kind)
    }

    /// Marks the granule at `ipa`, which no emulated device has, if its table is there and nothing
    /// else is: one walk, one store. `true` where it is guarded now, be it from before.
    #[inline(always)]
    fn mark_in_place(&self, ipa: Ipa) -> bool {
        let Some(slot) = self.tables.slot(&self.ports, ipa) else { return false };
        if slot.is_guarded() {
            return true;
        }
        if !slot.is_empty()
            || slot.level != Level::L3
            || self.is_memory(ipa)
            || self.device_at(ipa).is_some()
        {
            return false;
        }
        let _writer = self.write();
        self.guards.store(true, Ordering::Relaxed);
        // The table stays where it is while the VM runs; what it holds may have changed.
        slot.mark_if_empty()
    }

    /// The rest of [`AddressSpace::guard_map`].
    #[inline(never)]
    fn guard_map_slowly(&self, ipa: Ipa, kind: Option<DeviceType>) -> Result<(), GuardError> {
        if !self.in_range(ipa) {
            return Err(GuardError::OutOfRange);
        }
        if self.is_memory(ipa) {
            return Err(GuardError::Memory);
        }
        let mut writer = self.write();
        self.guards.store(true, Ordering::Relaxed);
        let Writer { pool, .. } = &mut *writer;
        let mut editor = Editor::new(self.tables, &self.ports, pool);
        self.place_mark(&mut editor, ipa, kind).map_err(|error| match error {
            EditError::NoTables => GuardError::NoTables,
            other => GuardError::Tables(other),
        })
    }

    /// Takes back that the granule at `ipa` is MMIO. The registers of an assigned device are
    /// unmapped by this.
    ///
    /// # Errors
    ///
    /// In this order: the VM has not enrolled; `ipa` is not aligned; the granule is not guarded.
    pub fn guard_unmap(&self, ipa: Ipa) -> Result<(), GuardError> {
        self.check_call(ipa)?;
        let mut writer = self.write();
        let mut editor = Editor::new(self.tables, &self.ports, &mut writer.pool);
        let slot = editor.slot(ipa).map_err(|_| GuardError::NotGuarded)?;
        if !slot.is_guarded() {
            return Err(GuardError::NotGuarded);
        }
        if !slot.clear_mark() {
            editor.take_page(ipa, PageState::GuardedDevice).map_err(GuardError::Tables)?;
        }
        self.bus.set_guarded(ipa, false);
        Ok(())
    }

    /// Declares up to `count` granules from `base` to be MMIO; answers how many, at least one
    /// and at most [`RANGE_LIMIT`]. It stops before the first granule that cannot be guarded.
    ///
    /// # Errors
    ///
    /// Those of [`AddressSpace::guard_map_at_once`] for the first granule, and a `count` of 0.
    pub fn guard_map_range(&self, base: Ipa, count: u64) -> Result<u64, GuardError> {
        self.check_call(base)?;
        each_granule(base, count, |ipa| self.guard_map_slowly(ipa, None))
    }

    /// Takes back up to `count` declarations from `base`; answers how many, at least one and at
    /// most [`RANGE_LIMIT`]. It stops before the first granule that is not guarded.
    ///
    /// # Errors
    ///
    /// Those of [`AddressSpace::guard_unmap`] for the first granule, and a `count` of 0.
    pub fn guard_unmap_range(&self, base: Ipa, count: u64) -> Result<u64, GuardError> {
        self.check_call(base)?;
        each_granule(base, count, |ipa| self.guard_unmap(ipa))
    }

    /// Maps the page of an assigned device that the VM has touched at `ipa`. Not needed after
    /// [`AddressSpace::guard_map`].
    ///
    /// # Errors
    ///
    /// Where no device is assigned, or the VM has enrolled and the page is not guarded.
    pub fn map_device(&self, ipa: Ipa) -> Result<(), DeviceError> {
        let ipa = ipa.page();
        let device = self.device_at(ipa).ok_or(DeviceError::NotAssigned)?;
        let pa = device.translate(ipa).ok_or(DeviceError::NotAssigned)?;
        let mut writer = self.write();
        if let Leaf::Valid(_) = self.lookup(ipa) {
            return Ok(());
        }
        // Asked under the lock: whoever enrols unmaps what was mapped before.
        if self.is_enrolled() {
            return Err(DeviceError::NotGuarded);
        }
        let leaf = LeafEntry {
            pa,
            attributes: Self::device_attributes(device, None),
            state: PageState::Device,
        };
        let mut editor = Editor::new(self.tables, &self.ports, &mut writer.pool);
        editor.map_leaf(ipa, Level::L3, leaf, Purpose::Marks)?;
        Ok(())
    }

    #[inline(always)]
    fn check_call(&self, ipa: Ipa) -> Result<(), GuardError> {
        if !self.is_enrolled() {
            return Err(GuardError::NotEnrolled);
        }
        if !ipa.is_aligned(PAGE_SIZE) {
            return Err(GuardError::Unaligned);
        }
        Ok(())
    }

    /// Guards the granule at `ipa`, which is aligned, in range and not memory. With the writer
    /// lock held.
    pub(crate) fn place_mark(
        &self,
        editor: &mut Editor<'_, P>,
        ipa: Ipa,
        kind: Option<DeviceType>,
    ) -> Result<(), EditError> {
        let slot = editor.slot(ipa)?;
        match self.device_at(ipa) {
            // It was before, or another vCPU was faster.
            _ if slot.is_guarded() => {}
            None => editor.mark_slot(&slot, ipa)?,
            Some(device) => {
                let leaf = LeafEntry {
                    pa: device.translate(ipa).ok_or(EditError::WrongState)?,
                    attributes: Self::device_attributes(device, kind),
                    state: PageState::GuardedDevice,
                };
                editor.map_leaf(ipa, Level::L3, leaf, Purpose::Marks)?;
            }
        }
        self.bus.set_guarded(ipa, true);
        Ok(())
    }
}

/// Calls `step` for up to `count` granules from `base` until it refuses; answers how many it did
/// not refuse, or its error where that is none.
fn each_granule(
    base: Ipa,
    count: u64,
    mut step: impl FnMut(Ipa) -> Result<(), GuardError>,
) -> Result<u64, GuardError> {
    if count == 0 {
        return Err(GuardError::EmptyRange);
    }
    let mut done = 0u64;
    let mut ipa = base;
    while done < count.min(RANGE_LIMIT) {
        match step(ipa) {
            Ok(()) => done = done.saturating_add(1),
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
        let Some(next) = ipa.checked_add(PAGE_SIZE) else { break };
        ipa = next;
    }
    Ok(done)
}
