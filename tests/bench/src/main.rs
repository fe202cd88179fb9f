//! A guest that counts the instructions of what its hypervisor does for it; `cargo xtask bench`
//! runs it and docs/performance.md explains the method.
//!
//! It runs with the MMU off, on any hypervisor with the virtual platform's addresses, and prints a
//! line for each row that the hypervisor has an answer for: `row NAME ops=8 512x64 513x448`, the
//! ticks of the virtual counter that one sample took and how many samples took as many. Words on
//! the command line: `samples=NUMBER`, `only=NAME` for one row alone.
#![cfg_attr(target_os = "none", no_std, no_main)]

/// The guest runs at EL1 only; on the host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod gic;
#[cfg(target_os = "none")]
mod hyper;
#[cfg(target_os = "none")]
mod report;
#[cfg(target_os = "none")]
mod row;
#[cfg(target_os = "none")]
mod rows;

/// First CPU, MMU off: announces its devices, runs the rows, powers off.
#[cfg(target_os = "none")]
fn run(tree: &'static [u8], boot: u64) -> ! {
    let options = report::Options::from_tree(tree);
    let has_guard = hyper::guard_devices(options.cpus);
    guest_runtime::uart::set_up();
    report::begin(boot);
    gic::set_up_distributor();
    gic::set_up_cpu(0);
    rows::run(&options, has_guard);
    report::end();
    hyper::power_off()
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    guest_runtime::uart::line!("bench failed: {info}");
    hyper::power_off()
}
