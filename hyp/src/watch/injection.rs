//! Faults that a test injects by the boot argument `postern.inject`, in an image with feature
//! `inject`. Macro `injected!` leaves nothing of it in every other.
//!
//! | `postern.inject=` | what goes wrong |
//! |---|---|
//! | `cpu-on` | firmware refuses CPU_ON, each time with the next of its error codes |
//! | `cpu-on-more` | the same with the codes behind those |
//! | `cpu-on-silent` | firmware says that the CPU was started, but it never comes |
//! | `heap:N` | the heap is out of memory from the N-th allocation on |
//! | `frames:N` | of the frames for stage-2 tables, only the first N are there |
//! | `serror` | a physical SError arrives while the guest of each CPU runs, now and then |
//! | `serror-el2` | one arrives while EL2 itself runs |
//! | `serror-late` | one is pending whenever a vCPU goes off |
//! | `serror-uncontainable` | one arrives that has not been contained |
//! | `interrupts` | an interrupt that nobody handles, from a line that stays high |
//! | `spi` | the same of a shared interrupt, from a line that does not |
//! | `spurious` | an interrupt is withdrawn before it is acknowledged, after each other one |
//! | `no-tds` | the GICv3 has no trap for ICC_DIR_EL1 alone (ICH_VTR_EL2.TDS), as older CPUs |
//! | `no-map` | nothing, but a map of EL2's that shows memory which the tree calls `no-map` ends the run |
//! | `registers` | nothing: each CPU says what it found in the registers that it wrote at its entry |
//! | `lpis` | LPIs that firmware made tables for come although they were turned off |
//! | `trng:N` | firmware has a TRNG, which has no entropy the first N times it is asked |
//! | `slow-console` | the UART sends 115200 bits a second, as one does that is not emulated |
//! | `switch` | a vCPU is taken off its CPU and put back at each call and interrupt, with junk left between |
//! | `console-line` | the line of the console's interrupt stays high whatever is done |

use core::fmt;
use core::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

use arrayvec::ArrayVec;
use hyp_abi::exit::HYP_FAILED;
use hyp_core::addr::Pa;
use hyp_core::memory::PaRange;
use hyp_core::tree::machine::{MAX_RESERVED, Machine};
use hyp_core::trng::Answer;
use smccc::psci::error::Error;

use crate::arch::cpu::Lock;
use crate::arch::once::Once;
use crate::arch::{entry, percpu, pmu, timer, vectors};
use crate::drivers::gic;
use crate::exit::fail;
use crate::say::info;

/// PSCI's error codes (DEN0022, "Return error codes") and two that are none, as CPU_ON answers them.
const CODES: [i32; 14] = [-1, -2, -3, -4, -5, -6, -7, -8, -9, -10, i32::MIN, i32::MAX, -99, 1];
/// INTID of the PMU's overflow interrupt: PPI 7 (BSA, "PPI assignments").
const PMU_INTID: u32 = 23;
/// INTID of a shared interrupt that none of the machines has a device for.
const SPI: u32 = 200;
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
    pub(super) const SERROR_AT_EL2: u8 = 7;
    pub(super) const SPI: u8 = 8;
    pub(super) const SPURIOUS: u8 = 9;
    pub(super) const CONSOLE_LINE: u8 = 10;
    pub(super) const NO_TDS: u8 = 11;
    pub(super) const NO_MAP: u8 = 12;
    pub(super) const SERROR_LATE: u8 = 13;
    pub(super) const SERROR_UNCONTAINABLE: u8 = 14;
    pub(super) const REGISTERS: u8 = 15;
    pub(super) const LPIS: u8 = 16;
    pub(super) const TRNG: u8 = 17;
    pub(super) const SLOW_CONSOLE: u8 = 18;
    pub(super) const SWITCH: u8 = 19;
}

static KIND: AtomicU8 = AtomicU8::new(kind::NOTHING);
/// Allocations left, frames there are, the next code.
static NUMBER: AtomicI64 = AtomicI64::new(0);

fn is(wanted: u8) -> bool {
    KIND.load(Ordering::Relaxed) == wanted
}

/// An argument that nobody knows.
pub(crate) struct Unknown<'a>(&'a str);

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postern.inject={}: see hyp/src/watch/injection.rs", self.0)
    }
}

