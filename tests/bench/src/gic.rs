//! As much of a GICv3 driver as the rows need: SGIs and the virtual timer, group 1 (Arm IHI 0069,
//! chapter 12).

use guest_runtime::mmio::Io;
use hyp_abi::vplatform::{GICD_BASE, GICR_BASE, GICR_STRIDE, VTIMER_INTID};

use crate::arch::cpu;

/// GICD_TYPER.
pub(crate) const GICD_TYPER: u64 = GICD_BASE + 4;
/// GICD_ISENABLER1: INTIDs 32 to 63.
pub(crate) const GICD_ISENABLER1: u64 = GICD_BASE + 0x104;
/// GICD_ICENABLER1.
pub(crate) const GICD_ICENABLER1: u64 = GICD_BASE + 0x184;
/// GICD_IPRIORITYR8: INTIDs 32 to 35.
pub(crate) const GICD_IPRIORITYR8: u64 = GICD_BASE + 0x420;
/// GICD_ICFGR2: INTIDs 32 to 47.
pub(crate) const GICD_ICFGR2: u64 = GICD_BASE + 0xc08;
/// GICD_IROUTER of INTID 32.
pub(crate) const GICD_IROUTER32: u64 = GICD_BASE + 0x6100;
/// An interrupt that no device raises, in registers with a bit for each of INTIDs 32 to 63.
pub(crate) const QUIET: u32 = 1 << 5;
/// GICR_TYPER of the first CPU.
pub(crate) const GICR_TYPER: u64 = GICR_BASE + 8;

/// GICR_ISENABLER0 of the first CPU.
pub(crate) const GICR_ISENABLER0: u64 = GICR_BASE + SGI_FRAME + ISENABLER0;

const GICD_CTLR: u64 = 0;
/// GICD_CTLR: affinity routing and group 1.
const ARE_AND_GROUP_1: u32 = 1 << 4 | 1 << 1;
const GICR_WAKER: u64 = 0x14;
const SGI_FRAME: u64 = 0x1_0000;
const IGROUPR0: u64 = 0x80;
const ISENABLER0: u64 = 0x100;
const IPRIORITYR: u64 = 0x400;
/// All SGIs and the virtual timer.
const USED: u32 = 0xffff | 1 << VTIMER_INTID;

/// Writes a register.
pub(crate) fn write(register: u64, value: u32) {
    Io::new(register).write32(0, value);
}

/// Lets group 1 out.
pub(crate) fn set_up_distributor() {
    Io::new(GICD_BASE).write32(GICD_CTLR, ARE_AND_GROUP_1);
}

/// Redistributor and CPU interface of CPU `index`, which is this one.
pub(crate) fn set_up_cpu(index: u64) {
    let redistributor = GICR_BASE + GICR_STRIDE * index;
    Io::new(redistributor).write32(GICR_WAKER, 0);
    let private = Io::new(redistributor + SGI_FRAME);
    private.write32(IGROUPR0, u32::MAX);
    for fours in 0..8 {
        private.write32(IPRIORITYR + fours * 4, 0xa0a0_a0a0);
    }
    private.write32(ISENABLER0, USED);
    cpu::open_gic_interface();
}

/// ICC_SGI1R_EL1 that sends an SGI to CPU `index`: its number is not 0, so that a decoder which
/// forgets it is found out.
pub(crate) const fn sgi_to(index: u64) -> u64 {
    5 << 24 | 1 << index
}
