//! Rows 28 to 62: the MMIO guard, in both dialects.
//!
//! Whether a page is guarded is seen on a page of the GIC distributor, which answers when guarded
//! and aborts when not. The group leaves console and GIC guarded for all that follows.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hyp_abi::esr;
use hyp_abi::smccc::FunctionId;
use hyp_abi::vendor::{list_2021, pkvm};

use crate::arch::probe::{self, Probe};
use crate::config::{Config, Kinds, PAGE};
use crate::gic;
use crate::hyper::{INVALID, NOT_SUPPORTED, call, call0};
use crate::rows::faults::HOLE;
use crate::tap::{Check, Row};
use crate::{console_guard, smp, time};

const GARBAGE: u64 = 0xfeed_face_dead_beef;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    // Before enrolment, in VMs that start without it.
    Row::new(
        "R34",
        Kinds::NOT_ENROLLED,
        "before ENROLL devices answer without MAP",
        |check, config| {
            check.that("the distributor answers", answers(config));
        },
    ),
    Row::new("R38", Kinds::NOT_ENROLLED, "MAP before ENROLL", |check, config| {
        check.eq("x0", config.map(HOLE), refusal(config));
    }),
    Row::new("R53", Kinds::NOT_ENROLLED, "UNMAP before ENROLL", |check, config| {
        check.eq("x0", config.unmap(HOLE), refusal(config));
    }),
    Row::new("R31", Kinds::NOT_ENROLLED, "ENROLL, then the guard is in force", |check, config| {
        let answer = call0(enroll_id(config), [0; 3]);
        // The console is cut off now: nothing may be printed before it is guarded.
        let console = config.map(config.uart);
        let is_denied = !answers(config);
        check.eq("ENROLL", answer, 0);
        check.eq("MAP of the console", console, 0);
        check.that("the distributor is denied", is_denied);
    }),
    Row::smp("R35", Kinds::GUARD, "the guard holds on every vCPU", |check, config| {
        let denied = smp::run_on(config, 1, |config| u64::from(!answers(config)));
        check.eq("denied there", denied.unwrap_or(2), 1);
    }),
    // From here on every VM with the guard is enrolled.
    Row::new("R39", Kinds::ANY_PROTECTED, "MAP without any ENROLL", |check, _| {
        check.eq("the console, with the MMU off", console_guard::answer(), 0);
    }),
    Row::new("R28", Kinds::GUARD, "INFO answers the granule", |check, config| {
        let got = call(info_id(config), [0; 3]);
        let has_range = u64::from(Kinds::PKVM_GUARD.contains(config.kind));
        check.eq("x0", got[0], PAGE);
        check.eq("x1", got[1], has_range);
    }),
    Row::new("R29", Kinds::GUARD, "INFO with x1 = 1", |check, config| {
        check.eq("x0", call0(info_id(config), [1, 0, 0]), info_with_argument(config));
        check.eq("x0", call0(info_id(config), [0, 1, 0]), info_with_argument(config));
    }),
    Row::new("R30", Kinds::GUARD, "INFO with x3 = 1", |check, config| {
        check.eq("x0", call0(info_id(config), [0, 0, 1]), info_with_argument(config));
    }),
    Row::smp("R32", Kinds::GUARD, "ENROLL again, on another vCPU", |check, config| {
        check.eq("here", call0(enroll_id(config), [0; 3]), 0);
        let there = smp::run_on(config, 1, |config| call0(enroll_id(config), [0; 3]));
        check.eq("there", there.unwrap_or(1), 0);
    }),
    Row::new("R33", Kinds::GUARD, "ENROLL does not look at arguments", |check, config| {
        check.eq("x0", call0(enroll_id(config), [GARBAGE; 3]), 0);
    }),
    Row::new("R36", Kinds::GUARD, "MAP of every page of the GIC", |check, config| {
        check.that("denied before", !answers(config));
        for (base, size) in config.gic_windows() {
            for page in 0..size / PAGE {
                check.eq("x0", config.map(base + page * PAGE), 0);
            }
        }
        check.that("answers after", answers(config));
    }),
    Row::new("R37", Kinds::GUARD, "MAP of the same page again", |check, config| {
        for _ in 0..3 {
            check.eq("x0", config.map(probe_page(config)), 0);
        }
        check.that("it answers", answers(config));
    }),
    Row::new("R40", Kinds::GUARD, "MAP of IPA 0", |check, config| {
        check.eq("MAP", config.map(0), 0);
        // Some hosts have the console there.
        if config.uart != 0 {
            check.eq("UNMAP", config.unmap(0), 0);
        }
    }),
    Row::new("R41", Kinds::GUARD, "MAP unaligned", |check, config| {
        for offset in [1, 8, 0x800, 0xfff] {
            check.eq("x0", config.map(HOLE + offset), refusal(config));
        }
    }),
    Row::new("R42", Kinds::GUARD, "MAP of RAM", ram_refused),
    Row::new("R43", Kinds::PROTECTED, "MAP of a shared page", |check, config| {
        let page = config.far_page(0);
        check.eq("SHARE", call0(pkvm::MEM_SHARE, [page, 0, 0]), 0);
        check.eq("MAP", config.map(page), INVALID);
        check.eq("UNSHARE", call0(pkvm::MEM_UNSHARE, [page, 0, 0]), 0);
        check.eq("MAP", config.map(page), INVALID);
    }),
    Row::new("R44", Kinds::GUARD, "MAP beyond the IPA space", |check, config| {
        for ipa in [1 << config.ipa_bits, (1 << config.ipa_bits) + HOLE, 1 << 52] {
            check.eq("x0", config.map(ipa), refusal(config));
        }
        let last = (1 << config.ipa_bits) - PAGE;
        check.eq("the last page is in", config.map(last), 0);
        check.eq("and out again", config.unmap(last), 0);
    }),
    Row::new("R45", Kinds::GUARD, "MAP of the last page of 64 bits", |check, config| {
        check.eq("x0", config.map(0xffff_ffff_ffff_f000), refusal(config));
    }),
    Row::new("R46", Kinds::GUARD, "MAP does not look at x2, x3", |check, config| {
        check.eq("x0", call0(config.map_id(), [HOLE, 3, GARBAGE]), 0);
        check.eq("x0", call0(config.unmap_id(), [HOLE, GARBAGE, GARBAGE]), 0);
    }),
    Row::new("R47", Kinds::GUARD, "MAP with a MAIR index in x2", |check, config| {
        for index in [0, 7] {
            check.eq("x0", call0(config.map_id(), [HOLE, index, 0]), 0);
        }
        check.eq("UNMAP", config.unmap(HOLE), 0);
    }),
    Row::new("R48", Kinds::GUARD, "refusals are 64 bits wide, x1 to x3 are 0", |check, config| {
        let got = call(config.map_id(), [HOLE + 1, 0, 0]);
        check.eq("x0", got[0], refusal(config));
        check.that("x1 to x3 are 0", got[1..] == [0, 0, 0]);
    }),
    Row::new("R49", Kinds::GUARD, "UNMAP of a guarded page", |check, config| {
        check.eq("x0", config.unmap(probe_page(config)), 0);
    }),
    Row::new("R54", Kinds::GUARD, "access after UNMAP", |check, config| {
        let got = look(config);
        check.eq("ESR_EL1", got.esr, esr::SEA_DATA_EL1);
        check.eq("FAR_EL1", got.far, probe_register(config));
    }),
    Row::new("R50", Kinds::GUARD, "UNMAP twice", |check, config| {
        let allowed: &[u64] = if is_list(config) { &[NOT_SUPPORTED] } else { &[0, INVALID] };
        check.one_of("x0", config.unmap(probe_page(config)), allowed);
        check.that("denied", !answers(config));
        check.eq("MAP", config.map(probe_page(config)), 0);
        check.that("answers", answers(config));
    }),
    Row::new("R51", Kinds::GUARD, "UNMAP of RAM", |check, config| {
        let page = config.far_page(1);
        let _ = probe::run(probe::store64(), page, GARBAGE);
        check.eq("x0", config.unmap(page), refusal(config));
        check.eq("contents", probe::run(probe::load64(), page, 0).x[Probe::DATUM], GARBAGE);
    }),
    Row::new("R52", Kinds::GUARD, "UNMAP unaligned", |check, config| {
        let got = config.unmap(probe_page(config) + 8);
        if is_list(config) {
            check.eq("x0", got, 0);
            check.that("aligned down: denied", !answers(config));
            check.eq("MAP", config.map(probe_page(config)), 0);
        } else {
            check.eq("x0", got, INVALID);
        }
        check.that("answers", answers(config));
    }),
    Row::new("R55", Kinds::PKVM_GUARD, "RGUARD_MAP and RGUARD_UNMAP of four pages", ranges),
    Row::new("R56", Kinds::PKVM_GUARD, "RGUARD_MAP of nothing", |check, _| {
        let got = call(pkvm::MMIO_RGUARD_MAP, [HOLE, 0, 0]);
        check.that("-3, 0, 0, 0", got == [INVALID, 0, 0, 0]);
        let got = call(pkvm::MMIO_RGUARD_UNMAP, [HOLE, 0, 0]);
        check.that("-3, 0, 0, 0", got == [INVALID, 0, 0, 0]);
    }),
    Row::new("R57", Kinds::PKVM_GUARD, "RGUARD_* with x3 = 1", |check, _| {
        check.eq("MAP", call0(pkvm::MMIO_RGUARD_MAP, [HOLE, 1, 1]), INVALID);
        check.eq("UNMAP", call0(pkvm::MMIO_RGUARD_UNMAP, [HOLE, 1, 1]), INVALID);
    }),
    Row::new("R58", Kinds::PKVM_GUARD, "RGUARD_MAP that runs into RAM", range_into_ram),
    Row::new("R59", Kinds::PKVM_GUARD, "RGUARD_MAP of 2^60 pages", |check, config| {
        let base = (1 << config.ipa_bits) - 4 * PAGE;
        for count in [1 << 60, u64::MAX, 1 << 52, 5] {
            let got = call(pkvm::MMIO_RGUARD_MAP, [base, count, 0]);
            check.that(
                "-3, or no more than there is",
                match got {
                    [INVALID, 0, 0, 0] => true,
                    [0, done, 0, 0] => (1..=4).contains(&done),
                    _ => false,
                },
            );
            undo(got, base);
        }
    }),
    Row::new("R60", Kinds::LIST_GUARD, "range calls are not there", |check, _| {
        check.eq("MAP", call0(pkvm::MMIO_RGUARD_MAP, [HOLE, 1, 0]), NOT_SUPPORTED);
        check.eq("UNMAP", call0(pkvm::MMIO_RGUARD_UNMAP, [HOLE, 1, 0]), NOT_SUPPORTED);
        for number in 6..=9 {
            let id = FunctionId::fast64(hyp_abi::smccc::owner::VENDOR_HYP, number);
            check.eq("nor the other dialect's", call0(id, [HOLE, 0, 0]), NOT_SUPPORTED);
        }
    }),
    Row::smp("R62", Kinds::GUARD, "two vCPUs MAP the same page at once", map_race),
    Row::smp("M1", Kinds::GUARD, "MAP and UNMAP against accesses of another vCPU", map_and_access),
    Row::new("M2", Kinds::GUARD, "guarding 64 pages apart and back, twice", |check, config| {
        // Each lies in a 2 MiB block of its own, so tables come and go.
        let base = 1 << (config.ipa_bits - 1).min(36);
        for _ in 0..2 {
            for n in 0..64 {
                check.eq("MAP", config.map(base + n * (2 << 20)), 0);
            }
            for n in 0..64 {
                check.eq("UNMAP", config.unmap(base + n * (2 << 20)), 0);
            }
        }
    }),
];

