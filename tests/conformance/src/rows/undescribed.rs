//! Row 73 and the D rows: accesses that hardware does not describe. Decoded in a normal VM, refused
//! in a protected one.

use hyp_abi::esr;

use crate::arch::mmio::Io;
use crate::arch::mmu;
use crate::arch::probe::{self, Piece, Probe, User};
use crate::arch::sysreg;
use crate::arch::twins::{self, Twin};
use crate::config::{Config, Kinds, PAGE};
use crate::gic::{self, Gic};
use crate::rows::faults::HOLE;
use crate::tap::{Check, Row};

const DATUM: u64 = 0x5ca1_ab1e_0ddb_a110;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "R73",
        Kinds::ANY_PROTECTED,
        "accesses without a syndrome to a guarded page",
        |check, config| {
            let registers = Registers::bytes(config);
            let before = registers.read();
            for piece in undescribed() {
                denied(check, piece, registers.base(), esr::SEA_DATA_EL1, registers.base());
            }
            for twin in twins::all().filter(|twin| !twin.may_be_described()) {
                let got = twin.on_device(registers.base()).probe;
                check.eq(twin.source(), got.esr, esr::SEA_DATA_EL1);
                let first = got.far.wrapping_sub(registers.base());
                check.that("FAR_EL1 is one of its bytes", first < 64 + 32);
                check.eq("x8 is untouched", got.x[Probe::ADDRESS], 0);
            }
            check.that("no register has changed", registers.read() == before);
        },
    ),
    Row::new("D1", Kinds::ANY_NORMAL, "loads and stores that are decoded", |check, config| {
        let registers = Registers::bytes(config);
        twins::all().filter(|twin| !twin.is_double()).for_each(|twin| {
            same(check, twin, registers);
        });
        registers.restore();
    }),
    Row::new("D2", Kinds::ANY_NORMAL, "the same of 64 bits", |check, config| {
        let registers = Registers::doubles(config);
        twins::all().filter(|twin| twin.is_double()).for_each(|twin| {
            same(check, twin, registers);
        });
        registers.restore();
    })
    .with_gic(3),
    Row::new("D3", Kinds::ANY_NORMAL, "exclusive loads of a device", |check, config| {
        let base = Registers::bytes(config).base();
        for piece in twins::exclusives() {
            denied(check, piece, base, esr::DATA_EL1 | esr::FSC_UNSUPPORTED_ATOMIC, base);
            denied(check, piece, HOLE, esr::SEA_DATA_EL1, HOLE);
        }
    }),
    Row::new("D4", Kinds::ANY_NORMAL, "a pair of which half has no device", |check, config| {
        // The console has one page; nothing follows, and nothing precedes the GIC.
        let last = config.uart + PAGE - 8;
        for piece in [probe::load_pair(), probe::store_pair()] {
            denied(check, piece, last, esr::SEA_DATA_EL1, last + 8);
            let first = config.gic_start() - 8;
            denied(check, piece, first, esr::SEA_DATA_EL1, first);
        }
        // A register's 8 bytes across the end of the console.
        let va = mmu::NORMAL_WINDOW + config.uart + PAGE - 4;
        denied(check, probe::load_simd(), va, esr::SEA_DATA_EL1, va);
    }),
    Row::new(
        "D5",
        Kinds::NOT_ENROLLED,
        "a pair of which half is not guarded, by then",
        |check, config| {
            // Both halves are the distributor's.
            let half = config.gicd + PAGE;
            let window = config.gic_windows()[0].1;
            if window > PAGE {
                check.eq("UNMAP", config.unmap(half), 0);
                denied(check, probe::load_pair(), half - 8, esr::SEA_DATA_EL1, half);
                denied(check, probe::store_pair(), half - 8, esr::SEA_DATA_EL1, half);
                check.eq("MAP", config.map(half), 0);
                let got = probe::run(probe::load_pair(), half - 8, DATUM);
                check.that("served", !got.is_caught());
            }
            check.eq("UNMAP", config.unmap(config.gicd), 0);
            denied(check, probe::load_pair(), config.gicd, esr::SEA_DATA_EL1, config.gicd);
            check.eq("MAP", config.map(config.gicd), 0);
        },
    ),
    Row::new("D6", Kinds::ANY_NORMAL, "loads of an AArch32 user program", |check, config| {
        let registers = Registers::bytes(config);
        registers.io.write32(registers.offset, 0x9080_7060);
        for piece in [probe::a32_loads(), probe::t32_loads()] {
            let got = probe::run(piece, registers.base(), DATUM);
            // A CPU without AArch32 takes an illegal return in its place.
            let class = got.esr >> 26;
            check.one_of("ESR_EL1.EC", class, &[SVC32, ILLEGAL_STATE]);
            if class == ILLEGAL_STATE {
                continue;
            }
            check.eq("vector", got.vector, 0x600);
            check.eq("word", got.x[Probe::DATUM], 0x9080_7060);
            check.eq("byte", got.x[2], 0x70);
        }
        registers.restore();
    }),
    Row::new(
        "D7",
        Kinds::ANY_NORMAL,
        "a user program's pair, half of it the kernel's",
        |check, config| {
            let _ = Gic::set_up(config);
            // The second page is of a device, too.
            let va = mmu::neighbours(config.uart | mmu::USER, config.gicd);
            let (alone, _) = probe::run_user_at(User::LoadPair, va + PAGE - 16);
            let (got, at) = probe::run_user_at(User::LoadPair, va + PAGE - 8);
            let (theirs, _) = probe::run_user_at(User::LoadPair, va + PAGE);
            mmu::forget_remote();
            check.eq("its own page: ESR_EL1.EC", alone.esr >> 26, SVC64);
            check.eq("the kernel's page: ESR_EL1", theirs.esr, esr::DATA_EL0 | PERMISSION_3);
            // Stage 1 would say so if it were asked; a host that answers for it may say that it cannot.
            check.one_of("ESR_EL1", got.esr, &[esr::DATA_EL0 | PERMISSION_3, esr::SEA_DATA_EL0]);
            check.eq("vector", got.vector, 0x400);
            check.eq("ELR_EL1", got.elr, at);
            check.eq("x9", got.x[Probe::DATUM], 0);
        },
    ),
    Row::new("D8", Kinds::ANY_NORMAL, "a kernel's pair, half of it a user's", |check, config| {
        let _ = Gic::set_up(config);
        // PSTATE.PAN, where there is one, keeps a kernel from what users may use.
        let has_pan = (sysreg::id_aa64mmfr1_el1() >> 20) & 0xf != 0;
        let piece = if has_pan { probe::load_pair_alone() } else { probe::load_pair() };
        let va = mmu::neighbours(config.uart, config.gicd | mmu::USER);
        let alone = probe::run(piece, va + PAGE - 16, 0);
        let got = probe::run(piece, va + PAGE - 8, 0);
        let theirs = probe::run(piece, va + PAGE, 0);
        mmu::forget_remote();
        check.that("its own page: no exception", !alone.is_caught());
        check.that("the user's page: as PAN says", theirs.is_caught() == has_pan);
        check.that("both: likewise", got.is_caught() == has_pan);
        if has_pan {
            check.eq("the user's page: ESR_EL1", theirs.esr, esr::DATA_EL1 | PERMISSION_3);
            check.one_of("ESR_EL1", got.esr, &[esr::DATA_EL1 | PERMISSION_3, esr::SEA_DATA_EL1]);
            check.eq("ELR_EL1", got.elr, piece.at);
            check.eq("x9", got.x[Probe::DATUM], 0);
        }
    }),
];

