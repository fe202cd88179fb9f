//! Rows 64 to 79: accesses outside memory, exact to the bit.

use hyp_abi::esr;

use crate::arch::probe::{self, Piece, Probe};
use crate::config::{Config, Kinds};
use crate::tap::{Check, Row};

/// An IPA with neither memory nor device behind it, on Postern and on QEMU's `virt` machine.
pub(crate) const HOLE: u64 = 0x0bf0_0000;

const DATUM: u64 = 0x5ca1_ab1e_0ddb_a110;
/// DAIF set, CurrentEL EL1, SPSel 1: how every exception to EL1 begins.
const HANDLER_PSTATE: u64 = 0x3c0 | (1 << 2) | 1;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("R64", Kinds::ALL, "EL1 load outside memory and guard", |check, config| {
        for piece in [probe::load8(), probe::load16(), probe::load32(), probe::load64()] {
            aborted(check, config, piece, HOLE);
        }
    }),
    Row::new("R65", Kinds::VM, "EL1 store outside memory and guard", |check, config| {
        for piece in [probe::store8(), probe::store16(), probe::store32(), probe::store64()] {
            aborted(check, config, piece, HOLE + 0x18);
        }
    }),
];

/// Runs `piece` at `va` and demands the external abort of a data access at EL1.
fn aborted(check: &mut Check, config: &Config, piece: Piece, va: u64) {
    let got = probe::run(piece, va, DATUM);
    is_abort(check, config, &got, esr::SEA_DATA_EL1, va, piece.at, 0x200);
    check.eq("x9 is untouched", got.x[Probe::DATUM], DATUM);
    check.eq("x8 is untouched", got.x[Probe::ADDRESS], va);
}

/// Every part of the exception that the guest can see.
fn is_abort(
    check: &mut Check,
    config: &Config,
    got: &Probe,
    esr: u64,
    far: u64,
    elr: u64,
    vector: u64,
) {
    check.that("there is an exception", got.is_caught());
    // Without a hypervisor the emulator or the bus fills in what it likes besides EC, IL and DFSC.
    let mask = if Kinds::BARE.contains(config.kind) { 0xfe00_003f } else { u64::MAX };
    check.eq("ESR_EL1", got.esr & mask, esr);
    check.eq("FAR_EL1", got.far, far);
    check.eq("ELR_EL1", got.elr, elr);
    check.eq("vector", got.vector, vector);
    check.eq("PSTATE of the handler", got.handler_pstate, HANDLER_PSTATE);
}
