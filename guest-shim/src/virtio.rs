//! `Hal` for the drivers of the crate `virtio-drivers`: queues and bounce buffers in memory that
//! is shared with the host, everything else private.
//!
//! A [`Pool`] is shared once, as a whole. Queues are allocated from it, and each buffer that a
//! driver hands to its device is copied into the pool before and out of it after: no page with
//! anything else in it is ever shared, and a host that writes into the pool at the wrong moment
//! changes nothing but what it could have sent anyway.
//!
//! A guest gives the pool a home behind a lock of its own and says how it maps registers; that is
//! its [`Platform`]. Then `SharingHal<ItsPlatform>` is the `Hal` of its drivers.
#![expect(unsafe_code, reason = "the pool is raw memory that the host writes to")]

mod units;

use core::marker::PhantomData;
use core::ptr::NonNull;

use thiserror::Error as ThisError;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use crate::error::Error;
use crate::sharing::MemSharingHypervisor;
use units::{UNIT, UNITS_PER_PAGE, Units};

/// Memory for a [`Pool`]: contiguous in both address spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolMemory {
    /// Where the guest has it mapped.
    pub va: NonNull<u8>,
    /// Its physical address as the guest sees it, not 0.
    pub ipa: u64,
    /// How large it is.
    pub bytes: usize,
}

/// Why there is no pool, or no room in it.
#[must_use]
#[derive(Debug, ThisError, Clone, Copy, PartialEq, Eq)]
pub enum PoolError {
    /// The memory is empty, at physical address 0, ends outside the address space, is not made of
    /// whole pages and granules, or there are fewer words than pages.
    #[error("no pool can be made of that memory")]
    Memory,
    /// The hypervisor refuses to share, or to take back.
    #[error(transparent)]
    Call(#[from] Error),
    /// No room is left.
    #[error("the pool has no room for {0} bytes")]
    Full(usize),
    /// What comes back was never handed out, or the pool is in use.
    #[error("the pool and its users disagree about what is in use")]
    InUse,
}

/// Memory for queues and bounce buffers.
#[derive(Debug)]
pub struct Pool {
    memory: PoolMemory,
    /// What was shared in granules of this size; `None` if nothing had to be.
    granule: Option<u64>,
    units: Units,
}

// SAFETY: the pool alone uses its memory, from whichever CPU; that is what its makers promise.
unsafe impl Send for Pool {}

impl Pool {
    /// Shares `memory` with the host and makes a pool of it. `words` is where the pool notes what
    /// is in use: one for each page of [`PAGE_SIZE`] bytes.
    ///
    /// # Errors
    ///
    /// [`PoolError::Memory`]; else the hypervisor's refusal, and then nothing of it is shared.
    ///
    /// # Safety
    ///
    /// `memory` is mapped as normal, cacheable memory at both of its addresses, and nobody but the
    /// pool uses it for as long as the program runs or until [`reclaim`](Self::reclaim) gives it
    /// back.
    pub unsafe fn shared(
        sharing: &impl MemSharingHypervisor,
        memory: PoolMemory,
        words: &'static mut [u64],
    ) -> Result<Self, PoolError> {
        let granule = sharing.granule()?;
        let count = check(memory, granule, words)?;
        sharing.share_all(memory.ipa, count)?;
        Ok(Self { memory, granule: Some(granule), units: Units::new(words) })
    }

    /// Makes a pool of `memory` without sharing it: for VMs whose memory the host sees anyway.
    ///
    /// # Errors
    ///
    /// [`PoolError::Memory`].
    ///
    /// # Safety
    ///
    /// As for [`shared`](Self::shared).
    pub unsafe fn unshared(
        memory: PoolMemory,
        words: &'static mut [u64],
    ) -> Result<Self, PoolError> {
        let _ = check(memory, 1, words)?;
        Ok(Self { memory, granule: None, units: Units::new(words) })
    }

