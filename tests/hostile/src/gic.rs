//! The interrupt controller as the operations about interrupts need it (Arm IHI 0069, chapter 12;
//! Arm IHI 0048B, chapter 4): SGIs and timers on, all else off and nothing active.
//!
//! With GICv3 everything is in group 1, with GICv2 in group 0.

use guest_runtime::mmio::Io;
use hyp_abi::vplatform::{GICD_BASE, GICR_BASE, GICR_STRIDE};
use model::Dialect;

use crate::arch::cpu as machine;
use crate::cpu::Cpu;

const CTLR: u64 = 0;
const IGROUPR: u64 = 0x80;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ICPENDR: u64 = 0x280;
const ICACTIVER: u64 = 0x380;
const IPRIORITYR: u64 = 0x400;
const ICFGR1: u64 = 0xc04;
const CPENDSGIR: u64 = 0xf10;
/// GICR: WAKER, and the second frame.
const WAKER: u64 = 0x14;
const SGI_FRAME: u64 = 0x1_0000;
const IGRPMODR: u64 = 0xd00;
/// GICC: CTLR, PMR, BPR, APR0.
const PMR: u64 = 4;
const BPR: u64 = 8;
const APR0: u64 = 0xd0;
/// GICD_CTLR of a GICv3: affinity routing and group 1.
const ARE_AND_GROUP_1: u32 = 1 << 4 | 1 << 1;
/// All SGIs and both timers.
const USED: u32 = 0xffff | 1 << 27 | 1 << 30;

/// Puts it in order for this CPU.
pub(crate) fn set_up(cpu: &mut Cpu) {
    machine::cntv_ctl(0);
    machine::cntp_ctl(0);
    if cpu.common.options.is_v2() {
        private(Io::new(GICD_BASE), 0);
        for n in 0..4 {
            Io::new(GICD_BASE).write32(CPENDSGIR + n * 4, u32::MAX);
        }
        Io::new(GICD_BASE).write32(CTLR, 1);
        let interface = Io::new(cpu.common.options.gicc);
        interface.write32(PMR, 0xff);
        interface.write32(BPR, 0);
        interface.write32(APR0, 0);
        interface.write32(CTLR, 1);
    } else {
        let base = GICR_BASE + GICR_STRIDE * cpu.index as u64;
        guard(cpu, base);
        guard(cpu, base + SGI_FRAME);
        Io::new(GICD_BASE).write32(CTLR, ARE_AND_GROUP_1);
        Io::new(base).write32(WAKER, 0);
        machine::icc_igrpen0(0);
        machine::icc_igrpen1(0);
        private(Io::new(base + SGI_FRAME), u32::MAX);
        Io::new(base + SGI_FRAME).write32(IGRPMODR, 0);
        machine::icc_ap0r0(0);
        machine::icc_ap1r0(0);
        machine::icc_ctlr(0);
        machine::icc_bpr1(0);
        machine::icc_pmr(0xff);
        machine::icc_igrpen1(1);
    }
    cpu.is_gic_sane = true;
}

/// The registers for SGIs and PPIs.
fn private(io: Io, groups: u32) {
    io.write32(ICENABLER, u32::MAX);
    io.write32(ICPENDR, u32::MAX);
    io.write32(ICACTIVER, u32::MAX);
    io.write32(IGROUPR, groups);
    io.write32(ICFGR1, 0);
    for fours in 0..8 {
        io.write32(IPRIORITYR + fours * 4, 0xa0a0_a0a0);
    }
    io.write32(ISENABLER, USED);
}

/// Guards a page that this CPU may have taken the mark from.
fn guard(cpu: &mut Cpu, page: u64) {
    if cpu.common.options.has_guard() && cpu.state.guarded.insert(page) {
        let function = match cpu.common.options.dialect {
            Dialect::Pkvm => 0xc600_0007,
            Dialect::List2021 => 0xc600_0004,
        };
        let _ = machine::call(function, [page, 0, 0]);
    }
}