fn is_list(config: &Config) -> bool {
    Kinds::LIST_GUARD.contains(config.kind)
}

/// What the guard's calls answer when they refuse.
fn refusal(config: &Config) -> u64 {
    if is_list(config) { NOT_SUPPORTED } else { INVALID }
}

fn info_with_argument(config: &Config) -> u64 {
    if is_list(config) { PAGE } else { INVALID }
}

fn info_id(config: &Config) -> FunctionId {
    if is_list(config) { list_2021::MMIO_GUARD_INFO } else { pkvm::MMIO_GUARD_INFO }
}

fn enroll_id(config: &Config) -> FunctionId {
    if is_list(config) { list_2021::MMIO_GUARD_ENROLL } else { pkvm::MMIO_GUARD_ENROLL }
}

/// GICD_PIDR2: reads as a value that nothing else gives.
fn probe_register(config: &Config) -> u64 {
    config.gicd + gic::pidr2()
}

/// The page of that register.
pub(super) fn probe_page(config: &Config) -> u64 {
    probe_register(config) & !(PAGE - 1)
}

fn look(config: &Config) -> Probe {
    probe::run(probe::load32(), probe_register(config), GARBAGE)
}

/// Whether the distributor's last page is served.
pub(super) fn answers(config: &Config) -> bool {
    let got = look(config);
    !got.is_caught() && is_version(&got)
}

