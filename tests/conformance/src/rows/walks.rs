//! Row 70: the guest's own tables outside memory.

use hyp_abi::esr;

use crate::arch::{mmu, probe};
use crate::config::{Config, Kinds};
use crate::rows::faults::HOLE;
use crate::tap::{Check, Row};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("R70", Kinds::VM, "stage-1 table outside memory", |check, config| {
        // Older kernels say 0x10, newer ones the level.
        let codes = |level| [esr::FSC_EXTERNAL, esr::FSC_EXTERNAL_ON_WALK | level];
        each_table(check, config, codes);
    }),
    Row::new("F2", Kinds::VM, "the abort of a table walk names the level", |check, config| {
        each_table(check, config, |level| [esr::FSC_EXTERNAL_ON_WALK | level; 2]);
    }),
];

/// A table of each level in a hole and in the console's page, guarded or not; for a load and for a
/// fetch. `codes` are the fault status codes that are right for a level.
fn each_table(check: &mut Check, config: &Config, codes: impl Fn(u64) -> [u64; 2]) {
    for level in 0..4 {
        for ipa in [HOLE, config.uart] {
            for (piece, class) in
                [(probe::load64(), esr::DATA_EL1), (probe::branch(), esr::FETCH_EL1)]
            {
                let va = mmu::remote(level, ipa);
                let got = probe::run(piece, va, 0);
                mmu::forget_remote();
                check.that("there is an exception", got.is_caught());
                check.one_of("ESR_EL1", got.esr, &codes(level as u64).map(|code| class | code));
                check.eq("FAR_EL1", got.far, va);
                let at = if class == esr::FETCH_EL1 { va } else { piece.at };
                check.eq("ELR_EL1", got.elr, at);
                check.eq("vector", got.vector, 0x200);
            }
        }
    }
}
