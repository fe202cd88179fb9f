//! Rows 81 to 95: sharing memory and giving it back.

use hyp_abi::vendor::pkvm::{HYP_MEMINFO, MEM_RELINQUISH, MEM_SHARE, MEM_UNSHARE};

use crate::arch::probe::{self, Probe};
use crate::config::{Kinds, PAGE};
use crate::hyper::{INVALID, call, call0};
use crate::rows::faults::HOLE;
use crate::smp;
use crate::tap::Row;

const PATTERN: u64 = 0x0123_4567_89ab_cdef;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("R81", Kinds::PROTECTED, "MEMINFO answers the granule, no ranges", |check, _| {
        check.that("4096, 0, 0, 0", call(HYP_MEMINFO, [0; 3]) == [PAGE, 0, 0, 0]);
    }),
    Row::new("R82", Kinds::PROTECTED, "MEMINFO with an argument", |check, _| {
        for args in [[1, 0, 0], [0, 1, 0], [0, 0, 1]] {
            check.eq("x0", call0(HYP_MEMINFO, args), INVALID);
        }
    }),
    Row::new("R83", Kinds::PROTECTED, "SHARE of an owned page", |check, config| {
        put(config.far_page(0), PATTERN);
        check.that("0, 0, 0, 0", call(MEM_SHARE, [config.far_page(0), 0, 0]) == [0; 4]);
        check.eq("contents", get(config.far_page(0)), PATTERN);
    }),
    Row::new("R84", Kinds::PROTECTED, "SHARE of the same page again", |check, config| {
        check.eq("x0", call0(MEM_SHARE, [config.far_page(0), 0, 0]), INVALID);
    }),
    Row::new("R85", Kinds::PROTECTED, "SHARE unaligned", |check, config| {
        for offset in [1, 8, 0x800] {
            check.eq("SHARE", call0(MEM_SHARE, [config.far_page(1) + offset, 0, 0]), INVALID);
            check.eq("UNSHARE", call0(MEM_UNSHARE, [config.far_page(0) + offset, 0, 0]), INVALID);
        }
    }),
    Row::new("R86", Kinds::PROTECTED, "SHARE of a guarded page", |check, config| {
        check.eq("x0", call0(MEM_SHARE, [config.uart, 0, 0]), INVALID);
        check.eq("x0", call0(MEM_SHARE, [config.gicd, 0, 0]), INVALID);
    }),
    Row::new(
        "R87",
        Kinds::PROTECTED,
        "SHARE beyond RAM; of RAM not touched yet",
        |check, config| {
            for ipa in [HOLE, 1 << config.ipa_bits, 0xffff_ffff_ffff_f000, config.ram_end] {
                check.eq("no RAM", call0(MEM_SHARE, [ipa, 0, 0]), INVALID);
            }
            let page = config.untouched_page(1);
            check.eq("RAM", call0(MEM_SHARE, [page, 0, 0]), 0);
            check.eq("contents", get(page), 0);
            check.eq("UNSHARE", call0(MEM_UNSHARE, [page, 0, 0]), 0);
        },
    ),
    Row::new("R88", Kinds::PROTECTED, "SHARE of a range is not offered", |check, config| {
        check.eq("SHARE", call0(MEM_SHARE, [config.far_page(1), 2, 0]), INVALID);
        check.eq("UNSHARE", call0(MEM_UNSHARE, [config.far_page(0), 2, 0]), INVALID);
    }),
    Row::new("R89", Kinds::PROTECTED, "SHARE with x3 = 1", |check, config| {
        check.eq("SHARE", call0(MEM_SHARE, [config.far_page(1), 0, 1]), INVALID);
        check.eq("UNSHARE", call0(MEM_UNSHARE, [config.far_page(0), 0, 1]), INVALID);
    }),
    Row::new("R90", Kinds::PROTECTED, "UNSHARE keeps the contents", |check, config| {
        check.that("0, 0, 0, 0", call(MEM_UNSHARE, [config.far_page(0), 0, 0]) == [0; 4]);
        check.eq("contents", get(config.far_page(0)), PATTERN);
    }),
    Row::new("R91", Kinds::PROTECTED, "UNSHARE of what is not shared", |check, config| {
        check.eq("owned", call0(MEM_UNSHARE, [config.far_page(0), 0, 0]), INVALID);
        check.eq("untouched", call0(MEM_UNSHARE, [config.untouched_page(2), 0, 0]), INVALID);
        check.eq("guarded", call0(MEM_UNSHARE, [config.uart, 0, 0]), INVALID);
        check.eq("hole", call0(MEM_UNSHARE, [HOLE, 0, 0]), INVALID);
    }),
    Row::new("R93", Kinds::PROTECTED, "RELINQUISH, then a zero page", |check, config| {
        let page = config.far_page(3);
        put(page, PATTERN);
        put(page + PAGE - 8, PATTERN);
        put(page - PAGE, PATTERN);
        check.that("0, 0, 0, 0", call(MEM_RELINQUISH, [page, 0, 0]) == [0; 4]);
        check.eq("first word", get(page), 0);
        check.eq("last word", get(page + PAGE - 8), 0);
        check.eq("the page before", get(page - PAGE), PATTERN);
        put(page, PATTERN);
        check.eq("it is memory", get(page), PATTERN);
    }),
    Row::new("R94", Kinds::PROTECTED, "RELINQUISH of RAM not touched yet", |check, config| {
        let page = config.untouched_page(3);
        for _ in 0..2 {
            check.eq("x0", call0(MEM_RELINQUISH, [page, 0, 0]), 0);
        }
        check.eq("it reads 0", get(page), 0);
    }),
    Row::new(
        "R95",
        Kinds::PROTECTED,
        "RELINQUISH with flags, or of a shared page",
        |check, config| {
            let page = config.far_page(4);
            put(page, PATTERN);
            check.eq("x2 = 1", call0(MEM_RELINQUISH, [page, 1, 0]), INVALID);
            check.eq("x3 = 1", call0(MEM_RELINQUISH, [page, 0, 1]), INVALID);
            check.eq("SHARE", call0(MEM_SHARE, [page, 0, 0]), 0);
            check.eq("shared", call0(MEM_RELINQUISH, [page, 0, 0]), INVALID);
            check.eq("contents", get(page), PATTERN);
            check.eq("UNSHARE", call0(MEM_UNSHARE, [page, 0, 0]), 0);
            check.eq("owned again", call0(MEM_RELINQUISH, [page, 0, 0]), 0);
            check.eq("it reads 0", get(page), 0);
        },
    ),
    Row::new(
        "S1",
        Kinds::PROTECTED,
        "every second page of 2 MiB shared and unshared",
        |check, config| {
            let base = config.far_block();
            for n in 0..512 {
                put(base + n * PAGE, PATTERN ^ n);
            }
            for id in [MEM_SHARE, MEM_UNSHARE] {
                for n in (0..512).step_by(2) {
                    check.eq("x0", call0(id, [base + n * PAGE, 0, 0]), 0);
                }
                for n in 0..512 {
                    check.eq("contents", get(base + n * PAGE), PATTERN ^ n);
                }
            }
        },
    ),
    Row::new("S2", Kinds::PROTECTED, "SHARE after RELINQUISH", |check, config| {
        let page = config.far_page(5);
        put(page, PATTERN);
        check.eq("RELINQUISH", call0(MEM_RELINQUISH, [page, 0, 0]), 0);
        check.eq("SHARE", call0(MEM_SHARE, [page, 0, 0]), 0);
        check.eq("it reads 0", get(page), 0);
        check.eq("UNSHARE", call0(MEM_UNSHARE, [page, 0, 0]), 0);
    }),
    Row::smp("S3", Kinds::PROTECTED, "page states are those of the VM", |check, config| {
        check.eq("SHARE here", call0(MEM_SHARE, [config.far_page(6), 0, 0]), 0);
        let there = smp::run_on(config, 1, |config| {
            let page = config.far_page(6);
            let again = call0(MEM_SHARE, [page, 0, 0]);
            let back = call0(MEM_UNSHARE, [page, 0, 0]);
            u64::from(again == INVALID && back == 0)
        });
        check.eq("refused and unshared there", there.unwrap_or(2), 1);
        check.eq("UNSHARE here", call0(MEM_UNSHARE, [config.far_page(6), 0, 0]), INVALID);
    }),
    Row::smp("S4", Kinds::PROTECTED, "RELINQUISH is seen by every vCPU", |check, config| {
        let page = config.far_page(7);
        put(page, PATTERN);
        let seen = smp::run_on(config, 1, |config| get(config.far_page(7)));
        check.eq("before", seen.unwrap_or(0), PATTERN);
        check.eq("RELINQUISH", call0(MEM_RELINQUISH, [page, 0, 0]), 0);
        let seen = smp::run_on(config, 1, |config| get(config.far_page(7)));
        check.eq("after", seen.unwrap_or(PATTERN), 0);
    }),
    Row::new("Z1", Kinds::VM, "RAM not touched yet reads 0", |check, config| {
        for n in 8..16 {
            check.eq("word", get(config.untouched_page(n)), 0);
            check.eq("last word", get(config.untouched_page(n) + PAGE - 8), 0);
        }
    }),
];

/// Writes a word of RAM that no Rust object uses.
fn put(ipa: u64, value: u64) {
    let _ = probe::run(probe::store64(), ipa, value);
}

/// Reads a word of RAM; all ones if that is denied.
fn get(ipa: u64) -> u64 {
    let got = probe::run(probe::load64(), ipa, 0);
    if got.is_caught() { u64::MAX } else { got.x[Probe::DATUM] }
}