/// Whether GICD_PIDR2.ArchRev was read.
fn is_version(got: &Probe) -> bool {
    (got.x[Probe::DATUM] >> 4) & 0xf == u64::from(gic::version())
}

/// Four guarded pages, the last of which is the one that is looked at. Of a GICv2 it is the only one
/// with something behind it.
pub(super) fn four_pages(config: &Config) -> u64 {
    let base = probe_page(config) - 3 * PAGE;
    for page in 0..4 {
        let _ = config.map(base + page * PAGE);
    }
    base
}

fn ram_refused(check: &mut Check, config: &Config) {
    let populated = config.far_page(2);
    let _ = probe::run(probe::store64(), populated, GARBAGE);
    for page in [config.ram_base, populated, config.untouched_page(0), config.ram_end - PAGE] {
        check.eq("x0", config.map(page), refusal(config));
    }
    check.eq("contents", probe::run(probe::load64(), populated, 0).x[Probe::DATUM], GARBAGE);
}

fn ranges(check: &mut Check, config: &Config) {
    let base = four_pages(config);
    let all = |id, count| {
        let mut done = 0;
        while done < count {
            let got = call(id, [base + done * PAGE, count - done, 0]);
            if got[0] != 0 || got[1] == 0 || got[1] > count - done || got[2..] != [0, 0] {
                return false;
            }
            done += got[1];
        }
        true
    };
    check.that("UNMAP", all(pkvm::MMIO_RGUARD_UNMAP, 4));
    check.that("denied", !answers(config));
    check.that("MAP", all(pkvm::MMIO_RGUARD_MAP, 4));
    check.that("answers", answers(config));
    check.that("MAP again", all(pkvm::MMIO_RGUARD_MAP, 4));
    // A page without a mark in the middle.
    check.eq("UNMAP of one", config.unmap(base + PAGE), 0);
    let got = call(pkvm::MMIO_RGUARD_UNMAP, [base + PAGE, 1, 0]);
    check.one_of("RGUARD_UNMAP of it", got[0], &[0, INVALID]);
    check.eq("MAP of one", config.map(base + PAGE), 0);
    check.eq("unaligned", call0(pkvm::MMIO_RGUARD_MAP, [base + 4, 1, 0]), INVALID);
    check.eq("unaligned", call0(pkvm::MMIO_RGUARD_UNMAP, [base + 4, 1, 0]), INVALID);
}

