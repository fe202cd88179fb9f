//! Assembly entry points and the Rust functions that they call.
#![expect(unsafe_code, reason = "symbols shared with assembly")]

use core::arch::global_asm;

use guest_runtime::start::tree;
use guest_runtime::uart::line;

global_asm!(include_str!("../../../runtime/src/macros.S"), include_str!("boot.S"));
global_asm!(include_str!("vectors.S"));

// SAFETY: labels of `boot.S`, of which only the address is used.
unsafe extern "C" {
    fn cpu_on_entry();
    fn ipi_entry();
}

/// Entry of a CPU that notes when it began at the address in its context id, and switches itself
/// off.
pub(crate) fn cpu_on_address() -> u64 {
    cpu_on_entry as *const () as u64
}

/// Entry of a CPU that waits for interrupts, busily, and notes when each arrived at the address in
/// its context id.
pub(crate) fn ipi_address() -> u64 {
    ipi_entry as *const () as u64
}

// SAFETY: boot.S calls it once on the first CPU, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn main_first(tree_address: u64, boot: u64) -> ! {
    crate::run(tree(tree_address), boot)
}

// SAFETY: boot.S calls it once on each start of another CPU, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn set_up_other() {
    crate::gic::set_up_cpu(1);
}

// SAFETY: vectors.S calls it, and no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn unexpected_exception(esr: u64, far: u64, elr: u64) -> ! {
    line!("bench failed: exception, ESR {esr:#x} FAR {far:#x} ELR {elr:#x}");
    crate::hyper::power_off()
}
