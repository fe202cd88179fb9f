//! Rows of our own for the registers of a GICv3's CPU interface that both groups share (Arm IHI 0069,
//! 12.2): hardware answers them, or EL2 where deactivations cannot be trapped without them.

use crate::arch::sysreg;
use crate::config::{Config, Kinds};
use crate::gic::{self, Gic, ack, end, send_sgi};
use crate::tap::{Check, Row};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("G31", Kinds::ALL, "ICC_CTLR holds what may be written", control).with_gic(3),
    Row::new("G32", Kinds::ALL, "ICC_PMR has as many bits as priorities", mask).with_gic(3),
    Row::new("G33", Kinds::ALL, "ICC_RPR is the highest active priority", running).with_gic(3),
];

/// ICC_CTLR_EL1.PRIbits, of a register's value: how many bits of priority there are.
fn priority_bits(control: u64) -> u64 {
    (control >> 8 & 7) + 1
}

fn control(check: &mut Check, config: &Config) {
    const CBPR: u64 = 1;
    const EOIMODE: u64 = 1 << 1;
    let _ = Gic::set_up(config);
    let fixed = sysreg::icc_ctlr_el1();
    check.eq("what may be written, as it was set", fixed & (CBPR | EOIMODE), 0);
    check.that("5 to 8 bits of priority", (5..=8).contains(&priority_bits(fixed)));
    check.that("16 or 24 bits of INTID", fixed >> 11 & 7 <= 1);
    for value in [CBPR, EOIMODE, CBPR | EOIMODE, 0] {
        sysreg::icc_ctlr(value);
        check.eq("as written", sysreg::icc_ctlr_el1(), fixed | value);
    }
    sysreg::icc_ctlr(u64::from(u32::MAX) & !(CBPR | EOIMODE));
    check.eq("the rest is read-only", sysreg::icc_ctlr_el1(), fixed);
}

fn mask(check: &mut Check, config: &Config) {
    let _ = Gic::set_up(config);
    let implemented = 0xff << (8 - priority_bits(sysreg::icc_ctlr_el1())) & 0xff;
    for value in [0, 0x47, 0x80, 0xa8, 0xff] {
        sysreg::icc_pmr(value);
        check.eq("as written", sysreg::icc_pmr_el1(), value & implemented);
    }
}

fn running(check: &mut Check, config: &Config) {
    const SGIS: [(u32, u8); 3] = [(3, 0xb0), (4, 0x60), (5, 0x08)];
    let gic = Gic::set_up(config);
    check.eq("idle", gic::rpr(), 0xff);
    for (intid, priority) in SGIS {
        gic.set_priority(intid, priority);
        gic.set(gic::ISENABLER, intid);
        send_sgi(u64::from(intid), config.affinity(gic::this_cpu()));
        check.eq("IAR", ack(), u64::from(intid));
        check.eq("that of the last one", gic::rpr(), u64::from(priority));
    }
    for (n, (intid, _)) in SGIS.into_iter().enumerate().rev() {
        end(u64::from(intid));
        let under = n.checked_sub(1).map_or(0xff, |n| u64::from(SGIS[n].1));
        check.eq("that of the one under it", gic::rpr(), under);
    }
}
