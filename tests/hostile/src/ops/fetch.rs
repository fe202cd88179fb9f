//! Fetches from where there is no memory, guarded or not.

use hyp_abi::vplatform::{GICD_BASE, UART_BASE};

use crate::arch::mmu::{NORMAL_WINDOW, USER_WINDOW};
use crate::arch::shot::{EL0, EL1H, Regime, SCTLR_OFF};
use crate::cpu::{Cpu, Doing};
use crate::expect::{class, esr};
use crate::layout::PAGE;

/// One fetch.
pub(super) fn one(cpu: &mut Cpu) {
    cpu.load_registers();
    let own = cpu.own;
    let random = &mut cpu.random;
    let page = match random.below(5) {
        0 => GICD_BASE,
        1 => UART_BASE,
        2 => own.redistributor(random.next()),
        3 => 0x0b00_0000,
        _ => own.nowhere(random.next()),
    };
    let ipa = page + random.below(PAGE / 4) * 4;
    let is_low = ipa < 1 << 30;
    let (pc, pstate, regime, class) = match random.below(3) {
        0 if is_low => (ipa + USER_WINDOW, EL0, Regime::Usual, class::FETCH_EL0),
        1 if is_low => (ipa + NORMAL_WINDOW, EL1H, Regime::Usual, class::FETCH),
        _ => (ipa, EL1H, Regime::Flat { sctlr: SCTLR_OFF }, class::FETCH),
    };
    cpu.fire_in(pc, pstate, regime);
    let doing =
        Doing(format_args!("a fetch from IPA {ipa:#x} with PSTATE {pstate:#x} {regime:x?}"));
    cpu.aborted(&doing, esr(class, 0x10), pc);
}