/// A permission fault at the last level.
const PERMISSION_3: u64 = 0x0f;
/// Exception classes of ESR_EL1.
const ILLEGAL_STATE: u64 = 0x0e;
const SVC32: u64 = 0x11;
const SVC64: u64 = 0x15;

fn undescribed() -> [Piece; 7] {
    let [word, byte, pair] = twins::exclusives();
    [
        probe::load_pair(),
        probe::store_pair(),
        probe::load_simd(),
        probe::load_writeback(),
        word,
        byte,
        pair,
    ]
}

/// Registers that hold what is written to them, bits aside: 64 bytes of them.
#[derive(Debug, Clone, Copy)]
struct Registers {
    io: Io,
    offset: u64,
    is_double: bool,
}

impl Registers {
    /// Bytes and words: priorities of SPIs.
    fn bytes(config: &Config) -> Self {
        let io = Gic::set_up(config).dist;
        Self { io, offset: gic::IPRIORITYR + 64, is_double: false }
    }

    /// 64 bits: where SPIs go.
    fn doubles(config: &Config) -> Self {
        let io = Gic::set_up(config).dist;
        Self { io, offset: gic::IROUTER + 64 * 8, is_double: true }
    }

    fn base(self) -> u64 {
        self.io.base() + self.offset
    }

