//! Calls to the hypervisor that the bench itself needs.

use hyp_abi::psci;
use hyp_abi::vendor::pkvm;
use hyp_abi::vplatform::{GICD_BASE, GICD_SIZE, GICR_BASE, GICR_STRIDE, UART_BASE, UART_SIZE};

use crate::arch::cpu;
use crate::arch::pieces::Piece;

const PAGE: usize = 4096;

/// x0 of one call by HVC.
pub(crate) fn call(function: u32, args: [u64; 3]) -> u64 {
    let mut registers = [u64::from(function), args[0], args[1], args[2]];
    let _ = Piece::HVC_1.run(&mut registers);
    registers[0]
}

/// Guards console and GIC, page by page; whether the hypervisor has a guard to ask.
pub(crate) fn guard_devices(cpus: u64) -> bool {
    let ranges = [(UART_BASE, UART_SIZE), (GICD_BASE, GICD_SIZE), (GICR_BASE, GICR_STRIDE * cpus)];
    let _ = call(pkvm::MMIO_GUARD_ENROLL.0, [0; 3]);
    let mut is_there = true;
    for (base, size) in ranges {
        for page in (base..base + size).step_by(PAGE) {
            is_there &= call(pkvm::MMIO_GUARD_MAP.0, [page, 0, 0]) == 0;
        }
    }
    is_there
}

/// Ends the run.
pub(crate) fn power_off() -> ! {
    let _ = call(psci::SYSTEM_OFF.0, [0; 3]);
    cpu::park()
}
