//! The debug registers of the CPU that runs a vCPU; what is in them is the vCPU's
//! [`hyp_core::sysreg::DebugState`].

use core::arch::asm;

use hyp_core::sysreg::{DebugUnit, Point, clear_debug};

use super::barrier::isb;
use super::sysreg;

/// The calling CPU's.
#[derive(Debug)]
pub(crate) struct Cpu;

/// Puts the calling CPU's debug registers into the state in which a vCPU starts, whatever was left in
/// them; the OS locks, which no guest reaches, are unlocked.
pub(crate) fn prepare() {
    // Locked, as out of a cold reset, they would keep every debug exception back.
    sysreg::set_osdlr_el1(0);
    sysreg::set_oslar_el1(0);
    isb();
    clear_debug(&mut Cpu, sysreg::id_aa64dfr0_el1());
}

impl DebugUnit for Cpu {
    fn set_control(&mut self, value: u64) {
        sysreg::set_mdscr_el1(value);
    }

    // Half a KiB, and called from three places.
    #[inline(never)]
    fn set_point(&mut self, point: Point, value: u64) {
        macro_rules! sixteen {
            ($name:literal) => {
                concat!(
                    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n",
                    "msr ",
                    $name,
                    "\\n\\()_el1, {value}\n",
                    "b 3f\n",
                    ".endr",
                )
            };
        }
        // SAFETY: goes to one of the 64 pairs of instructions, below which the index is, and on at label 3. Breakpoints and
        // watchpoints make no exception at EL2: MDCR_EL2.TDE and HCR_EL2.TGE are 0, so debug
        // exceptions go to EL1 and are not generated above it (Arm ARM,
        // `AArch64.GenerateDebugExceptionsFrom`).
        unsafe {
            asm!(
                "adr {at}, 2f",
                "add {at}, {at}, {index}, lsl #3",
                "br {at}",
                "2:",
                // In the order of `Point::index`.
                sixteen!("dbgbvr"),
                sixteen!("dbgbcr"),
                sixteen!("dbgwvr"),
                sixteen!("dbgwcr"),
                "3:",
                at = out(reg) _,
                index = in(reg) point.index(),
                value = in(reg) value,
                options(nostack, preserves_flags),
            );
        }
    }
}
