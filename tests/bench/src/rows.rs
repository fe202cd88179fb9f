//! The rows.

use guest_runtime::uart;
use hyp_abi::psci;
use hyp_abi::smccc;
use hyp_abi::vendor::pkvm;
use hyp_abi::vplatform::{RAM_BASE, UART_BASE};

use crate::arch::pieces::{Args, Piece, Slot};
use crate::arch::{cpu, entry};
use crate::gic;
use crate::hyper;
use crate::report::Options;
use crate::row::{Answer, Row};

const PAGE: u64 = 4096;
/// Nobody's address space below RAM, for guard marks: two ranges of 2 MiB.
const NEW_MARKS: u64 = 0x0a00_0000;
/// An address at which there is nothing.
const NOBODY: u64 = 0x0b00_0000;
/// Memory to share, which nothing else uses.
const SHARED: u64 = RAM_BASE + (64 << 20);
/// Memory that nothing has touched.
const UNTOUCHED: u64 = RAM_BASE + (128 << 20);
/// Blocks of it.
const UNTOUCHED_BLOCKS: usize = 32;
const BLOCK: u64 = 2 << 20;
/// A function that no standard defines.
const UNKNOWN: u32 = 0x8400_1234;
/// Ticks from setting the timer until it fires.
const TIMER_DELAY: u64 = 4000;

fn function(id: u32, x1: u64) -> Args {
    [u64::from(id), x1, 0, 0]
}

/// The pages of two ranges of 2 MiB that keep their tables: they are marked or shared throughout.
const KEPT: [u64; 2] = [0, 512];

/// The page for sample `n`, none of [`KEPT`].
fn page(n: u64) -> u64 {
    n + 1 + n / 511
}

/// Granules that one call takes at most.
const RANGE: u64 = 64;
/// Ranges of as many that lie between [`KEPT`].
const RANGES: usize = 7;

/// A call about the `n`th of [`RANGES`].
fn range(id: u32, n: u64) -> Args {
    [u64::from(id), NEW_MARKS + (1 + n * RANGE) * PAGE, RANGE, 0]
}

/// What a row without arguments needs of them.
const FIRST: &[Row] = &[
    Row::span("calibration", Piece::KNOWN_LOOP, |_| [10_000, 0, 0, 0], Answer::Any),
    Row::eight("hvc-psci-version", Piece::HVC_8, |_| function(psci::VERSION.0, 0), Answer::Some),
    Row::eight("hvc-smccc-version", Piece::HVC_8, |_| function(smccc::VERSION.0, 0), Answer::Some),
    Row::eight("hvc-unknown", Piece::HVC_8, |_| function(UNKNOWN, 0), Answer::NotSupported),
    Row::eight("smc-psci-version", Piece::SMC_8, |_| function(psci::VERSION.0, 0), Answer::Some),
];

const CALLS: &[Row] = &[
    Row::eight(
        "guard-map-marked",
        Piece::HVC_8,
        |_| function(pkvm::MMIO_GUARD_MAP.0, UART_BASE),
        Answer::Zero,
    ),
    Row {
        prepare: || {
            // Bring the tables, and keep them.
            for kept in KEPT {
                let _ = hyper::call(pkvm::MMIO_GUARD_MAP.0, [NEW_MARKS + kept * PAGE, 0, 0]);
            }
        },
        ..Row::one(
            "guard-map-new",
            Piece::HVC_1,
            |n| function(pkvm::MMIO_GUARD_MAP.0, NEW_MARKS + page(n) * PAGE),
            Answer::Zero,
        )
    },
    Row::one(
        "guard-unmap",
        Piece::HVC_1,
        |n| function(pkvm::MMIO_GUARD_UNMAP.0, NEW_MARKS + page(n) * PAGE),
        Answer::Zero,
    ),
    Row {
        operations: RANGE,
        most: RANGES,
        ..Row::one(
            "guard-map-range",
            Piece::HVC_1,
            |n| range(pkvm::MMIO_RGUARD_MAP.0, n),
            Answer::Zero,
        )
    },
    Row {
        operations: RANGE,
        most: RANGES,
        ..Row::one(
            "guard-unmap-range",
            Piece::HVC_1,
            |n| range(pkvm::MMIO_RGUARD_UNMAP.0, n),
            Answer::Zero,
        )
    },
    Row {
        prepare: || {
            // Populate both blocks, split them, and keep them so.
            for kept in KEPT {
                let _ = hyper::call(pkvm::MEM_SHARE.0, [SHARED + kept * PAGE, 0, 0]);
            }
        },
        ..Row::one(
            "mem-share",
            Piece::HVC_1,
            |n| function(pkvm::MEM_SHARE.0, SHARED + page(n) * PAGE),
            Answer::Zero,
        )
    },
    Row::one(
        "mem-unshare",
        Piece::HVC_1,
        |n| function(pkvm::MEM_UNSHARE.0, SHARED + page(n) * PAGE),
        Answer::Zero,
    ),
];

