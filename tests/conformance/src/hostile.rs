//! Guests that do not end as guests should; `task.rs` lists them.

use hyp_abi::{psci, vendor::pkvm};

use crate::arch::probe::{self, Probe};
use crate::arch::{hostile, sysreg};
use crate::config::{Config, Kinds, PAGE};
use crate::hyper::{self, call0};
use crate::rows::faults::HOLE;
use crate::task::Task;
use crate::uart::{self, line};
use crate::{arch::cpu, arch::mmu, smp, time};

/// Does it.
pub(crate) fn run(config: &Config, task: Task) -> ! {
    match task {
        Task::End(how) => {
            line!("# {how:?}");
            hostile::end(how, HOLE)
        }
        Task::Promised => {
            line!("# Promised");
            let got = probe::run(hostile::clear_block(), mmu::NORMAL_WINDOW + HOLE, 0);
            line!("# ESR_EL1 {:#x}", got.esr);
            hyper::power_off()
        }
        Task::Retry => {
            line!("# Retry");
            // Longer than the patience, all of them.
            let tries = hostile::retry(HOLE, config.uart + uart::DR, time::ticks(1));
            line!("# came through after {tries} tries");
            hyper::power_off()
        }
        Task::SError => {
            cpu::unmask_serror();
            let _ = time::wait_until(smp::LIMIT, || false);
            crate::tap::bail_out(format_args!("no SError came"))
        }
        Task::Flood if config.cpu_count() > 1 => {
            let _ = smp::start(config, 1, |_| flood());
            let _ = call0(psci::CPU_OFF, [0; 3]);
            cpu::park()
        }
        Task::Flood => flood(),
        Task::Resets => resets(config),
        Task::ResetsWithSErrors => {
            cpu::unmask_serror();
            resets(config)
        }
    }
}

/// On the last vCPU, the first being off: prints, and makes accesses that its host has something to say about; tells how long it did not run.
fn flood() -> ! {
    const LINES: usize = 40;
    const LINE: [u8; 100] = [b'.'; 100];
    let mut last = sysreg::cntvct();
    let mut longest = 0;
    let mut look = || {
        let now = sysreg::cntvct();
        longest = now.wrapping_sub(last).max(longest);
        last = now;
    };
    let pieces = [probe::load8(), probe::load16(), probe::load32(), probe::load64()];
    for n in 0..LINES {
        for byte in LINE.into_iter().chain(*b"\r\n") {
            while uart::io().read32(uart::FR) & uart::FR_TXFF != 0 {
                look();
            }
            uart::io().write32(uart::DR, u32::from(byte));
            look();
        }
        if let Some(piece) = pieces.get(n / 8) {
            let _ = probe::run(*piece, HOLE, 0);
            look();
        }
    }
    line!("FLOOD-LONGEST {} us", longest.saturating_mul(1_000_000) / sysreg::cntfrq_el0().max(1));
    line!("FLOOD-NEXT?");
    if !time::wait_until(60_000, || uart::get() == Some(b'o')) {
        crate::tap::bail_out(format_args!("nobody answered"))
    }
    hyper::power_off()
}

const PATTERN: u64 = 0xdead_0000_0000_beef;
/// Pages of RAM to dirty, each in a block of its own.
const PAGES: u64 = 16;
/// Pages to guard, each in a gibibyte of its own, so that they cost tables.
const GUARDED: core::ops::Range<u64> = 4..36;

/// One boot of many: looks for traces of the one before, leaves its own, does what it is told.
fn resets(config: &Config) -> ! {
    for n in 0..PAGES {
        let page = config.untouched_page(n);
        let found = probe::run(probe::load64(), page, PATTERN).x[Probe::DATUM];
        if found != 0 {
            line!("# RESET-DIRTY {page:#x} holds {found:#x}");
        }
        let _ = probe::run(probe::store64(), page, PATTERN);
    }
    if Kinds::NORMAL_GUARD.contains(config.kind) {
        // Nothing may be printed in between.
        let _ = call0(pkvm::MMIO_GUARD_ENROLL, [0; 3]);
        config.map_device(config.uart, PAGE);
    }
    if Kinds::GUARD.contains(config.kind) {
        for n in GUARDED {
            if config.map(n << 30) != 0 {
                line!("# RESET-DIRTY no table for a guarded page at {:#x}", n << 30);
            }
        }
    }
    if Kinds::PROTECTED.contains(config.kind) {
        let _ = call0(pkvm::MEM_SHARE, [config.untouched_page(0), 0, 0]);
        let _ = call0(pkvm::MEM_RELINQUISH, [config.untouched_page(1), 0, 0]);
    }
    // The others run when the reset comes.
    for index in 1..config.cpu_count() {
        let _ = smp::start(config, index, |_| {
            loop {
                core::hint::spin_loop();
            }
        });
    }
    line!("RESET-NEXT? r, R, o");
    let mut answer = None;
    let _ = time::wait_until(60_000, || {
        answer = uart::get().filter(|byte| b"rRo".contains(byte));
        answer.is_some()
    });
    let _ = match answer {
        Some(b'r') => call0(psci::SYSTEM_RESET, [0; 3]),
        Some(b'R') => call0(psci::SYSTEM_RESET2_64, [0; 3]),
        Some(_) => hyper::power_off(),
        None => crate::tap::bail_out(format_args!("nobody answered")),
    };
    line!("# the reset came back");
    cpu::park()
}
