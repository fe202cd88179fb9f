//! The guest's own stage-1 tables.
//!
//! Identity map of 1 TiB: RAM as Normal write-back, everything else as Device-nGnRE. Windows show
//! the first 2 GiB once more: for EL0; with what is not RAM as Normal memory that can be fetched
//! from; and read-only, for code that runs while SCTLR_EL1.WXN forbids what can be written. The
//! upper half is the lower half again.
#![expect(unsafe_code, reason = "symbols shared with assembly")]

use core::sync::atomic::{AtomicU64, Ordering};

use hyp_abi::vplatform::RAM_BASE;

use super::cpu;

/// VA at which IPA 0 appears for EL0.
pub(crate) const USER_WINDOW: u64 = 32 << 39;
/// VA at which IPA 0 appears as Normal memory.
pub(crate) const NORMAL_WINDOW: u64 = 33 << 39;
/// VA of the upper half at which IPA 0 appears read-only.
pub(crate) const UPPER: u64 = (0xffff << 48) + (34 << 39);

const MIB_2: u64 = 2 << 20;
const GIB: u64 = 1 << 30;

// Descriptor bits (Arm ARM, D8.3).
const BLOCK: u64 = 0b01;
const TABLE: u64 = 0b11;
const ACCESSED: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const USER: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const DEVICE: u64 = BLOCK | ACCESSED | PXN | UXN;
const NORMAL: u64 = BLOCK | ACCESSED | INNER_SHAREABLE | (1 << 2) | UXN;
const UNCACHED: u64 = BLOCK | ACCESSED | INNER_SHAREABLE | (2 << 2) | UXN;

/// MAIR_EL1: 0 Device-nGnRE, 1 Normal write-back, 2 Normal non-cacheable.
const MAIR: u64 = 0x0044_ff04;
/// TCR_EL1: both halves 48 bits, 4 KiB granules, write-back inner shareable walks.
const TCR: u64 = 0xb510_3510;

#[repr(C, align(4096))]
struct Tables([[AtomicU64; 512]; 7]);

// In .bss, whose stale cache lines boot.S has dropped: written with the MMU off.
static TABLES: Tables = Tables([const { [const { AtomicU64::new(0) }; 512] }; 7]);

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

fn address(table: usize) -> u64 {
    (&raw const TABLES.0[table]) as u64
}

fn set(table: usize, index: usize, descriptor: u64) {
    TABLES.0[table][index].store(descriptor, Ordering::Relaxed);
}

/// Fills the tables; `ram` is base and size of RAM as the tree says.
pub(crate) fn build((base, size): (u64, u64)) {
    const L0: usize = 0;
    const LOW: usize = 1;
    const HIGH: usize = 2;
    const FIRST_RAM: usize = 3;
    const USER_L1: usize = 4;
    const NORMAL_L1: usize = 5;
    const FIXED_L1: usize = 6;
    let end = base.saturating_add(size);
    set(L0, 0, address(LOW) | TABLE);
    set(L0, 1, address(HIGH) | TABLE);
    set(L0, 32, address(USER_L1) | TABLE);
    set(L0, 33, address(NORMAL_L1) | TABLE);
    set(L0, 34, address(FIXED_L1) | TABLE);
    let mut at = 0;
    for i in 0..512 {
        let is_ram = at >= base && at + GIB <= end;
        set(LOW, i, at | if is_ram { NORMAL } else { DEVICE });
        set(HIGH, i, (at + 512 * GIB) | DEVICE);
        at += GIB;
    }
    // The first gigabyte of RAM may be partly there.
    set(LOW, 1, address(FIRST_RAM) | TABLE);
    let mut at = RAM_BASE;
    for i in 0..512 {
        let is_ram = at >= base && at + MIB_2 <= end;
        set(FIRST_RAM, i, at | if is_ram { NORMAL } else { DEVICE });
        at += MIB_2;
    }
    set(USER_L1, 0, (UNCACHED & !UXN) | USER | PXN);
    set(USER_L1, 1, RAM_BASE | (NORMAL & !UXN) | USER | PXN);
    set(NORMAL_L1, 0, UNCACHED);
    set(NORMAL_L1, 1, RAM_BASE | NORMAL);
    set(FIXED_L1, 1, RAM_BASE | NORMAL | READ_ONLY);
    let physical_bits = (cpu::mmfr0() & 0xf).min(5);
    let values = [TCR | physical_bits << 32, address(L0), MAIR, vectors as *const () as u64];
    for (place, value) in USUAL.iter().zip(values) {
        place.store(value, Ordering::Relaxed);
    }
}