    fn read(self) -> [u64; 8] {
        core::array::from_fn(|n| {
            let at = self.offset + 8 * n as u64;
            if self.is_double {
                self.io.read64(at)
            } else {
                u64::from(self.io.read32(at)) | u64::from(self.io.read32(at + 4)) << 32
            }
        })
    }

    fn write(self, values: [u64; 8]) {
        for (at, value) in (self.offset..).step_by(8).zip(values) {
            if self.is_double {
                self.io.write64(at, value);
            } else {
                self.io.write32(at, low_half(value));
                self.io.write32(at + 4, low_half(value >> 32));
            }
        }
    }

    /// All-ones in the bits that the registers hold.
    fn mask(self) -> [u64; 8] {
        self.write([u64::MAX; 8]);
        self.read()
    }

    /// As [`Gic::set_up`] leaves them.
    fn restore(self) {
        let default = if self.is_double {
            0
        } else {
            0x0101_0101_0101_0101 * u64::from(gic::DEFAULT_PRIORITY)
        };
        self.write([default; 8]);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the half that is asked for")]
const fn low_half(value: u64) -> u32 {
    value as u32
}

/// Runs `twin` on `registers` and on memory.
fn same(check: &mut Check, twin: &Twin, registers: Registers) {
    let mask = registers.mask();
    let mut pattern = 0xf8c0_e840_3020_1090_u64;
    registers.write(core::array::from_fn(|_| {
        pattern = pattern.rotate_right(8);
        pattern
    }));
    let before = registers.read();
    let on_device = twin.on_device(registers.base());
    let after = registers.read();
    let (on_memory, memory) = twin.on_memory(before);
    let what = twin.source();
    check.eq(what, on_memory.probe.vector, Probe::NONE);
    check.eq(what, on_device.probe.vector, Probe::NONE);
    for n in 0..4 {
        check.eq(what, on_device.probe.x[n], on_memory.probe.x[n]);
    }
    for n in 0..8 {
        check.eq(what, on_device.vectors[n], on_memory.vectors[n]);
        check.eq(what, after[n], memory[n] & mask[n]);
    }
}

/// Runs `piece` at `va` and demands the abort with `esr` and `far`, registers untouched.
fn denied(check: &mut Check, piece: Piece, va: u64, esr: u64, far: u64) {
    let got = probe::run(piece, va, DATUM);
    check.eq("ESR_EL1", got.esr, esr);
    check.eq("FAR_EL1", got.far, far);
    check.eq("ELR_EL1", got.elr, piece.at);
    check.eq("x8", got.x[Probe::ADDRESS], va);
    check.eq("x9", got.x[Probe::DATUM], DATUM);
}
