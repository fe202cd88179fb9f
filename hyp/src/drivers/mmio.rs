//! Access to device registers.
//!
//! A driver describes its registers by `register_structs!`; here, and nowhere else, such a
//! description is laid over a device.
#![expect(unsafe_code, reason = "device registers are reached through raw addresses")]

use core::fmt;
use core::ops::Deref;

use tock_registers::registers::ReadWrite;

use super::registers::{armada, cadence, geni, gicv2, gicv3, imx, lpuart, meson, pl011};

/// What can be laid over a device's registers.
///
/// # Safety
///
/// One register of `tock_registers`, or several with padding as `register_structs!` makes them: every access is
/// one volatile access of the register's width, and any value is valid.
pub(crate) unsafe trait Layout {}

// SAFETY: made by `register_structs!`.
unsafe impl Layout for pl011::Block {}
// SAFETY: as above.
unsafe impl Layout for gicv2::Distributor {}
// SAFETY: as above.
unsafe impl Layout for gicv2::Interface {}
// SAFETY: as above.
unsafe impl Layout for gicv2::Hypervisor {}
// SAFETY: as above.
unsafe impl Layout for gicv3::Distributor {}
// SAFETY: as above.
unsafe impl Layout for gicv3::Redistributor {}
// SAFETY: as above.
unsafe impl Layout for gicv3::Translator {}
// SAFETY: as above.
unsafe impl Layout for cadence::Block {}
// SAFETY: as above.
unsafe impl Layout for imx::Block {}
// SAFETY: as above.
unsafe impl Layout for armada::Block {}
// SAFETY: as above.
unsafe impl Layout for geni::Block {}
// SAFETY: as above.
unsafe impl Layout for lpuart::Block {}
// SAFETY: as above.
unsafe impl Layout for meson::Block {}
// SAFETY: one register.
unsafe impl Layout for ReadWrite<u8> {}
// SAFETY: one register.
unsafe impl Layout for ReadWrite<u32> {}

/// Where a device's registers are mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mmio {
    base: usize,
    size: usize,
}

impl Mmio {
    /// # Safety
    ///
    /// `size` bytes from `base` must stay mapped as Device memory for ever.
    pub(crate) const unsafe fn new(base: usize, size: usize) -> Self {
        Self { base, size }
    }

    /// The registers `T` at byte `offset`; `None` where they do not fit or are not aligned.
    pub(crate) fn registers<T: Layout>(self, offset: usize) -> Option<Registers<T>> {
        let room = self.size.checked_sub(offset)?;
        let address = self.base.checked_add(offset)?;
        if room < size_of::<T>() || !address.is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: the range is mapped for ever (see `new`), `T` fits, is aligned and valid whatever
        // the device holds (see `Layout`).
        Some(Registers(unsafe { &*(address as *const T) }))
    }
}

/// The registers of one device.
///
/// Copies refer to the same device; what keeps two users apart is the driver's lock.
pub(crate) struct Registers<T: 'static>(&'static T);

// SAFETY: each access is one volatile access to a device, which orders those of different CPUs.
unsafe impl<T: Layout> Send for Registers<T> {}
// SAFETY: as above.
unsafe impl<T: Layout> Sync for Registers<T> {}

impl<T> Clone for Registers<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Registers<T> {}

impl<T> fmt::Debug for Registers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}", self.0)
    }
}

impl<T> Deref for Registers<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.0
    }
}
