//! Assembly entry points and the Rust functions that they call.
#![expect(unsafe_code, reason = "symbols shared with assembly")]

use core::arch::global_asm;

use guest_runtime::start::tree;

use super::sysreg;

global_asm!(include_str!("../../../runtime/src/macros.S"), include_str!("boot.S"));
global_asm!(include_str!("../../../runtime/src/macros.S"), include_str!("vectors.S"));

// Runs with the MMU off: plain loads and stores only.
// SAFETY: boot.S calls it once, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn prepare(tree_address: u64) {
    let tree = tree(tree_address);
    super::mmu::build(crate::tree::memory(tree));
    crate::console_guard::announce(tree);
}

// SAFETY: boot.S calls it once on the first CPU, in place of `prepare`, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn started_elsewhere(tree_address: u64, level: u64) -> ! {
    crate::choose_console(tree(tree_address));
    crate::uart::line!(
        "Bail out! started at EL{level}: this guest runs at EL1, under a hypervisor or without"
    );
    super::cpu::park()
}

// SAFETY: boot.S calls it once on the first CPU, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn main_first(tree_address: u64, left_in_registers: u64) -> ! {
    crate::run(tree(tree_address), left_in_registers)
}

// SAFETY: boot.S calls it once on each start of another CPU, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn main_secondary(context: u64, left_in_registers: u64, sctlr: u64, pstate: u64) -> ! {
    crate::smp::enter(crate::smp::Arrival { context, left_in_registers, sctlr, pstate })
}

// SAFETY: vectors.S calls it, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn take_interrupt() {
    crate::gic::take_interrupt();
}

// SAFETY: vectors.S calls it, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn unexpected_exception(esr: u64, far: u64, elr: u64, spsr: u64, vector: u64) -> ! {
    let cpu = sysreg::tpidr_el1();
    crate::tap::bail_out(format_args!(
        "CPU {cpu}: exception at vector {vector:#x}: ESR {esr:#x} FAR {far:#x} ELR {elr:#x} SPSR {spsr:#x}"
    ))
}
