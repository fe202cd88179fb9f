//! Starting the other CPUs and giving them their work.

use hyp_abi::exit::BAD_INPUT;
use hyp_core::tree::machine::{Cpu, EnableMethod};
use smccc::psci::error::Error;

use crate::arch::cpu;
use crate::arch::once::Once;
use crate::arch::percpu::{self, PerCpu};
use crate::arch::{boot, debug, symbols, timer};
use crate::drivers::gic;
use crate::exit::fail;
use crate::mm::el2_map::{MapError, image_pa};
use crate::{firmware, machine, mm};

/// How long a CPU may take to arrive, in seconds: emulators on busy machines are slow.
const PATIENCE_SECONDS: u64 = 10;

/// What a CPU does for the rest of its life; its argument is the CPU's number.
pub(crate) type Work = fn(usize) -> !;

static WORK: Once<Work> = Once::new();

/// Why a CPU did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartError {
    /// Firmware refused.
    Refused(Error),
    /// The word at which it waits cannot be written.
    Word(MapError),
    /// The tree names no way to start it that Postern knows.
    NoMethod,
    /// It was called, but did not arrive.
    Silent,
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "firmware's CPU_ON says: {error}"),
            Self::Word(error) => write!(f, "its cpu-release-addr: {error}"),
            Self::NoMethod => f.write_str("its enable-method is neither psci nor spin-table"),
            Self::Silent => write!(f, "called, it did not arrive within {PATIENCE_SECONDS} s"),
        }
    }
}

/// Calls `cpus`, which start together, each as the number beside it.
pub(crate) fn call<'a>(
    mut cpus: impl Iterator<Item = (usize, &'a Cpu)> + Clone,
) -> Result<(), StartError> {
    let all = cpus.clone();
    let Some((index, cpu)) = cpus.next() else { return Ok(()) };
    match cpu.enable_method {
        EnableMethod::Psci => {
            let entry = image_pa(symbols::secondary_entry());
            injected!(cpu_on(), None)
                .unwrap_or_else(|| firmware::cpu_on(cpu.mpidr, entry.get(), index as u64))
                .map_err(StartError::Refused)?;
        }
        EnableMethod::SpinTable(word) => {
            // Once the word is written any of them may come.
            all.for_each(|(index, cpu)| boot::list_spinning(index, cpu.mpidr));
            let entry = image_pa(symbols::spin_entry());
            mm::spin_table::release(word, entry).map_err(StartError::Word)?;
        }
        EnableMethod::Unknown => return Err(StartError::NoMethod),
    }
    Ok(())
}

/// Waits until the CPU that was called as number `index` is online.
pub(crate) fn wait_for(index: usize) -> Result<(), StartError> {
    let deadline = timer::now() + PATIENCE_SECONDS * timer::frequency();
    while !PerCpu::nth(index).is_some_and(PerCpu::is_online) {
        if timer::now() > deadline {
            return Err(StartError::Silent);
        }
        cpu::yield_now();
    }
    Ok(())
}

/// Gives all CPUs that are or will be waiting their work.
pub(crate) fn release(work: Work) {
    WORK.set(work);
    cpu::send_event();
}

/// Where a CPU waits after it has started.
pub(crate) fn wait_for_work() -> ! {
    loop {
        if let Some(work) = WORK.get() {
            work(percpu::index());
        }
        cpu::wait_for_event();
    }
}

/// Another CPU, called by `boot.s` in the same state.
pub(crate) extern "C" fn secondary_main() -> ! {
    machine::note_cpu();
    debug::prepare();
    match gic::init_cpu() {
        Ok(()) => {
            injected!(tell_registers());
            percpu::set_online();
        }
        Err(error) => fail(BAD_INPUT, format_args!("CPU {}: {error}", percpu::index())),
    }
    wait_for_work()
}
