//! Rows 1 to 17 and 18 to 27: calling convention, identification, features.

use hyp_abi::smccc::{self, FunctionId};
use hyp_abi::vendor;
use hyp_abi::{psci, trng};

use crate::arch::probe::{self, Piece, Probe};
use crate::arch::registers;
use crate::config::{Config, Kinds};
use crate::hyper::{INVALID, NOT_SUPPORTED, call, call0};
use crate::tap::{Check, Row};

const GARBAGE: u64 = 0xfeed_face_dead_beef;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("E1", Kinds::VM, "first entry finds x1 to x30 zero", first_entry),
    Row::new("R1", Kinds::VM, "SMCCC_VERSION is 1.1", |check, _| {
        check.eq("x0", call0(smccc::VERSION, [0; 3]), smccc::VERSION_1_1);
    }),
    Row::new("R2", Kinds::VM, "PSCI_FEATURES knows SMCCC_VERSION", |check, _| {
        check.eq("x0", call0(psci::FEATURES, [u64::from(smccc::VERSION.0), 0, 0]), 0);
    }),
    Row::new("R3", Kinds::VM, "ARCH_FEATURES(WORKAROUND_1)", |check, _| {
        workaround(check, smccc::ARCH_WORKAROUND_1);
    }),
    Row::new("R4", Kinds::VM, "ARCH_FEATURES(WORKAROUND_3)", |check, _| {
        workaround(check, smccc::ARCH_WORKAROUND_3);
    }),
    Row::new("R5", Kinds::VM, "ARCH_FEATURES of an unknown id", |check, _| {
        check.eq("x0", call0(smccc::ARCH_FEATURES, [0xdead_beef, 0, 0]), NOT_SUPPORTED);
    }),
    Row::new("R6", Kinds::VM, "ARCH_SOC_ID is not there", |check, _| {
        check.eq("x0", call0(smccc::ARCH_SOC_ID, [0; 3]), NOT_SUPPORTED);
    }),
    Row::new("R7", Kinds::VM, "an unknown fast id answers -1, 0, 0, 0", |check, _| {
        for id in [0x8600_1234, 0xc600_1234, 0x8400_1234, 0xc200_0000, 0xbf00_0000, 0xffff_ffff] {
            let got = call(FunctionId(id), [GARBAGE; 3]);
            check.that("x0 to x3 are -1, 0, 0, 0", got == [NOT_SUPPORTED, 0, 0, 0]);
        }
    }),
    Row::new("R8", Kinds::VM, "a yielding id answers -1", |check, _| {
        check.eq("x0", call0(FunctionId(0x0600_0000), [0; 3]), NOT_SUPPORTED);
    }),
    Row::new("R9", Kinds::VM, "X0[63:32] is not part of the id", |check, _| {
        let got = raw(probe::hvc0(), (GARBAGE << 32) | u64::from(smccc::VERSION.0), [0; 3]);
        check.eq("x0", got.x[0], smccc::VERSION_1_1);
    }),
    Row::new("R10", Kinds::VM, "calls leave x4 to x30, SP and V0 to V31 alone", preserved),
    Row::new("R11", Kinds::VM, "unused results are 0", unused_results),
    Row::new("R12", Kinds::VM, "errors are sign-extended in 32-bit calls too", |check, _| {
        check.eq("PTP", call0(vendor::PTP, [7, 0, 0]), NOT_SUPPORTED);
        check.eq("MEM_PROTECT", call0(psci::MEM_PROTECT, [1, 0, 0]), NOT_SUPPORTED);
        check.eq("SOC_ID", call0(smccc::ARCH_SOC_ID, [1, 0, 0]), NOT_SUPPORTED);
    }),
    Row::new("R13", Kinds::VM, "HVC #1 answers -1", |check, _| {
        let got = raw(probe::hvc1(), u64::from(smccc::VERSION.0), [0; 3]);
        check.eq("x0", got.x[0], NOT_SUPPORTED);
        check.that("no exception", !got.is_caught());
    }),
    Row::new("R14", Kinds::ANY_NORMAL, "SMC #0 is served, once", smc_served),
    Row::new("R15", Kinds::VM, "SMC #5 answers -1 and goes on behind it", |check, _| {
        let got = raw(probe::smc5(), u64::from(smccc::VERSION.0), [0; 3]);
        check.that("no exception", !got.is_caught());
        check.eq("x0", got.x[0], NOT_SUPPORTED);
    }),
    Row::new(
        "R16",
        Kinds::ANY_PROTECTED,
        "SMC of a protected VM is served, never by EL3",
        smc_served,
    ),
    Row::new("R17", Kinds::VM, "PSCI_VERSION by SMC", |check, _| {
        let got = raw(probe::smc0(), u64::from(psci::VERSION.0), [0; 3]);
        check.that("no exception", !got.is_caught());
        check.eq("x0", got.x[0], psci::VERSION_1_1);
    }),
    Row::new("R18", Kinds::VM, "CALL_UID is KVM's UUID", |check, _| {
        let got = call(vendor::CALL_UID, [0; 3]);
        for (register, want) in got.into_iter().zip(vendor::KVM_UID) {
            check.eq("word", register, u64::from(want));
        }
    }),
    Row::new("R19", Kinds::VM, "CALL_UID does not look at arguments", |check, _| {
        let got = call(vendor::CALL_UID, [GARBAGE; 3]);
        check.eq("x0", got[0], u64::from(vendor::KVM_UID[0]));
        check.eq("x3", got[3], u64::from(vendor::KVM_UID[3]));
    }),
    Row::new(
        "R20",
        Kinds::ANY_PROTECTED.or(Kinds::LIST),
        "FEATURES with the guard",
        |check, config| {
            let want = if Kinds::PROTECTED.contains(config.kind) { 0xffd } else { 0x3d };
            check.eq("r0", call0(vendor::FEATURES, [0; 3]), want);
        },
    ),
    Row::new("R22", Kinds::NORMAL, "FEATURES without the guard", |check, _| {
        check.eq("r0", call0(vendor::FEATURES, [0; 3]), 1);
    }),
    Row::new("R23", Kinds::VM, "FEATURES r1 to r3 are 0", |check, _| {
        let got = call(vendor::FEATURES, [0; 3]);
        check.that("r1 to r3 are 0", got[1..] == [0, 0, 0]);
    }),
    Row::new("R24", Kinds::VM, "FEATURES does not look at arguments", |check, _| {
        let plain = call(vendor::FEATURES, [0; 3]);
        check.that("the same answer", call(vendor::FEATURES, [GARBAGE; 3]) == plain);
    }),
    Row::new("R25", Kinds::NORMAL, "functions 2 to 11 answer -1 in 64 bits", |check, _| {
        for number in 2..=11 {
            let id = FunctionId::fast64(smccc::owner::VENDOR_HYP, number);
            let got = call(id, [0; 3]);
            check.that("-1, 0, 0, 0", got == [NOT_SUPPORTED, 0, 0, 0]);
        }
    }),
    Row::new("R26", Kinds::VM, "PTP of an unknown counter", |check, _| {
        check.eq("x0", call0(vendor::PTP, [2, 0, 0]), NOT_SUPPORTED);
    }),
    Row::new("R27", Kinds::VM, "DISCOVER_IMPL is not there", |check, _| {
        check.eq("VER", call0(vendor::DISCOVER_IMPL_VER, [0; 3]), NOT_SUPPORTED);
        check.eq("CPUS", call0(vendor::DISCOVER_IMPL_CPUS, [0; 3]), NOT_SUPPORTED);
    }),
];

