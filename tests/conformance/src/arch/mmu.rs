//! The guest's own stage-1 tables: those of `guest_runtime::mmu`, and a region whose tables lie where
//! the test wants them.
#![expect(unsafe_code, reason = "TLB maintenance, TTBR1")]

use core::arch::asm;

use guest_runtime::mmu::{self, GIB, TABLE, Tables};
pub(crate) use guest_runtime::mmu::{NORMAL_WINDOW, USER, USER_WINDOW};

use super::sysreg;
use crate::config::PAGE;

/// VA of a region whose tables lie at an IPA of the test's choice; see [`remote`].
const REMOTE_WINDOW: u64 = 40 << 39;

// In .bss, whose stale cache lines boot.S has dropped: written with the MMU off.
// SAFETY: boot.S takes the address by this name, and no other symbol has it.
#[unsafe(no_mangle)]
static TABLES: Tables<{ mmu::FREE + 3 }> = Tables::new();

/// Fills the tables; `ram` is base and size of RAM as the tree says.
pub(crate) fn build(ram: (u64, u64)) {
    TABLES.fill(ram);
}

/// A VA whose walk needs a table of `level`, 0 to 3, at `ipa`, which need not be memory.
///
/// The tables above it are in order; [`forget_remote`] takes them away.
pub(crate) fn remote(level: usize, ipa: u64) -> u64 {
    const L1: usize = mmu::FREE;
    const L2: usize = mmu::FREE + 1;
    if level == 0 {
        // The upper half: 48 bits, 4 KiB pages, walked like the lower half.
        set_upper(ipa, sysreg::tcr_el1() & !UPPER | 16 << 16 | 2 << 30);
        return UPPER_BASE + REMOTE_OFFSET;
    }
    TABLES.set(mmu::L0, 40, if level == 1 { ipa } else { TABLES.address(L1) } | TABLE);
    TABLES.set(L1, 1, if level == 2 { ipa } else { TABLES.address(L2) } | TABLE);
    TABLES.set(L2, 0, ipa | TABLE);
    flush();
    REMOTE_WINDOW + REMOTE_OFFSET
}

/// A VA at which two pages follow each other, both of a device: IPAs with attributes of `guest_runtime`,
/// such as [`USER`]. [`forget_remote`] takes them away.
pub(crate) fn neighbours(first: u64, second: u64) -> u64 {
    const L3: usize = mmu::FREE + 2;
    let va = remote(3, TABLES.address(L3));
    TABLES.set(L3, 4, first | mmu::DEVICE_PAGE);
    TABLES.set(L3, 5, second | mmu::DEVICE_PAGE);
    flush();
    va & !(PAGE - 1)
}

/// A VA at which the page at `ipa`, a device's, can be read and not written. [`forget_remote`] takes it
/// away.
pub(crate) fn read_only(ipa: u64) -> u64 {
    neighbours(0, ipa | mmu::READ_ONLY) + PAGE
}

/// No walk comes to such a table any more.
pub(crate) fn forget_remote() {
    TABLES.set(mmu::L0, 40, 0);
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
