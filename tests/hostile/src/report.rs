//! What goes to the console.

use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guest_runtime::uart::{self, line};
use spin::mutex::TicketMutex;

use crate::arch::cpu;
use crate::hyper;
use crate::options::Options;

/// One CPU prints at a time.
static CONSOLE: TicketMutex<()> = TicketMutex::new(());
/// Somebody has failed: nobody else is to say so.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);
static SEED: AtomicU64 = AtomicU64::new(0);

/// Prints a line; any CPU may.
pub(crate) fn say(text: fmt::Arguments<'_>) {
    let _console = CONSOLE.lock();
    line!("hostile: {text}");
}

/// The run begins.
pub(crate) fn begin(options: &Options, life: u64) {
    SEED.store(options.seed, Ordering::Relaxed);
    let kind = if options.is_protected { "protected" } else { "normal" };
    let guard = if options.has_guard() { "guard" } else { "no guard" };
    let gic = if options.is_v2() { 2 } else { 3 };
    say(format_args!(
        "seed={} vcpus={} ops={} ({kind}, {guard}, {:?}, GICv{gic}) life={life}",
        options.seed,
        options.cpus(),
        options.ops,
        options.dialect
    ));
}

/// Something is not as it must be. Ends the run.
pub(crate) fn fail(vcpu: usize, op: u64, what: fmt::Arguments<'_>) -> ! {
    if HAS_FAILED.swap(true, Ordering::AcqRel) {
        cpu::park()
    }
    uart::set_up();
    let seed = SEED.load(Ordering::Relaxed);
    say(format_args!("FAIL seed={seed} vcpu={vcpu} op={op}: {what}"));
    hyper::power_off()
}

/// This guest is wrong.
pub(crate) fn panic(info: &PanicInfo<'_>) -> ! {
    // Whoever panics may hold the console.
    let seed = SEED.load(Ordering::Relaxed);
    line!("hostile: FAIL seed={seed}: {info}");
    hyper::power_off()
}
