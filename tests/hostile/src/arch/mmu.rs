//! The guest's own stage-1 tables.
//!
//! Those of `guest_runtime::mmu`; and once more, read-only, the first 2 GiB for code that runs while
//! SCTLR_EL1.WXN forbids what can be written. The upper half is the lower half again.
#![expect(unsafe_code, reason = "symbols shared with assembly")]

use core::sync::atomic::{AtomicU64, Ordering};

use guest_runtime::mmu::{self, NORMAL, READ_ONLY, TABLE, Tables};
pub(crate) use guest_runtime::mmu::{NORMAL_WINDOW, USER_WINDOW};
use hyp_abi::vplatform::RAM_BASE;

use super::cpu;

/// VA of the upper half at which IPA 0 appears read-only.
pub(crate) const UPPER: u64 = (0xffff << 48) + (34 << 39);

/// MAIR_EL1: 0 Device-nGnRE, 1 Normal write-back, 2 Normal non-cacheable.
const MAIR: u64 = 0x0044_ff04;
/// TCR_EL1: both halves 48 bits, 4 KiB granules, write-back inner shareable walks.
const TCR: u64 = 0xb510_3510;

// In .bss, whose stale cache lines boot.S has dropped: written with the MMU off.
static TABLES: Tables<{ mmu::FREE + 1 }> = Tables::new();

// TCR_EL1, TTBR0_EL1, MAIR_EL1 and VBAR_EL1 as usual.
// SAFETY: boot.S and shot.S read it by this name, and no other symbol has it.
#[unsafe(no_mangle)]
static USUAL: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

// SAFETY: a label of `shot.S`, of which only the address is used.
unsafe extern "C" {
    fn vectors();
}

/// TCR_EL1 and TTBR0_EL1 as usual.
pub(crate) fn usual() -> (u64, u64) {
    (USUAL[0].load(Ordering::Relaxed), USUAL[1].load(Ordering::Relaxed))
}

/// Fills the tables; `ram` is base and size of RAM as the tree says.
pub(crate) fn build(ram: (u64, u64)) {
    TABLES.fill(ram);
    TABLES.set(mmu::NORMAL_L1, 1, RAM_BASE | NORMAL);
    TABLES.set(mmu::L0, 34, TABLES.address(mmu::FREE) | TABLE);
    TABLES.set(mmu::FREE, 1, RAM_BASE | NORMAL | READ_ONLY);
    let physical_bits = (cpu::mmfr0() & 0xf).min(5);
    let tables = TABLES.address(mmu::L0);
    let values = [TCR | physical_bits << 32, tables, MAIR, vectors as *const () as u64];
    for (place, value) in USUAL.iter().zip(values) {
        place.store(value, Ordering::Relaxed);
    }
}
