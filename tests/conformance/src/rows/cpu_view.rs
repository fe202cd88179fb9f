//! Rows 80 and 127 to 130: what a vCPU shows of itself.

use crate::arch::{probe, sysreg};
use crate::config::{Config, Kinds};
use crate::gic;
use crate::tap::{Check, Row};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("R80", Kinds::VM, "SCTLR2_EL1, and with it EASE, is not offered", |check, _| {
        check.eq("ID_AA64MMFR3_EL1.SCTLRX", (sysreg::id_aa64mmfr3_el1() >> 4) & 0xf, 0);
        undefined(check, probe::read_sctlr2());
        undefined(check, probe::write_sctlr2());
    }),
    Row::new(
        "R127",
        Kinds::ANY_PROTECTED,
        "PMU, debug and trace registers are undefined",
        |check, _| {
            for piece in probe::trapped_registers() {
                undefined(check, piece);
            }
        },
    ),
    Row::new("R127n", Kinds::ANY_NORMAL, "PMU registers read 0 and ignore writes", |check, _| {
        let (read, write) = (probe::read_pmcr(), probe::write_pmcr());
        check.that("write: no exception", !probe::run(write, 0, u64::MAX).is_caught());
        let got = probe::run(read, 0, u64::MAX);
        check.that("read: no exception", !got.is_caught());
        check.eq("value", got.x[probe::Probe::DATUM], 0);
    }),
    // The exception to R127: kernels of the field write these at boot without asking. A host may
    // leave them undefined nevertheless.
    Row::new(
        "R127a",
        Kinds::ANY_PROTECTED,
        "MDSCR and the OS locks are undefined, or read 0 and ignore writes",
        |check, _| {
            for (read, write) in [
                (probe::read_mdscr(), probe::write_mdscr()),
                (probe::read_oslsr(), probe::write_oslar()),
            ] {
                let written = probe::run(write, 0, u64::MAX);
                let got = probe::run(read, 0, u64::MAX);
                if got.is_caught() {
                    undefined(check, read);
                    undefined(check, write);
                } else {
                    check.that("write: no exception", !written.is_caught());
                    check.eq("value", got.x[probe::Probe::DATUM], 0);
                }
            }
        },
    ),
    Row::new("R128", Kinds::ANY_PROTECTED, "ID_AA64DFR0_EL1", |check, _| {
        check.eq("value", sysreg::id_aa64dfr0_el1(), 0x000f_00f0_0000_0000);
    }),
    Row::new("R129", Kinds::VM, "MSR to an ID register", |check, _| {
        undefined(check, probe::write_id());
    }),
    Row::new("R130", Kinds::ANY_PROTECTED, "DC ISW is undefined", |check, _| {
        undefined(check, probe::clean_set_way());
    }),
    Row::new("V1", Kinds::VM, "hidden features are hidden", hidden),
    Row::new("V2", Kinds::VM, "ICC_SRE_EL1 reads 7 and ignores writes", |check, _| {
        check.eq("value", sysreg::icc_sre_el1(), 7);
        sysreg::icc_sre(0);
        check.eq("after a write", sysreg::icc_sre_el1(), 7);
    })
    .with_gic(3),
    Row::smp(
        "V3",
        Kinds::ALL,
        "every vCPU shows its own MPIDR and the same features",
        |check, config| {
            for index in 1..config.cpu_count() {
                let there = crate::smp::run_on(config, index, |_| view());
                check.eq("view", there.unwrap_or(0), view());
            }
            check.eq("MPIDR_EL1 here", sysreg::mpidr_el1() & 0xff_00ff_ffff, config.affinity(0));
        },
    ),
];

fn undefined(check: &mut Check, piece: probe::Piece) {
    let got = probe::run(piece, 0, 0);
    check.that("there is an exception", got.is_caught());
    // EC 0; IL differs between hosts.
    check.eq("ESR_EL1.EC", got.esr >> 26, 0);
    check.eq("ESR_EL1.ISS", got.esr & 0x1ff_ffff, 0);
    check.eq("vector", got.vector, 0x200);
    check.eq("ELR_EL1", got.elr, piece.at);
}

fn view() -> u64 {
    sysreg::id_aa64pfr0_el1()
        ^ sysreg::id_aa64pfr1_el1().rotate_left(8)
        ^ sysreg::id_aa64isar0_el1().rotate_left(16)
        ^ sysreg::id_aa64isar1_el1().rotate_left(24)
        ^ sysreg::id_aa64mmfr0_el1().rotate_left(32)
        ^ sysreg::id_aa64mmfr1_el1().rotate_left(40)
}

fn hidden(check: &mut Check, config: &Config) {
    let field = |register: u64, shift: u32| (register >> shift) & 0xf;
    let pfr0 = sysreg::id_aa64pfr0_el1();
    let pfr1 = sysreg::id_aa64pfr1_el1();
    check.eq("EL1 is AArch64", field(pfr0, 4), 1);
    check.that("FP is there", field(pfr0, 16) <= 1);
    check.that("AdvSIMD is there", field(pfr0, 20) <= 1);
    check.eq("GICv3 system registers", field(pfr0, 24), u64::from(!gic::is_v2()));
    for (name, shift) in [("SVE", 32), ("SEL2", 36), ("MPAM", 40), ("AMU", 44), ("RME", 52)] {
        check.eq(name, field(pfr0, shift), 0);
    }
    for (name, shift) in [("MTE", 8), ("MPAM_frac", 16), ("SME", 24)] {
        check.eq(name, field(pfr1, shift), 0);
    }
    if Kinds::ANY_PROTECTED.contains(config.kind) {
        check.eq("EL0 is AArch64 only", field(pfr0, 0), 1);
        check.eq("EL1 is AArch64 only", field(pfr0, 4), 1);
        // The encodings of PARange that are below the IPA space's own.
        let smaller = [32, 36, 40, 42, 44].iter().filter(|bits| **bits < config.ipa_bits).count();
        let range = field(sysreg::id_aa64mmfr0_el1(), 0);
        check.that("PARange is at most that of the IPA space", range <= smaller as u64);
        check.eq("LORegions", field(sysreg::id_aa64mmfr1_el1(), 16), 0);
    }
}
