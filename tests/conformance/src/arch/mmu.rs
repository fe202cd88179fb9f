//! The guest's own stage-1 tables: where every IPA appears.
//!
//! Identity map of 1 TiB: RAM as Normal write-back, everything else as Device-nGnRE. Two windows
//! show the first 2 GiB once more: one for EL0 and one in which non-RAM is Normal non-cacheable
//! and executable, for fetches and unaligned accesses that stage 1 would refuse on Device memory.
#![expect(unsafe_code, reason = "TLB maintenance, TTBR1")]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use hyp_abi::vplatform::RAM_BASE;

use super::sysreg;

/// VA at which IPA 0 appears for EL0.
pub(crate) const USER_WINDOW: u64 = 32 << 39;
/// VA at which IPA 0 appears as Normal memory.
pub(crate) const NORMAL_WINDOW: u64 = 33 << 39;
/// VA of a region whose tables lie at an IPA of the test's choice; see [`remote`].
const REMOTE_WINDOW: u64 = 40 << 39;

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
struct Tables([[AtomicU64; 512]; 9]);

// In .bss, whose stale cache lines boot.S has dropped: written with the MMU off.
// SAFETY: boot.S takes the address by this name, and no other symbol has it.
#[unsafe(no_mangle)]
static TABLES: Tables = Tables([const { [const { AtomicU64::new(0) }; 512] }; 9]);

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

/// A VA whose walk needs a table of `level`, 0 to 3, at `ipa`, which need not be memory.
///
/// The tables above it are in order; [`forget_remote`] takes them away.
pub(crate) fn remote(level: usize, ipa: u64) -> u64 {
    const L1: usize = 7;
    const L2: usize = 8;
    if level == 0 {
        // The upper half: 48 bits, 4 KiB pages, walked like the lower half.
        set_upper(ipa, sysreg::tcr_el1() & !UPPER | 16 << 16 | 2 << 30);
        return UPPER_BASE + REMOTE_OFFSET;
    }
    set(0, 40, if level == 1 { ipa } else { table_address(L1) } | TABLE);
    set(L1, 1, if level == 2 { ipa } else { table_address(L2) } | TABLE);
    set(L2, 0, ipa | TABLE);
    flush();
    REMOTE_WINDOW + REMOTE_OFFSET
}

/// No walk comes to such a table any more.
pub(crate) fn forget_remote() {
    set(0, 40, 0);
    set_upper(0, sysreg::tcr_el1() | UPPER_OFF);
}

/// In the second GiB, and in its first 2 MiB.
const REMOTE_OFFSET: u64 = GIB + 0x4128;
const UPPER_BASE: u64 = 0xffff << 48;
/// TCR_EL1.EPD1.
const UPPER_OFF: u64 = 1 << 23;
/// T1SZ, A1, EPD1, and IRGN1 to TG1 of TCR_EL1.
const UPPER: u64 = 0xffff << 16;

fn set_upper(ttbr1: u64, tcr: u64) {
    // SAFETY: this guest has nothing in the upper half, and the lower half's fields stay.
    unsafe {
        asm!("msr ttbr1_el1, {}", "msr tcr_el1, {}", "isb", in(reg) ttbr1, in(reg) tcr, options(nostack));
    }
    flush();
}

fn flush() {
    // SAFETY: makes a change of unused addresses visible to the walker; the rest is unchanged.
    unsafe { asm!("dsb sy", "tlbi vmalle1is", "dsb sy", "isb", options(nostack)) };
}
