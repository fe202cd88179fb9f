//! EL2 that saves all registers, calls a dispatcher, restores all registers.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(target_os = "none", expect(unsafe_code, reason = "assembly"))]

/// It runs at EL2 only; on the host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
core::arch::global_asm!(include_str!("start.S"), include_str!("full.S"));

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // There is no Rust code that could.
    loop {
        core::hint::spin_loop();
    }
}