    /// Takes the memory back from the host and gives it to the caller; it holds what the host left
    /// there.
    ///
    /// # Errors
    ///
    /// The pool and [`PoolError::InUse`] while a queue or a buffer lives in it, or the
    /// hypervisor's refusal: some granules may still be shared then.
    pub fn reclaim(
        self,
        sharing: &impl MemSharingHypervisor,
    ) -> Result<(PoolMemory, &'static mut [u64]), (Self, PoolError)> {
        if !self.units.are_free() {
            return Err((self, PoolError::InUse));
        }
        if let Some(granule) = self.granule {
            let count = self.memory.bytes as u64 / granule;
            if let Err(error) = sharing.unshare_all(self.memory.ipa, count) {
                return Err((self, error.into()));
            }
        }
        Ok((self.memory, self.units.into_words()))
    }

    /// Whole pages in a row, zeroed.
    fn take_pages(&mut self, pages: usize) -> Result<(PhysAddr, NonNull<u8>), PoolError> {
        let full = PoolError::Full(pages.saturating_mul(PAGE_SIZE));
        let count = pages.checked_mul(UNITS_PER_PAGE).ok_or(full)?;
        let first = self.units.take(count, UNITS_PER_PAGE).ok_or(full)?;
        let va = self.address(first);
        for word in 0..pages.saturating_mul(PAGE_SIZE) / size_of::<u64>() {
            // SAFETY: the pages were just taken and lie within the pool.
            let word = unsafe { va.cast::<u64>().add(word) };
            // SAFETY: they are memory of the pool, aligned to pages, and nobody else's.
            unsafe { word.write_volatile(0) };
        }
        Ok((self.physical(first), va))
    }

    fn give_back_pages(&mut self, ipa: PhysAddr, pages: usize) -> Result<(), PoolError> {
        self.give_back(ipa, pages.saturating_mul(PAGE_SIZE)).map(|_| ())
    }

    /// Room for `bytes`, not zeroed.
    fn take_buffer(&mut self, bytes: usize) -> Result<(PhysAddr, NonNull<u8>), PoolError> {
        let first = self.units.take(bytes.div_ceil(UNIT), 1).ok_or(PoolError::Full(bytes))?;
        Ok((self.physical(first), self.address(first)))
    }

    /// Forgets the users of `bytes` at `ipa`; their address, where they stay until the next taking.
    fn give_back(&mut self, ipa: PhysAddr, bytes: usize) -> Result<NonNull<u8>, PoolError> {
        let offset = ipa
            .checked_sub(self.memory.ipa)
            .and_then(|offset| usize::try_from(offset).ok())
            .filter(|offset| offset.is_multiple_of(UNIT))
            .ok_or(PoolError::InUse)?;
        let first = offset / UNIT;
        if self.units.give_back(first, bytes.div_ceil(UNIT)) {
            Ok(self.address(first))
        } else {
            Err(PoolError::InUse)
        }
    }

    fn address(&self, unit: usize) -> NonNull<u8> {
        // SAFETY: only units that were handed out come here, and these lie within the pool.
        unsafe { self.memory.va.add(unit.saturating_mul(UNIT)) }
    }

    fn physical(&self, unit: usize) -> PhysAddr {
        self.memory.ipa.saturating_add(unit.saturating_mul(UNIT) as u64)
    }
}

/// How many granules `memory` has, if a pool can be made of it.
fn check(memory: PoolMemory, granule: u64, words: &[u64]) -> Result<u64, PoolError> {
    let bytes = memory.bytes as u64;
    let unit = granule.max(PAGE_SIZE as u64);
    let is_whole = memory.ipa.is_multiple_of(unit)
        && bytes.is_multiple_of(unit)
        && memory.va.addr().get().is_multiple_of(PAGE_SIZE);
    let is_there = memory.ipa != 0
        && memory.ipa.checked_add(bytes).is_some()
        && memory.va.addr().checked_add(memory.bytes).is_some();
    if bytes != 0 && is_whole && is_there && words.len() == memory.bytes / PAGE_SIZE {
        Ok(bytes / granule)
    } else {
        Err(PoolError::Memory)
    }
}

/// What [`SharingHal`] needs of a guest.
///
/// # Safety
///
/// What [`mmio_phys_to_virt`](Self::mmio_phys_to_virt) returns points to the registers, mapped as
/// device memory, and aliases no object of the program. [`with_pool`](Self::with_pool) hands out
/// the same pool as long as anything lives in it, and to one caller at a time.
pub unsafe trait Platform {
    /// Does `work` on the one pool, behind the guest's own lock.
    fn with_pool<R>(work: impl FnOnce(&mut Pool) -> R) -> R;

