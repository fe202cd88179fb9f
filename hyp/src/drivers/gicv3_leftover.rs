//! What a GICv3 may still be doing for whoever had the machine before.

use tock_registers::interfaces::{ReadWriteable, Readable};

use super::gic_parts::GicError;
use super::mmio::{Mmio, Registers};
use super::registers::gicv3::{GICR_CTLR, GITS_CTLR, Redistributor, Translator};
use crate::arch::sysreg::fields::icc_ctlr;
use crate::arch::{barrier, cpu, percpu, sysreg};
use crate::say::{debug, warn};

/// Address of the table of pending LPIs in GICR_PENDBASER (IHI 0069, 12.11.20).
const PENDING_TABLE: u64 = 0x000f_ffff_ffff_0000;

/// Turns a translation service off, lest it go on reading and writing memory that is somebody's now.
/// `false` if it does not come to rest.
pub(super) fn stop_translator(frame: Mmio) -> Result<bool, GicError> {
    let its = frame.registers::<Translator>(0).ok_or(GicError::Short("translation service"))?;
    its.ctlr.modify(GITS_CTLR::ENABLED::CLEAR);
    let is_at_rest = soon(|| its.ctlr.is_set(GITS_CTLR::QUIESCENT));
    debug!("GIC: a translation service is off, GITS_CTLR {:#x}", its.ctlr.get());
    Ok(is_at_rest)
}

/// Waits until `is_so`, but not for ever.
pub(super) fn soon(is_so: impl Fn() -> bool) -> bool {
    const TRIES: u32 = 1_000_000;
    (0..TRIES).any(|_| {
        let is_now = is_so();
        if !is_now {
            cpu::yield_now();
        }
        is_now
    })
}

/// Turns LPIs off, which EL2 has no use for. Some redistributors cannot (IHI 0069, `GICR_CTLR.CES`).
pub(super) fn stop_lpis(redistributor: Registers<Redistributor>) {
    redistributor.ctlr.modify(GICR_CTLR::LPIS::CLEAR);
    let is_at_rest = soon(|| !redistributor.ctlr.is_set(GICR_CTLR::RWP));
    if !is_at_rest || redistributor.ctlr.is_set(GICR_CTLR::LPIS) {
        warn!(
            "CPU {}: the GIC's LPIs cannot be turned off, so it goes on writing to memory at {:#x}; \
             have firmware leave them off, or reserve that memory in the device tree",
            percpu::index(),
            redistributor.pendbaser.get() & PENDING_TABLE,
        );
    }
}

/// Drops whatever priorities are active, of interrupts that nobody will end any more.
pub(super) fn drop_priorities() {
    let bits = icc_ctlr::PRIBITS.read(sysreg::icc_ctlr_el1()) + 1;
    // With SCR_EL3.FIQ set, group 0 is firmware's, and its registers trap to EL3. Then the non-secure
    // view of priorities lacks the lowest bit: it cannot be set (IHI 0069, 4.8).
    sysreg::set_icc_pmr_el1(1 << (8 - bits));
    barrier::isb();
    if sysreg::icc_pmr_el1() != 0 {
        sysreg::set_icc_igrpen0_el1(0);
        sysreg::set_icc_ap0r0_el1(0);
        if bits >= 6 {
            sysreg::set_icc_ap0r1_el1(0);
        }
        if bits >= 7 {
            sysreg::set_icc_ap0r2_el1(0);
            sysreg::set_icc_ap0r3_el1(0);
        }
    }
    sysreg::set_icc_ap1r0_el1(0);
    if bits >= 6 {
        sysreg::set_icc_ap1r1_el1(0);
    }
    if bits >= 7 {
        sysreg::set_icc_ap1r2_el1(0);
        sysreg::set_icc_ap1r3_el1(0);
    }
    barrier::isb();
}
