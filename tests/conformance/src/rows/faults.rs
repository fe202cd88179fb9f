//! Rows 64 to 79: accesses outside memory, exact to the bit, and emulated ones.

use hyp_abi::esr;

use crate::arch::probe::{self, Piece, Probe, User};
use crate::arch::{mmio::Io, mmu};
use crate::config::{Config, Kinds, PAGE};
use crate::gic::{self, Gic};
use crate::tap::{Check, Row};
use crate::{smp, uart};

/// An IPA with neither memory nor device behind it, on Postern and on QEMU's `virt` machine.
pub(crate) const HOLE: u64 = 0x0bf0_0000;

const DATUM: u64 = 0x5ca1_ab1e_0ddb_a110;
/// DAIF set, CurrentEL EL1, SPSel 1: how every exception to EL1 begins.
const HANDLER_PSTATE: u64 = 0x3c0 | (1 << 2) | 1;
/// SPSR_EL1.M: EL1h.
const FROM_EL1H: u64 = 0b0101;
const FROM_EL1T: u64 = 0b0100;
const FROM_EL0T: u64 = 0b0000;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("R64", Kinds::ALL, "EL1 load outside memory and guard", |check, config| {
        for piece in [probe::load8(), probe::load16(), probe::load32(), probe::load64()] {
            aborted(check, config, piece, HOLE);
        }
    }),
    Row::new("R64a", Kinds::VM, "the same at any address", |check, config| {
        let last = (1 << config.ipa_bits.min(40)) - PAGE;
        let high = config.ram_end.max(1 << (config.ipa_bits - 1).min(39));
        // Some hosts have the GIC right below 1 GiB.
        let below = if config.gicd + 0x1_0000 == 1 << 30 { HOLE } else { 0x3fff_f000 };
        for va in [last + 0x7f8, HOLE + 0xff8, 0x1_0000, below, high] {
            aborted(check, config, probe::load64(), va);
        }
    }),
    Row::new("R65", Kinds::VM, "EL1 store outside memory and guard", |check, config| {
        for piece in [probe::store8(), probe::store16(), probe::store32(), probe::store64()] {
            aborted(check, config, piece, HOLE + 0x18);
        }
    }),
    Row::new("R64m", Kinds::ALL, "EL1 load with the MMU off", |check, config| {
        aborted(check, config, probe::load32_mmu_off(), HOLE + 4);
    }),
    Row::new("R65m", Kinds::VM, "EL1 store with the MMU off", |check, config| {
        aborted(check, config, probe::store32_mmu_off(), HOLE + 4);
    }),
    Row::new("R66", Kinds::VM, "EL0 load and store", |check, config| {
        for what in [User::Load32, User::Store32] {
            user_aborted(check, config, what, esr::SEA_DATA_EL0);
        }
    }),
    Row::new("R67", Kinds::VM, "EL1t load", |check, config| {
        let piece = probe::load32_el1t();
        let got = probe::run(piece, HOLE, DATUM);
        let want =
            Want { esr: esr::SEA_DATA_EL1, far: HOLE, elr: piece.at, vector: 0, from: FROM_EL1T };
        is_abort(check, config, &got, &want);
    }),
    Row::new("R68", Kinds::VM, "EL1 fetch from a guarded page and from a hole", |check, config| {
        for ipa in [config.uart, config.gicd, HOLE] {
            let va = mmu::NORMAL_WINDOW + ipa;
            let got = probe::run(probe::branch(), va, DATUM);
            let want =
                Want { esr: esr::SEA_FETCH_EL1, far: va, elr: va, vector: 0x200, from: FROM_EL1H };
            is_abort(check, config, &got, &want);
        }
    }),
    Row::new("R69", Kinds::VM, "EL0 fetch outside memory", |check, config| {
        user_aborted(check, config, User::Branch, esr::SEA_FETCH_EL0);
    }),
    Row::new("R71", Kinds::GUARD, "load that crosses into an unguarded page", |check, config| {
        // The console has one page; the GIC's first page has nothing before it.
        aborted(check, config, probe::load64(), mmu::NORMAL_WINDOW + config.uart + PAGE - 4);
        aborted(check, config, probe::load64(), mmu::NORMAL_WINDOW + config.gic_start() - 4);
    }),
    Row::new("R72", Kinds::GUARD, "load across two guarded pages", |check, config| {
        let va = mmu::NORMAL_WINDOW + config.gicd + PAGE - 4;
        let got = probe::run(probe::load64(), va, DATUM);
        // Served or denied, but never half of each.
        check.that("served, or denied exactly", !got.is_caught() || got.esr == esr::SEA_DATA_EL1);
        check.that("FAR_EL1", !got.is_caught() || got.far == va);
    }),
    Row::new("R74", Kinds::ALL, "loads of every width, sign-extended or not", widths),
    Row::new("R75", Kinds::ALL, "loads to and stores from the zero register", zero_register),
    Row::new("R76", Kinds::VM, "cache maintenance outside memory is skipped", |check, config| {
        for ipa in [HOLE, config.uart] {
            check.that("no exception", !probe::run(probe::clean_line(), ipa, 0).is_caught());
        }
    }),
    Row::new("R78", Kinds::ALL, "big-endian store and load", big_endian),
    Row::new("R79", Kinds::GUARD, "guarded page with no device", |check, config| {
        check.eq("MAP", config.map(HOLE), 0);
        for piece in [probe::load32(), probe::store32(), probe::load64()] {
            aborted(check, config, piece, HOLE + 0x20);
        }
        check.eq("UNMAP", config.unmap(HOLE), 0);
    }),
    Row::smp("F1", Kinds::VM, "aborts on every vCPU at once", |check, config| {
        for index in 1..config.cpu_count() {
            let (answer, _) = smp::start(config, index, |_| exact_aborts());
            check.eq("CPU_ON", answer, 0);
        }
        check.eq("here", exact_aborts(), ABORTS);
        for index in 1..config.cpu_count() {
            check.eq("there", smp::finish(config, index).unwrap_or(0), ABORTS);
        }
    }),
];