    /// Maps the registers of a PCI device, and guards them: see
    /// [`IoremapGuard`](crate::IoremapGuard).
    ///
    /// # Safety
    ///
    /// The `size` bytes at `paddr` are registers of a device.
    unsafe fn mmio_phys_to_virt(paddr: PhysAddr, size: usize) -> NonNull<u8>;
}

/// The `Hal` of a guest whose platform is `P`.
///
/// # Panics
///
/// Its `share` panics when the pool has no room, because a `Hal` cannot refuse: a pool needs as
/// many bytes as the drivers' queues and the buffers of all requests in flight. A queue for which
/// there is no room is a `DmaError` of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharingHal<P>(PhantomData<P>);

// SAFETY: `dma_alloc` returns zeroed pages of the pool, valid and nobody else's until they are
// given back; `mmio_phys_to_virt` returns what the platform promises.
unsafe impl<P: Platform> Hal for SharingHal<P> {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // Address 0 is how `virtio_drivers` spells failure.
        P::with_pool(|pool| pool.take_pages(pages)).unwrap_or((0, NonNull::dangling()))
    }

    unsafe fn dma_dealloc(paddr: PhysAddr, _: NonNull<u8>, pages: usize) -> i32 {
        P::with_pool(|pool| pool.give_back_pages(paddr, pages)).map_or(-1, |()| 0)
    }

    unsafe fn mmio_phys_to_virt(paddr: PhysAddr, size: usize) -> NonNull<u8> {
        // SAFETY: the caller's promise is the same.
        unsafe { P::mmio_phys_to_virt(paddr, size) }
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        let taken = P::with_pool(|pool| pool.take_buffer(buffer.len()));
        let (ipa, bounce) = match taken {
            Ok(taken) => taken,
            Err(error) => panic!("a buffer cannot be shared: {error}"),
        };
        if direction != BufferDirection::DeviceToDriver {
            // SAFETY: the buffer is the caller's, the bounce buffer was taken with its length.
            unsafe { copy(buffer.cast(), bounce, buffer.len()) };
        }
        ipa
    }

    unsafe fn unshare(paddr: PhysAddr, buffer: NonNull<[u8]>, direction: BufferDirection) {
        let copied = P::with_pool(|pool| {
            let bounce = pool.give_back(paddr, buffer.len())?;
            if direction != BufferDirection::DriverToDevice {
                // SAFETY: the buffer is the caller's; nobody takes the bounce buffer meanwhile,
                // because the pool is ours until the end of this closure.
                unsafe { copy(bounce, buffer.cast(), buffer.len()) };
            }
            Ok::<_, PoolError>(())
        });
        if let Err(error) = copied {
            panic!("a buffer comes back that was not shared: {error}");
        }
    }
}

/// Copies `bytes` of which one side may change at any time by the host's hand, byte by byte so
/// that no alignment matters.
///
/// # Safety
///
/// `from` can be read and `to` written for `bytes`.
unsafe fn copy(from: NonNull<u8>, to: NonNull<u8>, bytes: usize) {
    for offset in 0..bytes {
        // SAFETY: within `from` by the caller's promise.
        let from = unsafe { from.add(offset) };
        // SAFETY: within `to` by the caller's promise.
        let to = unsafe { to.add(offset) };
        // SAFETY: readable by the caller's promise.
        let byte = unsafe { from.read_volatile() };
        // SAFETY: writable by the caller's promise.
        unsafe { to.write_volatile(byte) };
    }
}
