//! The guest's own stage-1 tables: where every IPA appears.
//!
//! Identity map of 1 TiB: RAM as Normal write-back, everything else as Device-nGnRE. Two windows
//! show the first 2 GiB once more: one for EL0 and one in which non-RAM is Normal non-cacheable
//! and executable, for fetches and unaligned accesses that stage 1 would refuse on Device memory.
#![expect(unsafe_code, reason = "TLB maintenance")]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use hyp_abi::vplatform::RAM_BASE;

/// VA at which IPA 0 appears for EL0.
pub(crate) const USER_WINDOW: u64 = 32 << 39;
/// VA at which IPA 0 appears as Normal memory.
pub(crate) const NORMAL_WINDOW: u64 = 33 << 39;
/// VA of a region whose tables lie at an IPA of the test's choice; see [`set_remote_table`].
pub(crate) const REMOTE_WINDOW: u64 = 40 << 39;

const MIB_2: u64 = 2 << 20;
const GIB: u64 = 1 << 30;

// Descriptor bits (Arm ARM, D8.3). AttrIndx values as boot.S fills MAIR_EL1.
const BLOCK: u64 = 0b01;
const TABLE: u64 = 0b11;
const ACCESSED: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const USER: u64 = 1 << 6;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const DEVICE: u64 = BLOCK | ACCESSED | PXN | UXN;
const NORMAL: u64 = BLOCK | ACCESSED | INNER_SHAREABLE | (1 << 2) | UXN;
const UNCACHED: u64 = BLOCK | ACCESSED | INNER_SHAREABLE | (2 << 2) | UXN;

#[repr(C, align(4096))]
struct Tables([[AtomicU64; 512]; 7]);

// In .bss, whose stale cache lines boot.S has dropped: written with the MMU off.
// SAFETY: boot.S takes the address by this name, and no other symbol has it.
#[unsafe(no_mangle)]
static TABLES: Tables = Tables([const { [const { AtomicU64::new(0) }; 512] }; 7]);

fn table_address(table: usize) -> u64 {
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
    let end = base.saturating_add(size);
    set(L0, 0, table_address(LOW) | TABLE);
    set(L0, 1, table_address(HIGH) | TABLE);
    set(L0, 32, table_address(USER_L1) | TABLE);
    set(L0, 33, table_address(NORMAL_L1) | TABLE);
    let mut address = 0;
    for i in 0..512 {
        let is_ram = address >= base && address + GIB <= end;
        set(LOW, i, address | if is_ram { NORMAL } else { DEVICE });
        set(HIGH, i, (address + 512 * GIB) | DEVICE);
        address += GIB;
    }
    // The first gigabyte of RAM may be partly there.
    set(LOW, 1, table_address(FIRST_RAM) | TABLE);
    let mut address = RAM_BASE;
    for i in 0..512 {
        let is_ram = address >= base && address + MIB_2 <= end;
        set(FIRST_RAM, i, address | if is_ram { NORMAL } else { DEVICE });
        address += MIB_2;
    }
    set(USER_L1, 0, (UNCACHED & !UXN) | USER | PXN);
    set(USER_L1, 1, RAM_BASE | (NORMAL & !UXN) | USER | PXN);
    set(NORMAL_L1, 0, UNCACHED);
}

/// Makes [`REMOTE_WINDOW`] use a level-1 table at `ipa`, which need not be memory; 0 takes it away.
pub(crate) fn set_remote_table(ipa: u64) {
    set(0, 40, if ipa == 0 { 0 } else { ipa | TABLE });
    // SAFETY: makes a change of unused addresses visible to the walker; the rest is unchanged.
    unsafe { asm!("dsb sy", "tlbi vmalle1is", "dsb sy", "isb", options(nostack)) };
}