/// The exception that is due.
struct Want {
    esr: u64,
    far: u64,
    elr: u64,
    vector: u64,
    from: u64,
}

/// Runs `piece` at `va` and demands the external abort of a data access at EL1.
fn aborted(check: &mut Check, config: &Config, piece: Piece, va: u64) {
    let got = probe::run(piece, va, DATUM);
    let want =
        Want { esr: esr::SEA_DATA_EL1, far: va, elr: piece.at, vector: 0x200, from: FROM_EL1H };
    is_abort(check, config, &got, &want);
    check.eq("x9 is untouched", got.x[Probe::DATUM], DATUM);
    check.eq("x8 is untouched", got.x[Probe::ADDRESS], va);
}

fn user_aborted(check: &mut Check, config: &Config, what: User, esr: u64) {
    let (got, code) = probe::run_user(what, HOLE);
    let far = HOLE + mmu::USER_WINDOW;
    let elr = if what == User::Branch { far } else { code };
    is_abort(check, config, &got, &Want { esr, far, elr, vector: 0x400, from: FROM_EL0T });
}

/// Every part of the exception that the guest can see.
fn is_abort(check: &mut Check, config: &Config, got: &Probe, want: &Want) {
    check.that("there is an exception", got.is_caught());
    // Without a hypervisor the emulator or the bus fills in what it likes besides EC, IL and DFSC.
    let mask = if Kinds::BARE.contains(config.kind) { 0xfe00_003f } else { u64::MAX };
    check.eq("ESR_EL1", got.esr & mask, want.esr);
    check.eq("FAR_EL1", got.far, want.far);
    check.eq("ELR_EL1", got.elr, want.elr);
    check.eq("vector", got.vector, want.vector);
    check.eq("PSTATE of the handler", got.handler_pstate, HANDLER_PSTATE);
    // DAIF was set and nothing else can be: flags, PAN, UAO and the like are left as the probe
    // found them, so only mode and masks are compared.
    check.eq("SPSR_EL1.{DAIF,M}", got.spsr & 0x3df, 0x3c0 | want.from);
}

const ABORTS: u64 = 500;

/// Takes [`ABORTS`] aborts at changing addresses; how many were exact.
fn exact_aborts() -> u64 {
    let mut exact = 0;
    for n in 0..ABORTS {
        let va = HOLE + n * 0x208;
        let got = probe::run(probe::load64(), va, n);
        let is_exact = got.esr == esr::SEA_DATA_EL1 && got.far == va && got.x[Probe::DATUM] == n;
        exact += u64::from(is_exact);
    }
    exact
}