/// Does as the boot argument `inject` says.
///
/// # Errors
///
/// It says nothing that is known.
pub(crate) fn init(argument: Option<&str>) -> Result<(), Unknown<'_>> {
    let Some(argument) = argument else { return Ok(()) };
    let (what, number) = argument.split_once(':').unwrap_or((argument, "0"));
    let (kind, number) = match (what, number.parse::<i64>()) {
        ("cpu-on", _) => (kind::CPU_ON, Ok(0)),
        ("cpu-on-more", _) => (kind::CPU_ON, Ok(AT_ONCE.cast_signed())),
        ("cpu-on-silent", _) => (kind::SILENT, Ok(0)),
        ("heap", number) => (kind::HEAP, number),
        ("frames", number) => (kind::FRAMES, number),
        ("serror", _) => (kind::SERROR, Ok(0)),
        ("slow-console", _) => (kind::SLOW_CONSOLE, Ok(0)),
        ("trng", number) => (kind::TRNG, number),
        ("interrupts", _) => (kind::INTERRUPTS, Ok(0)),
        ("serror-el2", _) => (kind::SERROR_AT_EL2, Ok(0)),
        ("serror-late", _) => (kind::SERROR_LATE, Ok(0)),
        ("serror-uncontainable", _) => (kind::SERROR_UNCONTAINABLE, Ok(0)),
        ("spi", _) => (kind::SPI, Ok(0)),
        ("spurious", _) => (kind::SPURIOUS, Ok(0)),
        ("no-tds", _) => (kind::NO_TDS, Ok(0)),
        ("no-map", _) => (kind::NO_MAP, Ok(0)),
        ("registers", _) => (kind::REGISTERS, Ok(0)),
        ("switch", _) => (kind::SWITCH, Ok(0)),
        ("lpis", _) => (kind::LPIS, Ok(0)),
        ("console-line", _) => (kind::CONSOLE_LINE, Ok(0)),
        _ => (kind::NOTHING, Ok(0)),
    };
    match number {
        Ok(number) if kind != kind::NOTHING => {
            NUMBER.store(number, Ordering::Relaxed);
            KIND.store(kind, Ordering::Relaxed);
            info!("injected on purpose: {argument}");
            Ok(())
        }
        _ => Err(Unknown(argument)),
    }
}

static FORBIDDEN: Once<ArrayVec<PaRange, MAX_RESERVED>> = Once::new();

/// Remembers which memory [`maps`] must not hear of.
pub(crate) fn note_forbidden(machine: &Machine<'_>) {
    let all = machine.reserved.iter().filter(|reserved| reserved.no_map);
    FORBIDDEN.set(all.map(|reserved| reserved.range).collect());
}

/// EL2 is about to map `bytes` from `pa`.
pub(crate) fn maps(pa: u64, bytes: u64) {
    let (true, Some(all), Some(range)) =
        (is(kind::NO_MAP), FORBIDDEN.get(), PaRange::new(Pa(pa), bytes))
    else {
        return;
    };
    if let Some(forbidden) = all.iter().find(|forbidden| forbidden.overlaps(range)) {
        fail(
            HYP_FAILED,
            format_args!("EL2 maps {range}, and with it {forbidden}, which is no-map"),
        );
    }
}

/// Words that boot's seed was made of, masked.
static SECRETS: Lock<ArrayVec<u64, 32>> = Lock::new(ArrayVec::new_const());
/// Lies over [`SECRETS`], which are not to be found themselves.
const MASK: u64 = 0x5a5a_a5a5_c3c3_3c3c;

/// Whether firmware is to have a TRNG.
pub(crate) fn has_trng() -> bool {
    is(kind::TRNG)
}

/// What that answers.
pub(crate) fn trng_word() -> Option<Answer> {
    has_trng().then(|| match NUMBER.fetch_sub(1, Ordering::Relaxed) {
        left if left > 0 => Answer::NotNow,
        left => {
            Answer::Word(left.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ timer::now())
        }
    })
}

/// Remembers bytes that nobody may find in memory once guests run.
pub(crate) fn note_secret(bytes: &[u8]) {
    let mut secrets = SECRETS.lock();
    for word in bytes.as_chunks().0 {
        // More than fit are not needed.
        let _ = secrets.try_push(u64::from_le_bytes(*word) ^ MASK);
    }
}

