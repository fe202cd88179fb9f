//! The virtual CPU interface: list registers by index.

use hyp_core::vgic::VirtualCommon;

use super::sysreg;
use super::sysreg::fields::ich_vtr;
use super::{low_half, word};

macro_rules! list_registers {
    ($($index:literal => $get:ident, $set:ident;)*) => {
        /// Reads list register `index`; one that is not there reads as zero.
        #[inline]
        pub(crate) fn read_lr(index: usize) -> u64 {
            match index {
                $($index => sysreg::$get(),)*
                _ => 0,
            }
        }

        /// Writes list register `index`, which must be below [`list_registers()`]: the others are
        /// UNDEFINED.
        #[inline]
        pub(crate) fn write_lr(index: usize, value: u64) {
            // Most often there is one interrupt at a time: not worth a call.
            if index == 0 { sysreg::set_ich_lr0_el2(value) } else { write_any_lr(index, value) }
        }

        #[inline(never)]
        fn write_any_lr(index: usize, value: u64) {
            match index {
                $($index => sysreg::$set(value),)*
                _ => {}
            }
        }
    };
}

list_registers! {
    0 => ich_lr0_el2, set_ich_lr0_el2;
    1 => ich_lr1_el2, set_ich_lr1_el2;
    2 => ich_lr2_el2, set_ich_lr2_el2;
    3 => ich_lr3_el2, set_ich_lr3_el2;
    4 => ich_lr4_el2, set_ich_lr4_el2;
    5 => ich_lr5_el2, set_ich_lr5_el2;
    6 => ich_lr6_el2, set_ich_lr6_el2;
    7 => ich_lr7_el2, set_ich_lr7_el2;
    8 => ich_lr8_el2, set_ich_lr8_el2;
    9 => ich_lr9_el2, set_ich_lr9_el2;
    10 => ich_lr10_el2, set_ich_lr10_el2;
    11 => ich_lr11_el2, set_ich_lr11_el2;
    12 => ich_lr12_el2, set_ich_lr12_el2;
    13 => ich_lr13_el2, set_ich_lr13_el2;
    14 => ich_lr14_el2, set_ich_lr14_el2;
    15 => ich_lr15_el2, set_ich_lr15_el2;
}

/// Number of list registers, 1 to 16.
pub(crate) fn list_registers() -> usize {
    // Bit 4 of the field is always 0.
    word(ich_vtr::ListRegs.read(sysreg::ich_vtr_el2()) & 0xf) + 1
}

/// Priority bits the virtual interface implements, 5 to 8 (ICH_VTR_EL2.PRIbits).
pub(crate) fn priority_bits() -> u32 {
    low_half(ich_vtr::PRIbits.read(sysreg::ich_vtr_el2())) + 1
}

/// Preemption bits, which give the number of active-priority registers (ICH_VTR_EL2.PREbits).
fn preemption_bits() -> u32 {
    low_half(ich_vtr::PREbits.read(sysreg::ich_vtr_el2())) + 1
}

/// What the registers that both groups share are made of.
pub(crate) fn common() -> VirtualCommon {
    let bits = preemption_bits();
    let mut active = [low_half(sysreg::ich_ap0r0_el2() | sysreg::ich_ap1r0_el2()), 0, 0, 0];
    if bits >= 6 {
        active[1] = low_half(sysreg::ich_ap0r1_el2() | sysreg::ich_ap1r1_el2());
    }
    if bits >= 7 {
        active[2] = low_half(sysreg::ich_ap0r2_el2() | sysreg::ich_ap1r2_el2());
        active[3] = low_half(sysreg::ich_ap0r3_el2() | sysreg::ich_ap1r3_el2());
    }
    VirtualCommon { vtr: sysreg::ich_vtr_el2(), vmcr: sysreg::ich_vmcr_el2(), active }
}

/// Empties the interface of this CPU: no list register, no active priority, interface disabled.
/// ICH_HCR_EL2 becomes 0.
pub(crate) fn reset() {
    sysreg::set_ich_hcr_el2(0);
    for index in 0..list_registers() {
        write_lr(index, 0);
    }
    sysreg::set_ich_ap0r0_el2(0);
    sysreg::set_ich_ap1r0_el2(0);
    if preemption_bits() >= 6 {
        sysreg::set_ich_ap0r1_el2(0);
        sysreg::set_ich_ap1r1_el2(0);
    }
    if preemption_bits() >= 7 {
        sysreg::set_ich_ap0r2_el2(0);
        sysreg::set_ich_ap0r3_el2(0);
        sysreg::set_ich_ap1r2_el2(0);
        sysreg::set_ich_ap1r3_el2(0);
    }
    sysreg::set_ich_vmcr_el2(0);
    super::barrier::isb();
}
