//! Row 61 and what else a reset must undo; see the word `reset=ask` in `config.rs`.
//!
//! Nothing of a VM survives its reset, so this guest cannot know by itself whether it was reset.
//! It asks on the console: `1` makes it leave traces and reset, `2` makes it look for them; `3` and
//! `4` do the same with SYSTEM_RESET2.

use hyp_abi::{esr, psci};

use crate::arch::probe::{self, Probe};
use crate::config::{Boot, Config, Kinds, PAGE};
use crate::gic::{self, Gic};
use crate::hyper::{self, call0};
use crate::tap::Row;
use crate::uart::{self, line};
use crate::{arch::cpu, smp, time};

const PATTERN: u64 = 0xdead_0000_0000_beef;
/// Pages of RAM that are looked at, spread over it.
const PAGES: u64 = 16;

/// SYSTEM_RESET2: a vendor's type (DEN0022, 5.1.18: bit 31 set).
const VENDOR_RESET: u64 = 0x8000_0001;

/// The rows that this boot can show.
pub(super) fn rows(config: &Config) -> &'static [Row] {
    match config.boot {
        Boot::First => &[],
        Boot::AfterReset => ROWS,
        Boot::AfterReset2 => ROWS_2,
    }
}

/// After SYSTEM_RESET2, which might have come back in place of resetting.
const ROWS_2: &[Row] = &[Row::new("R116", Kinds::VM, "SYSTEM_RESET2 resets", |check, config| {
    check.eq("word", probe::run(probe::load64(), marked(config, 1), 1).x[Probe::DATUM], 0);
})];

const ROWS: &[Row] = &[
    Row::new("R61", Kinds::GUARD, "after a reset no page is guarded", |check, config| {
        // `first_boot` had guarded this page, where something answers.
        let va = config.gicd + gic::pidr2();
        let got = probe::run(probe::load32(), va, 0);
        if Kinds::NOT_ENROLLED.contains(config.kind) {
            check.that("not enrolled: the device answers", !got.is_caught());
        } else {
            check.eq("ESR_EL1", got.esr, esr::SEA_DATA_EL1);
            check.eq("FAR_EL1", got.far, va);
        }
    }),
    Row::new("RS1", Kinds::VM, "after a reset RAM is zero", |check, config| {
        for n in 0..PAGES {
            let got = probe::run(probe::load64(), marked(config, n), PATTERN);
            check.eq("word", got.x[Probe::DATUM], 0);
        }
    }),
    Row::new("RS2", Kinds::PROTECTED, "after a reset no page is shared", |check, config| {
        check.eq(
            "UNSHARE",
            call0(hyp_abi::vendor::pkvm::MEM_UNSHARE, [marked(config, 0), 0, 0]),
            hyper::INVALID,
        );
    }),
    Row::smp("RS3", Kinds::VM, "after a reset the other CPUs are off", |check, config| {
        for index in 1..config.cpu_count() {
            let got = call0(psci::AFFINITY_INFO_64, [config.affinity(index), 0, 0]);
            check.eq("AFFINITY_INFO", got, psci::affinity::OFF as u64);
        }
    }),
];

fn marked(config: &Config, n: u64) -> u64 {
    config.untouched_page(n)
}

/// Asks which boot this is; a first one does not return.
pub(crate) fn ask(config: &Config) -> Boot {
    line!("CONFORMANCE-BOOT? 1 leaves traces and resets, 2 looks for them; RESET2: 3 and 4");
    let mut answer = None;
    let _ = time::wait_until(60_000, || {
        answer = uart::get().filter(|byte| b"1234".contains(byte));
        answer.is_some()
    });
    match answer {
        Some(b'1') => first_boot(config, Boot::AfterReset),
        Some(b'2') => Boot::AfterReset,
        Some(b'3') => first_boot(config, Boot::AfterReset2),
        Some(_) => Boot::AfterReset2,
        None => crate::tap::bail_out(format_args!("nobody answered")),
    }
}

/// Leaves a trace of everything that a reset must take away, then resets.
fn first_boot(config: &Config, next: Boot) -> ! {
    for (base, size) in config.gic_windows() {
        config.map_device(base, size);
    }
    for n in 0..PAGES {
        let _ = probe::run(probe::store64(), marked(config, n), PATTERN);
    }
    if Kinds::PROTECTED.contains(config.kind) {
        let _ = call0(hyp_abi::vendor::pkvm::MEM_SHARE, [marked(config, 0), 0, 0]);
        let _ = call0(hyp_abi::vendor::pkvm::MEM_RELINQUISH, [marked(config, 1) + PAGE, 0, 0]);
    }
    if Kinds::ANY_NORMAL.contains(config.kind) {
        super::debug::fill();
    }
    let gic = Gic::set_up(config);
    gic.private().write32(gic::ISENABLER, u32::MAX);
    gic.dist.write32(gic::ISENABLER + 4, u32::MAX);
    gic.dist.write32(gic::ISPENDR + 4, u32::MAX);
    // The others sleep, spin, and are about to be started when the reset comes.
    for index in 1..config.cpu_count() {
        let job: smp::Job = if index % 2 == 1 {
            |_| loop {
                cpu::wfi()
            }
        } else {
            |_| loop {
                core::hint::spin_loop();
            }
        };
        let _ = smp::start(config, index, job);
    }
    line!("# traces are left, reset");
    let came_back = match next {
        Boot::AfterReset2 => call0(psci::SYSTEM_RESET2_64, [VENDOR_RESET, 0, 0]),
        _ => call0(psci::SYSTEM_RESET, [0; 3]),
    };
    crate::tap::bail_out(format_args!("the reset came back with {came_back:#x}"))
}
