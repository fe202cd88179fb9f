//! Faults that a test injects by the boot argument `postern.inject`, in an image with feature
//! `inject`; `injection_off.rs` stands here in every other.
//!
//! | `postern.inject=` | what goes wrong |
//! |---|---|
//! | `cpu-on` | firmware refuses CPU_ON, each time with the next of its error codes |
//! | `cpu-on-more` | the same with the codes behind those |
//! | `cpu-on-silent` | firmware says that the CPU was started, but it never comes |
//! | `heap:N` | the heap is out of memory from the N-th allocation on |
//! | `frames:N` | of the frames for stage-2 tables, only the first N are there |
//! | `serror` | a physical SError arrives while the guest of each CPU runs, now and then |
//! | `interrupts` | an interrupt that nobody handles, from a line that stays high |

use core::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use hyp_abi::exit::BAD_INPUT;
use smccc::psci::error::Error;

use crate::arch::pmu;
use crate::drivers::gic;
use crate::exit::fail;

/// PSCI's error codes (DEN0022, "Return error codes") and two that are none, as CPU_ON answers them.
const CODES: [i32; 14] = [-1, -2, -3, -4, -5, -6, -7, -8, -9, -10, i32::MIN, i32::MAX, -99, 1];
/// INTID of the PMU's overflow interrupt: PPI 7 (BSA, "PPI assignments").
const PMU_INTID: u32 = 23;
/// How many of them one machine of 8 CPUs can be told.
const AT_ONCE: u64 = 7;

/// What is injected.
mod kind {
    pub(super) const NOTHING: u8 = 0;
    pub(super) const CPU_ON: u8 = 1;
    pub(super) const SILENT: u8 = 2;
    pub(super) const HEAP: u8 = 3;
    pub(super) const FRAMES: u8 = 4;
    pub(super) const SERROR: u8 = 5;
    pub(super) const INTERRUPTS: u8 = 6;
}

static KIND: AtomicU8 = AtomicU8::new(kind::NOTHING);
/// Allocations left, frames there are, the next code.
static NUMBER: AtomicI64 = AtomicI64::new(0);

fn is(wanted: u8) -> bool {
    KIND.load(Ordering::Relaxed) == wanted
}

/// Does as the boot argument `inject` says.
pub(crate) fn init(argument: Option<&str>) {
    let Some(argument) = argument else { return };
    let (what, number) = argument.split_once(':').unwrap_or((argument, "0"));
    let (kind, number) = match (what, number.parse::<i64>()) {
        ("cpu-on", _) => (kind::CPU_ON, Ok(0)),
        ("cpu-on-more", _) => (kind::CPU_ON, Ok(AT_ONCE.cast_signed())),
        ("cpu-on-silent", _) => (kind::SILENT, Ok(0)),
        ("heap", number) => (kind::HEAP, number),
        ("frames", number) => (kind::FRAMES, number),
        ("serror", _) => (kind::SERROR, Ok(0)),
        ("interrupts", _) => (kind::INTERRUPTS, Ok(0)),
        _ => (kind::NOTHING, Ok(0)),
    };
    match number {
        Ok(number) if kind != kind::NOTHING => {
            NUMBER.store(number, Ordering::Relaxed);
            KIND.store(kind, Ordering::Relaxed);
            log::info!("injected on purpose: {argument}");
        }
        _ => fail(BAD_INPUT, format_args!("postern.inject={argument}: see hyp/src/injection.rs")),
    }
}

/// What firmware's CPU_ON answers, if it is not to be asked.
pub(crate) fn cpu_on() -> Option<Result<(), Error>> {
    if is(kind::SILENT) {
        return Some(Ok(()));
    }
    let next = is(kind::CPU_ON).then(|| NUMBER.fetch_add(1, Ordering::Relaxed))?;
    let code = CODES.get(usize::try_from(next).ok()?)?;
    Some(Err(Error::from(*code)))
}

/// Whether the heap is to be out of memory.
pub(crate) fn is_heap_used_up() -> bool {
    is(kind::HEAP) && NUMBER.fetch_sub(1, Ordering::Relaxed) <= 1
}

/// How many bytes of `bytes` of table frames are there.
pub(crate) fn frames(bytes: u64) -> u64 {
    if !is(kind::FRAMES) {
        return bytes;
    }
    bytes.min(NUMBER.load(Ordering::Relaxed).cast_unsigned().saturating_mul(4096))
}

/// Whether a physical SError is to arrive now: asked at EL2's timer.
pub(crate) fn has_serror() -> bool {
    is(kind::SERROR)
}

/// Has the line of an interrupt that nobody handles go high on the calling CPU and stay so: asked
/// when a vCPU gets its CPU.
pub(crate) fn raise_line() {
    if is(kind::INTERRUPTS) {
        gic::enable_ppi(PMU_INTID);
        pmu::raise_line();
    }
}