/// Whether `word` is part of a secret.
pub(crate) fn is_secret(word: u64) -> bool {
    SECRETS.lock().contains(&(word ^ MASK))
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

/// ESR_EL2 of an SError of which nothing is known: IL set.
const SERROR_ESR: u64 = 0xbe00_0000;
/// ESR_EL2 of an SError that hardware could not contain: DFSC 0b010001, AET 0b000.
const UNCONTAINABLE_ESR: u64 = SERROR_ESR | 0x11;

/// ESR_EL2 of the physical SError that is to arrive now, if one is: asked at EL2's timer.
pub(crate) fn serror() -> Option<u64> {
    match KIND.load(Ordering::Relaxed) {
        kind::SERROR => Some(SERROR_ESR),
        kind::SERROR_UNCONTAINABLE => Some(UNCONTAINABLE_ESR),
        _ => None,
    }
}

/// A bit for each CPU on which an SError is pending that only [`late_serror`] takes.
static LATE: AtomicU64 = AtomicU64::new(0);

fn this_cpu() -> u64 {
    1_u64.wrapping_shl(crate::arch::low_half(percpu::index() as u64))
}

/// The vCPU of the calling CPU goes off: from here on an SError is pending.
pub(crate) fn leaves() {
    if is(kind::SERROR_LATE) {
        LATE.fetch_or(this_cpu(), Ordering::Relaxed);
    }
}

/// Takes the SError that is pending on the calling CPU, if one is: ESR_EL2.
pub(crate) fn late_serror() -> Option<u64> {
    let was_pending = LATE.fetch_and(!this_cpu(), Ordering::Relaxed) & this_cpu() != 0;
    was_pending.then(|| vectors::let_serror_in(SERROR_ESR))
}

/// Has an SError arrive at EL2, if that is asked for: where its timer has fired.
pub(crate) fn serror_at_el2() {
    if is(kind::SERROR_AT_EL2) {
        vectors::take_serror();
    }
}

/// Has the line of an interrupt that nobody handles go high on the calling CPU and stay so, or a shared
/// interrupt come once: asked when a vCPU gets its CPU.
pub(crate) fn raise_line() {
    if is(kind::INTERRUPTS) || is(kind::SPURIOUS) {
        gic::enable_ppi(PMU_INTID);
    }
    if is(kind::INTERRUPTS) {
        pmu::raise_line();
    }
    if is(kind::SPI) {
        gic::provoke_spi(SPI);
    }
    if is(kind::LPIS) {
        gic::provoke_lpis();
    }
}

/// An interrupt was taken: if it is the one that is raised for this, its line goes low before anybody
/// asks which it is.
pub(crate) fn withdraw() {
    if is(kind::SPURIOUS) {
        pmu::lower_line();
    }
}

/// Nothing was pending any more where an interrupt had been taken.
pub(crate) fn was_spurious() {
    /// Those that are told: the first, and one after which there was room for anything.
    const TOLD: [u64; 2] = [1, 100];
    static SPURIOUS: AtomicU64 = AtomicU64::new(0);
    if is(kind::SPURIOUS) {
        let number = SPURIOUS.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if TOLD.contains(&number) {
            info!("spurious interrupt {number}");
        }
    }
}

/// An interrupt was served: the next one that is taken is to be withdrawn.
pub(crate) fn was_served() {
    if is(kind::SPURIOUS) {
        pmu::raise_line();
    }
}

/// Whether ICH_VTR_EL2.TDS is to be taken for 0.
pub(crate) fn hides_separate_trap() -> bool {
    is(kind::NO_TDS)
}

/// Whether the line of the console's interrupt stays high.
pub(crate) fn holds_console_line() -> bool {
    is(kind::CONSOLE_LINE)
}

/// Says what the registers hold that the calling CPU wrote when it entered EL2 and set up its GIC, if that
/// is asked for.
pub(crate) fn tell_registers() {
    if is(kind::REGISTERS) {
        let cpu = percpu::index();
        let mut tell = |name: &str, value| info!("CPU {cpu}: {name} {value:#x}");
        entry::each(&mut tell);
        gic::each(&mut tell);
    }
}

/// Whether vCPUs are to be taken off their CPUs and put back.
pub(crate) fn switches() -> bool {
    is(kind::SWITCH)
}

/// Whether the UART's transmit FIFO takes one more byte; then it is taken to be there.
pub(crate) fn console_takes_byte() -> bool {
    /// When the FIFO is empty, in ticks.
    static EMPTY: AtomicU64 = AtomicU64::new(0);
    /// Bytes in it at most.
    const FIFO: u64 = 16;
    if !is(kind::SLOW_CONSOLE) {
        return true;
    }
    // Eight bits of data, one before and one behind.
    let byte = timer::frequency() * 10 / 115_200;
    let now = timer::now();
    let empty = EMPTY.load(Ordering::Relaxed).max(now);
    let has_room = empty - now < FIFO * byte;
    if has_room {
        EMPTY.store(empty + byte, Ordering::Relaxed);
    }
    has_room
}