/// A call instruction of its own, with all of X0.
fn raw(piece: Piece, x0: u64, [x1, x2, x3]: [u64; 3]) -> Probe {
    probe::run_with(piece, [x0, x1, x2, x3])
}

fn first_entry(check: &mut Check, config: &Config) {
    check.eq("x1 | ... | x30", config.left_in_registers, 0);
}

fn workaround(check: &mut Check, id: FunctionId) {
    let answer = call0(smccc::ARCH_FEATURES, [u64::from(id.0), 0, 0]);
    check.one_of("x0", answer, &[0, 1, NOT_SUPPORTED]);
    if answer == 0 {
        check.that("the workaround itself succeeds", call0(id, [0; 3]) == 0);
    }
}

fn preserved(check: &mut Check, _: &Config) {
    let calls = [
        smccc::VERSION,
        smccc::ARCH_FEATURES,
        vendor::CALL_UID,
        vendor::FEATURES,
        vendor::pkvm::HYP_MEMINFO,
        vendor::pkvm::MMIO_GUARD_INFO,
        vendor::pkvm::MEM_UNSHARE,
        vendor::pkvm::MMIO_GUARD_UNMAP,
        psci::VERSION,
        psci::AFFINITY_INFO_64,
        psci::CPU_ON_64,
        trng::VERSION,
        trng::RND_64,
        FunctionId(0x8600_1234),
        FunctionId(0x0600_0000),
    ];
    for function in calls {
        let (_, changed) = registers::call(function);
        check.eq("changed registers", changed, 0);
    }
}

fn unused_results(check: &mut Check, _: &Config) {
    let calls =
        [smccc::VERSION, vendor::FEATURES, psci::VERSION, trng::VERSION, smccc::ARCH_SOC_ID];
    for function in calls {
        let got = call(function, [GARBAGE; 3]);
        check.that("x1 to x3 are 0", got[1..] == [0, 0, 0]);
    }
}

fn smc_served(check: &mut Check, _: &Config) {
    let got = raw(probe::smc0(), u64::from(smccc::VERSION.0), [0; 3]);
    check.that("no exception", !got.is_caught());
    check.eq("SMCCC_VERSION", got.x[0], smccc::VERSION_1_1);
    let uid = raw(probe::smc0(), u64::from(vendor::CALL_UID.0), [0; 3]);
    check.eq("CALL_UID", uid.x[0], u64::from(vendor::KVM_UID[0]));
    // A second call in place of going on behind the first would have answered -1 by its result.
    let unknown = raw(probe::smc0(), 0x8300_0000, [0; 3]);
    check.eq("SiP call", unknown.x[0], NOT_SUPPORTED);
    check.that("errors are not those of the vendor calls", unknown.x[0] != INVALID);
}