const TRAPS: &[Row] = &[
    Row::eight("mmio-read-gicd-typer", Piece::LOAD32_8, |_| at(gic::GICD_TYPER, 0), Answer::Some),
    Row::eight("mmio-read-gicr-typer", Piece::LOAD64_8, |_| at(gic::GICR_TYPER, 0), Answer::Some),
    Row::eight(
        "mmio-read-gicr-typer-low",
        Piece::LOAD32_8,
        |_| at(gic::GICR_TYPER, 0),
        Answer::Some,
    ),
    Row::eight(
        "mmio-read-gicr-typer-high",
        Piece::LOAD32_8,
        |_| at(gic::GICR_TYPER + 4, 0),
        Answer::Zero,
    ),
    Row {
        prepare: || gic::write(gic::GICD_ISENABLER1, gic::QUIET),
        ..Row::eight(
            "mmio-read-isenabler",
            Piece::LOAD32_8,
            |_| at(gic::GICD_ISENABLER1, 0),
            Answer::Some,
        )
    },
    Row::eight(
        "mmio-read-gicr-isenabler",
        Piece::LOAD32_8,
        |_| at(gic::GICR_ISENABLER0, 0),
        Answer::Some,
    ),
    Row {
        prepare: || gic::write(gic::GICD_IPRIORITYR8, 0xa0a0_a0a0),
        ..Row::eight(
            "mmio-read-ipriorityr",
            Piece::LOAD32_8,
            |_| at(gic::GICD_IPRIORITYR8, 0),
            Answer::Some,
        )
    },
    Row {
        // Edge-triggered.
        prepare: || gic::write(gic::GICD_ICFGR2, 0xaaaa_aaaa),
        ..Row::eight("mmio-read-icfgr", Piece::LOAD32_8, |_| at(gic::GICD_ICFGR2, 0), Answer::Some)
    },
    Row::eight("mmio-read-irouter", Piece::LOAD64_8, |_| at(gic::GICD_IROUTER32, 0), Answer::Zero),
    Row {
        between: || gic::write(gic::GICD_ICENABLER1, gic::QUIET),
        ..Row::one(
            "mmio-write-isenabler",
            Piece::STORE32_1,
            |_| at(gic::GICD_ISENABLER1, gic::QUIET.into()),
            Answer::Any,
        )
    },
    Row {
        between: || gic::write(gic::GICD_ISENABLER1, gic::QUIET),
        ..Row::one(
            "mmio-write-icenabler",
            Piece::STORE32_1,
            |_| at(gic::GICD_ICENABLER1, gic::QUIET.into()),
            Answer::Any,
        )
    },
    // Another value than the one before.
    Row::one(
        "mmio-write-ipriorityr",
        Piece::STORE8_1,
        |n| at(gic::GICD_IPRIORITYR8, if n % 2 == 0 { 0x80 } else { 0xa0 }),
        Answer::Any,
    ),
    Row::eight("mmio-read-uart-fr", Piece::LOAD32_8, |_| at(UART_BASE + uart::FR, 0), Answer::Some),
    Row {
        between: wait_for_room,
        // The last of all samples ends the line.
        ..Row::one(
            "mmio-write-uart-dr",
            Piece::STORE8_1,
            |n| at(UART_BASE + uart::DR, if n % 64 == 63 { b'\n' } else { b'.' }.into()),
            Answer::Any,
        )
    },
    Row::span("unguarded-abort", Piece::ABORT_TO_HANDLER, |_| at(NOBODY, 0), Answer::Any),
    Row {
        empty: Some(Piece::ID_REGISTER_8_EMPTY),
        ..Row::eight("id-register", Piece::ID_REGISTER_8, |_| [0; 4], Answer::Some)
    },
    Row::span("self-sgi", Piece::SGI_TO_HANDLER, |_| [gic::sgi_to(0), 0, 0, 0], Answer::Any),
    Row::span("virtual-timer", Piece::TIMER_TO_HANDLER, |_| [TIMER_DELAY, 0, 0, 0], Answer::Any),
    Row::span("wfi-timer", Piece::TIMER_TO_WFI, |_| [TIMER_DELAY, 0, 0, 0], Answer::Any),
    Row {
        most: UNTOUCHED_BLOCKS,
        ..Row::one(
            "first-touch",
            Piece::STORE64_1,
            |n| [UNTOUCHED + n * BLOCK, 0, 0, 0],
            Answer::Any,
        )
    },
];

static SLOT: Slot = Slot::new();
/// Affinity of the other CPU.
const OTHER: u64 = 1;

const TWO_CPUS: &[Row] = &[
    Row {
        prepare: || {
            cpu_is_off();
        },
        between: cpu_is_off,
        ..Row::span(
            "cpu-on",
            Piece::CPU_ON_TO_FIRST_INSTRUCTION,
            |_| [u64::from(psci::CPU_ON_64.0), OTHER, entry::cpu_on_address(), SLOT.address()],
            Answer::Zero,
        )
    },
    Row {
        prepare: || {
            cpu_is_off();
            let args = [OTHER, entry::ipi_address(), SLOT.address()];
            if hyper::call(psci::CPU_ON_64.0, args) == 0 {
                while SLOT.read() != 1 {
                    cpu::give_way();
                }
            }
        },
        between: settle,
        ..Row::span(
            "ipi",
            Piece::IPI_TO_HANDLER,
            |_| [gic::sgi_to(OTHER), SLOT.address(), 0, 0],
            Answer::Any,
        )
    },
];

fn at(address: u64, value: u64) -> Args {
    [address, value, 0, 0]
}

/// Waits until the console takes a byte.
fn wait_for_room() {
    while uart::io().read32(uart::FR) & uart::FR_TXFF != 0 {
        cpu::give_way();
    }
}

/// Waits until the other CPU is off.
fn cpu_is_off() {
    while hyper::call(psci::AFFINITY_INFO_64.0, [OTHER, 0, 0]) == 0 {
        cpu::give_way();
    }
}

/// Lets the other CPU finish its handler.
fn settle() {
    for _ in 0..64 {
        cpu::give_way();
    }
}

/// Runs what belongs to this VM.
pub(crate) fn run(options: &Options, has_guard: bool) {
    let rows = FIRST.iter().chain(if has_guard { CALLS } else { &[] }).chain(TRAPS);
    if options.cpus < 2 {
        rows.for_each(|row| row.run(options));
    } else {
        TWO_CPUS.iter().for_each(|row| row.run(options));
    }
}
