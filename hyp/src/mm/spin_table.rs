//! The words in memory at which CPUs wait that firmware does not start by PSCI (Devicetree
//! Specification v0.4, 3.8.1, `cpu-release-addr`; Linux, Documentation/arch/arm64/booting.rst).

use hyp_core::addr::Pa;

use super::el2_map::{self, MapError};
use crate::arch::{cache, cpu};

/// Sends the CPU that waits at `word` to the physical address `entry`, MMU off.
///
/// The word's page, and all that the waiting CPU runs, must be no memory that EL2 gives away.
pub(crate) fn release(word: Pa, entry: Pa) -> Result<(), MapError> {
    const SIZE: usize = size_of::<u64>();
    if !word.is_aligned(SIZE as u64) {
        return Err(MapError::BadRange);
    }
    // The CPU looks past its caches, and so Linux, too, maps the word as ordinary memory and cleans
    // it (`arch/arm64/kernel/smp_spin_table.c`).
    let va = el2_map::owned(word, SIZE as u64)?;
    // SAFETY: just mapped writable for these bytes, aligned; nothing refers to them.
    unsafe { core::ptr::write_volatile(va as *mut u64, entry.get().to_le()) };
    cache::clean_invalidate_to_poc(va, SIZE);
    cpu::send_event();
    Ok(())
}