/// Sets four bytes of priorities, which hold what is written but for the lowest three bits.
fn priorities(config: &Config) -> (Io, u64) {
    let gic = Gic::set_up(config);
    (gic.dist, gic::IPRIORITYR + 44)
}

fn widths(check: &mut Check, config: &Config) {
    let (dist, offset) = priorities(config);
    dist.write32(offset, 0x9080_f860);
    let va = dist.base() + offset;
    let load = |piece, at| probe::run(piece, at, DATUM).x[Probe::DATUM];
    check.eq("LDRB", load(probe::load8(), va + 1), 0xf8);
    check.eq("LDRSB x", load(probe::load8s(), va + 1), 0xffff_ffff_ffff_fff8);
    check.eq("LDRSB w", load(probe::load8s_w(), va + 1), 0xffff_fff8);
    check.eq("LDRSB x, positive", load(probe::load8s(), va), 0x60);
    check.eq("LDR w", load(probe::load32(), va), 0x9080_f860);
    check.eq("LDRSW", load(probe::load32s(), va), 0xffff_ffff_9080_f860);
    if uart::is_pl011() {
        halfwords(check, config);
    }
    // 64 bits: where an SPI goes. A GICv2 has no register of that width.
    if !gic::is_v2() {
        let router = dist.base() + gic::IROUTER + 44 * 8;
        let _ = probe::run(probe::store64(), router, config.affinity(0));
        check.eq("STR x, LDR x", load(probe::load64(), router), config.affinity(0));
    }
    // Narrow stores take the low bits of the register and nothing else.
    let _ = probe::run(probe::store8(), va + 2, 0xffff_ffff_ffff_ff28);
    check.eq("after STRB", load(probe::load32(), va), 0x9028_f860);
    let _ = probe::run(probe::store32(), va, 0xffff_ffff_1020_3040);
    check.eq("after STR w", load(probe::load32(), va), 0x1020_3040);
}

/// In the integer baud rate divisor of a PL011.
fn halfwords(check: &mut Check, config: &Config) {
    let load = |piece, at| probe::run(piece, at, DATUM).x[Probe::DATUM];
    let uart = Io::new(config.uart);
    let (divisor, old) = (config.uart + 0x24, uart.read16(0x24));
    for (value, extended) in [(0x8421_u16, 0xffff_8421_u32), (0x1234, 0x1234)] {
        uart.write16(0x24, value);
        check.eq("LDRH", load(probe::load16(), divisor), u64::from(value));
        check.eq("LDRSH w", load(probe::load16s_w(), divisor), u64::from(extended));
        let sign = if value & 0x8000 == 0 { 0 } else { 0xffff_ffff_0000_0000 };
        check.eq("LDRSH x", load(probe::load16s(), divisor), sign | u64::from(extended));
    }
    uart.write16(0x24, old);
}

fn zero_register(check: &mut Check, config: &Config) {
    let (dist, offset) = priorities(config);
    dist.write32(offset, 0x1020_3040);
    let va = dist.base() + offset;
    let got = probe::run(probe::load32_zero_register(), va, DATUM);
    check.that("no exception", !got.is_caught());
    check.eq("x9 is untouched", got.x[Probe::DATUM], DATUM);
    check.eq("the register", u64::from(dist.read32(offset)), 0x1020_3040);
    let got = probe::run(probe::store32_zero_register(), va, DATUM);
    check.that("no exception", !got.is_caught());
    check.eq("the register", u64::from(dist.read32(offset)), 0);
}

fn big_endian(check: &mut Check, config: &Config) {
    let (dist, offset) = priorities(config);
    let va = dist.base() + offset;
    let stored = probe::run(probe::store32_big_endian(), va, 0x1020_3040);
    check.that("no exception", !stored.is_caught());
    check.eq("seen little-endian", u64::from(dist.read32(offset)), 0x4030_2010);
    let loaded = probe::run(probe::load32_big_endian(), va, DATUM);
    check.that("no exception", !loaded.is_caught());
    check.eq("seen big-endian", loaded.x[Probe::DATUM], 0x1020_3040);
}