/// Takes back what a range call marked from `base` on.
fn undo(got: [u64; 4], base: u64) {
    if got[0] == 0 {
        let _ = call(pkvm::MMIO_RGUARD_UNMAP, [base, got[1], 0]);
    }
}

fn range_into_ram(check: &mut Check, config: &Config) {
    let base = config.ram_base - 2 * PAGE;
    let mut got = call(pkvm::MMIO_RGUARD_MAP, [base, 3, 0]);
    let first = got;
    let mut done = 0;
    while got[0] == 0 && (1..=2).contains(&got[1]) && done < 2 {
        done += got[1];
        got = call(pkvm::MMIO_RGUARD_MAP, [base + done * PAGE, 3 - done, 0]);
    }
    check.that(
        "-3 at once, or two pages and then -3",
        first == [INVALID, 0, 0, 0] || (done == 2 && got == [INVALID, 0, 0, 0]),
    );
    // A mark on RAM would cut the page off.
    let ram = probe::run(probe::load64(), config.ram_base, 0);
    check.that("RAM is still RAM", !ram.is_caught());
    for n in 0..done {
        check.eq("UNMAP", config.unmap(base + n * PAGE), 0);
    }
}

static GO: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);

fn map_race(check: &mut Check, config: &Config) {
    for _ in 0..20 {
        check.eq("UNMAP", config.unmap(probe_page(config)), 0);
        check.that("denied", !answers(config));
        GO.store(false, Ordering::Release);
        let (started, _) = smp::start(config, 1, |config| {
            let _ = time::wait_until(smp::LIMIT, || GO.load(Ordering::Acquire));
            config.map(probe_page(config))
        });
        let came = time::wait_until(smp::LIMIT, || smp::arrival(1).is_some());
        GO.store(true, Ordering::Release);
        let here = config.map(probe_page(config));
        let there = smp::finish(config, 1).unwrap_or(1);
        check.that("the rival came", started == 0 && came);
        check.eq("here", here, 0);
        check.eq("there", there, 0);
        check.that("answers", answers(config));
    }
}

/// Accesses that CPU 1 made, for the row to see that there were some.
static LOOKS: AtomicU64 = AtomicU64::new(0);

fn map_and_access(check: &mut Check, config: &Config) {
    STOP.store(false, Ordering::Release);
    LOOKS.store(0, Ordering::Release);
    // CPU 1 looks all the time; each look either answers or is denied exactly.
    let (started, _) = smp::start(config, 1, |config| {
        let mut wrong = 0;
        let _ = time::wait_until(smp::LIMIT, || {
            let got = look(config);
            let is_right = if got.is_caught() {
                got.esr == esr::SEA_DATA_EL1 && got.far == probe_register(config)
            } else {
                is_version(&got)
            };
            wrong += u64::from(!is_right);
            LOOKS.fetch_add(1, Ordering::Release);
            STOP.load(Ordering::Acquire)
        });
        wrong
    });
    check.eq("CPU_ON", started, 0);
    check.that("it looks", time::wait_until(smp::LIMIT, || LOOKS.load(Ordering::Acquire) > 0));
    for _ in 0..200 {
        let off = config.unmap(probe_page(config));
        let is_denied = !answers(config);
        let on = config.map(probe_page(config));
        let is_there = answers(config);
        check.that("UNMAP and MAP", off == 0 && on == 0);
        check.that("each in force at once", is_denied && is_there);
    }
    STOP.store(true, Ordering::Release);
    check.eq("wrong looks", smp::finish(config, 1).unwrap_or(1), 0);
}
