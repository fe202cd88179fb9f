//! One row: what is done, how often, and what answer it must have.

use crate::arch::pieces::{Args, Piece};
use crate::report::{self, MOST_SAMPLES, Options};

const NOT_SUPPORTED: u64 = -1_i64 as u64;

/// What x0 must be afterwards; a fast wrong answer is no figure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// There is none.
    Any,
    /// 0.
    Zero,
    /// A value: neither 0 nor "not supported".
    Some,
    /// "Not supported", in 32 bits at least.
    NotSupported,
}

/// A row. Without its answer from the hypervisor it is left out.
pub(crate) struct Row {
    /// Its name in the output.
    pub(crate) name: &'static str,
    /// Operations in one sample.
    pub(crate) operations: u64,
    /// The measured code.
    pub(crate) piece: Piece,
    /// The same without the operation, whose ticks are taken off.
    pub(crate) empty: Option<Piece>,
    /// Arguments of the nth sample.
    pub(crate) args: fn(u64) -> Args,
    /// What must come back.
    pub(crate) answer: Answer,
    /// Samples, at most.
    pub(crate) most: usize,
    /// Done once, before.
    pub(crate) prepare: fn(),
    /// Done before each sample.
    pub(crate) between: fn(),
}

impl Row {
    /// One operation in a sample, from stamp to stamp.
    pub(crate) const fn span(
        name: &'static str,
        piece: Piece,
        args: fn(u64) -> Args,
        answer: Answer,
    ) -> Self {
        let [prepare, between]: [fn(); 2] = [|| {}, || {}];
        let (operations, empty, most) = (1, None, MOST_SAMPLES);
        Self { name, operations, piece, empty, args, answer, most, prepare, between }
    }

    /// One operation in a sample.
    pub(crate) const fn one(
        name: &'static str,
        piece: Piece,
        args: fn(u64) -> Args,
        answer: Answer,
    ) -> Self {
        Self { empty: Some(Piece::EMPTY_1), ..Self::span(name, piece, args, answer) }
    }

    /// Eight operations in a sample.
    pub(crate) const fn eight(
        name: &'static str,
        piece: Piece,
        args: fn(u64) -> Args,
        answer: Answer,
    ) -> Self {
        let empty = Some(Piece::EMPTY_8);
        Self { operations: 8, empty, ..Self::span(name, piece, args, answer) }
    }

    /// Takes the samples and puts the row out.
    pub(crate) fn run(&self, options: &Options) {
        if options.only.is_some_and(|only| only != self.name) {
            return;
        }
        let mut samples = [0; MOST_SAMPLES];
        let Some(samples) = samples.get_mut(..options.samples.min(self.most)) else { return };
        let nothing = self.empty.map_or(0, cheapest);
        (self.prepare)();
        for (n, sample) in (0..).zip(samples.iter_mut()) {
            (self.between)();
            let mut args = (self.args)(n);
            *sample = self.piece.run(&mut args).wrapping_sub(nothing);
            let is_right = match self.answer {
                Answer::Any => true,
                Answer::Zero => args[0] == 0,
                Answer::Some => args[0] != 0 && args[0] != NOT_SUPPORTED,
                Answer::NotSupported => args[0] & 0xffff_ffff == 0xffff_ffff,
            };
            if !is_right {
                return report::no_row(self.name, args[0]);
            }
        }
        report::row(self.name, self.operations, samples);
    }
}

/// Ticks of a piece that does nothing.
fn cheapest(empty: Piece) -> u64 {
    (0..8).map(|_| empty.run(&mut [0; 4])).min().unwrap_or(0)
}
