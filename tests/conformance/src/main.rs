//! A guest that checks any host claiming the pKVM guest ABI and prints TAP.
//!
//! One image for every configuration: words on its command line (`/chosen/bootargs`) say what to
//! expect, and the plan is the set of rows that belong to that configuration. See `config.rs`.
#![cfg_attr(target_os = "none", no_std, no_main)]

/// The guest runs at EL1 only; on the host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod config;
#[cfg(target_os = "none")]
mod console_guard;
#[cfg(target_os = "none")]
mod demo;
#[cfg(target_os = "none")]
mod endings;
#[cfg(target_os = "none")]
mod gic;
#[cfg(target_os = "none")]
mod hostile;
#[cfg(target_os = "none")]
mod hyper;
#[cfg(target_os = "none")]
mod rows;
#[cfg(target_os = "none")]
mod smp;
#[cfg(target_os = "none")]
mod tap;
#[cfg(target_os = "none")]
mod task;
#[cfg(target_os = "none")]
mod time;

#[cfg(target_os = "none")]
use guest_runtime::{tree, uart};

/// First CPU, MMU on, console guarded: reads the tree, runs the rows, powers off.
#[cfg(target_os = "none")]
fn run(tree: &'static [u8], left_in_registers: u64) -> ! {
    let mut config = config::Config::from_tree(tree, left_in_registers);
    choose_console(tree);
    gic::choose(&config);
    if let Some(why) = config.unfit() {
        tap::bail_out(format_args!("{why}"))
    }
    if config.is_demo {
        let _ = demo::run(&config);
        hyper::power_off()
    }
    if let Some(ending) = config.ending {
        endings::come_to(ending)
    }
    if let Some(task) = config.hostile {
        hostile::run(&config, task)
    }
    if config.asks_boot {
        config.boot = rows::reset::ask(&config);
    }
    tap::run(&config, &rows::all(&config));
    hyper::power_off()
}

/// Finds the console and switches it on; its page is guarded by now. Runs with the MMU off too.
#[cfg(target_os = "none")]
fn choose_console(tree: &[u8]) {
    if let Some(console) = tree::console(tree) {
        uart::choose(console);
    }
    uart::set_up();
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    tap::bail_out(format_args!("{info}"))
}
