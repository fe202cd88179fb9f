//! Other CPUs: each job is one CPU_ON, the job, CPU_OFF.

use core::sync::atomic::{AtomicU64, Ordering};

use hyp_abi::{psci, vplatform::MAX_VCPUS};
use spin::mutex::TicketMutex;

use crate::arch::cpu;
use crate::config::Config;
use crate::{hyper, time};

/// What a CPU found at its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// x0.
    pub(crate) context: u64,
    /// OR of x1 to x30.
    pub(crate) left_in_registers: u64,
    /// SCTLR_EL1.
    pub(crate) sctlr: u64,
    /// DAIF | SPSel.
    pub(crate) pstate: u64,
}

/// Work for another CPU; its answer goes to whoever started it.
pub(crate) type Job = fn(&Config) -> u64;

struct Slot {
    job: Option<(Job, Config)>,
    arrival: Option<Arrival>,
    result: Option<u64>,
}

static SLOTS: [TicketMutex<Slot>; MAX_VCPUS] =
    [const { TicketMutex::new(Slot { job: None, arrival: None, result: None }) }; MAX_VCPUS];

/// Rises with every start, so that each context id is new.
static STARTS: AtomicU64 = AtomicU64::new(1);

/// Milliseconds that a CPU may take for anything.
pub(crate) const LIMIT: u64 = 10_000;

/// Where a started CPU goes on; never returns to assembly.
pub(crate) fn enter(arrival: Arrival) -> ! {
    let index = (arrival.context & 0xff) as usize;
    let job = {
        let mut slot = SLOTS[index].lock();
        slot.arrival = Some(arrival);
        slot.job.take()
    };
    if let Some((job, config)) = job {
        let result = job(&config);
        SLOTS[index].lock().result = Some(result);
    }
    off()
}

/// Switches this CPU off.
pub(crate) fn off() -> ! {
    let _ = hyper::call(psci::CPU_OFF, [0; 3]);
    cpu::park()
}

/// The context id for the next start of CPU `index`: all 64 bits in use.
fn next_context(index: usize) -> u64 {
    let count = STARTS.fetch_add(1, Ordering::Relaxed);
    0xc0de_0000_0000_0000 | (count << 8) | index as u64
}

/// Lays `job` ready for the next start of CPU `index`; the context id to start it with.
pub(crate) fn prepare(config: &Config, index: usize, job: Job) -> u64 {
    *SLOTS[index].lock() = Slot { job: Some((job, config.clone())), arrival: None, result: None };
    next_context(index)
}

/// CPU_ON of CPU `index`, for which a job was laid ready; x0.
pub(crate) fn power_on(config: &Config, index: usize, context: u64) -> u64 {
    let args = [config.affinity(index), cpu::secondary_address(), context];
    hyper::call0(psci::CPU_ON_64, args)
}

/// Starts CPU `index` with `job`; x0 of CPU_ON and the context id.
pub(crate) fn start(config: &Config, index: usize, job: Job) -> (u64, u64) {
    let context = prepare(config, index, job);
    (power_on(config, index, context), context)
}

/// What CPU `index` found at its last entry.
pub(crate) fn arrival(index: usize) -> Option<Arrival> {
    SLOTS[index].lock().arrival
}

/// Waits for the job of CPU `index` and until the CPU is off.
pub(crate) fn finish(config: &Config, index: usize) -> Option<u64> {
    let mut result = None;
    let _ = time::wait_until(LIMIT, || {
        result = SLOTS[index].lock().result;
        result.is_some()
    });
    let is_off = time::wait_until(LIMIT, || {
        hyper::call0(psci::AFFINITY_INFO_64, [config.affinity(index), 0, 0])
            == psci::affinity::OFF as u64
    });
    if is_off { result } else { None }
}

/// Runs `job` on CPU `index` and returns its answer, or nothing if any step fails.
pub(crate) fn run_on(config: &Config, index: usize, job: Job) -> Option<u64> {
    let (answer, _) = start(config, index, job);
    if answer == 0 { finish(config, index) } else { None }
}
