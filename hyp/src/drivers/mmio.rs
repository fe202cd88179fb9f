//! Access to device registers.
#![expect(unsafe_code, reason = "device registers are reached through raw addresses")]

/// The registers of one device, mapped as Device memory.
///
/// Copies refer to the same device; what keeps two users apart is the driver's lock.
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

    /// Bytes of registers.
    pub(crate) const fn size(self) -> usize {
        self.size
    }

    /// The registers from `offset` on.
    pub(crate) fn part(self, offset: usize, size: usize) -> Self {
        assert!(offset <= self.size && size <= self.size - offset, "device part out of range");
        Self { base: self.base + offset, size }
    }

    /// Address of an aligned register of `width` bytes. Offsets are the drivers' own, so a bad one
    /// is a bug.
    #[inline(always)]
    fn at(self, offset: usize, width: usize) -> usize {
        assert!(
            offset.is_multiple_of(width) && self.size >= width && offset <= self.size - width,
            "device register out of range"
        );
        self.base + offset
    }

    /// Reads 32 bits.
    #[inline(always)]
    pub(crate) fn read32(self, offset: usize) -> u32 {
        // SAFETY: mapped (see `new`), in range and aligned (see `at`).
        unsafe { (self.at(offset, 4) as *const u32).read_volatile() }
    }

    /// Writes 32 bits.
    #[inline(always)]
    pub(crate) fn write32(self, offset: usize, value: u32) {
        // SAFETY: as in `read32`.
        unsafe { (self.at(offset, 4) as *mut u32).write_volatile(value) };
    }

    /// Reads 64 bits.
    pub(crate) fn read64(self, offset: usize) -> u64 {
        // SAFETY: as in `read32`.
        unsafe { (self.at(offset, 8) as *const u64).read_volatile() }
    }

    /// Writes 64 bits.
    pub(crate) fn write64(self, offset: usize, value: u64) {
        // SAFETY: as in `read32`.
        unsafe { (self.at(offset, 8) as *mut u64).write_volatile(value) };
    }

    /// Writes 8 bits.
    pub(crate) fn write8(self, offset: usize, value: u8) {
        // SAFETY: as in `read32`.
        unsafe { (self.at(offset, 1) as *mut u8).write_volatile(value) };
    }
}
