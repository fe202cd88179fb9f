//! A guest that fires random streams of everything at its hypervisor, from one to four CPUs at
//! once, and checks the answers.
//!
//! `hostile: seed=1 vcpus=4 ops=1000000 …` begins a run, `hostile: done …` ends it, and
//! `hostile: FAIL seed=… vcpu=… op=… …` says what was done and what came of it in place of what was
//! to. What the calls must answer, and which accesses abort, the model of the guest ABI says
//! (package `model`); the words on the command line are in `options.rs`. With one CPU and
//! `-icount` a seed repeats exactly.
#![cfg_attr(target_os = "none", no_std, no_main)]

/// The guest runs at EL1 only; on the host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod cpu;
#[cfg(target_os = "none")]
mod crew;
#[cfg(target_os = "none")]
mod expect;
#[cfg(target_os = "none")]
mod forms;
#[cfg(target_os = "none")]
mod gic;
#[cfg(target_os = "none")]
mod hyper;
#[cfg(target_os = "none")]
mod layout;
#[cfg(target_os = "none")]
mod life;
#[cfg(target_os = "none")]
mod ops;
#[cfg(target_os = "none")]
mod options;
#[cfg(target_os = "none")]
mod predict;
#[cfg(target_os = "none")]
mod random;
#[cfg(target_os = "none")]
mod report;
#[cfg(target_os = "none")]
mod watch;

/// First CPU, MMU on: makes everything, lets all CPUs fire, powers off.
#[cfg(target_os = "none")]
fn run(tree: &'static [u8]) -> ! {
    let mut options = options::Options::from_tree(tree);
    hyper::guard_devices(&options);
    guest_runtime::uart::set_up();
    let life = life::Life::begin(&mut options);
    report::begin(&options, life.number);
    arch::shot::make(options.gicc);
    crew::work(options, life);
    hyper::power_off()
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    report::panic(info)
}
