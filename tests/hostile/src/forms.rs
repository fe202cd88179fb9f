//! Loads and stores of every form, as instruction words (Arm ARM, C4.1.94 "Loads and Stores").

use alloc::vec::Vec;

use crate::random::Random;

mod encode;

use encode::{atomic, exclusive, indexed, maintenance, ordered, pair, plain, vector};

/// What an instruction does to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It loads.
    Load,
    /// It stores.
    Store,
    /// A load-exclusive.
    LoadExclusive,
    /// A store-exclusive.
    StoreExclusive,
    /// It loads and stores.
    Atomic,
    /// DC by address, DC ZVA apart: needs no permission that an emulator asks for.
    Maintenance,
    /// DC ZVA.
    Zero,
    /// A prefetch: never faults.
    Prefetch,
}

/// A load or store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    /// The instruction.
    pub(crate) word: u32,
    /// What it does.
    pub(crate) kind: Kind,
    /// Bytes that it touches.
    pub(crate) bytes: u64,
    /// Pieces that it touches them in.
    pub(crate) pieces: u64,
    /// The base register.
    pub(crate) rn: usize,
    /// The register that is loaded or stored; 31 is the zero register.
    pub(crate) rt: usize,
    /// A general register that it adds to the base.
    pub(crate) rm: Option<usize>,
    /// Added to the base before the access.
    pub(crate) offset: i64,
    /// General registers that it may change, as bits.
    pub(crate) changes: u32,
    /// The syndrome describes it (Arm ARM, ISS of a data abort, ISV).
    pub(crate) is_described: bool,
    /// Sign-extended, to 64 bits or to 32.
    pub(crate) sign: Option<bool>,
    /// Done with the permissions of EL0.
    pub(crate) is_unprivileged: bool,
}

/// How many are made.
pub(crate) const COUNT: usize = 3072;

/// What the generator needs to know of the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extensions {
    /// `FEAT_LSE`.
    pub(crate) has_atomics: bool,
}

/// Random forms.
pub(crate) fn make(random: &mut Random, extensions: Extensions) -> Vec<Form> {
    (0..COUNT).map(|_| one(random, extensions)).collect()
}

/// One of them.
pub(crate) fn one(random: &mut Random, extensions: Extensions) -> Form {
    let rn = random.index(31);
    // Not the base: some forms are unpredictable then.
    let other = |random: &mut Random| loop {
        let register = random.index(32);
        if register != rn {
            return register;
        }
    };
    let rt = other(random);
    let size = random.below(4);
    let base = |kind, bytes| Form {
        word: 0,
        kind,
        bytes,
        pieces: 1,
        rn,
        rt,
        rm: None,
        offset: 0,
        changes: 0,
        is_described: false,
        sign: None,
        is_unprivileged: false,
    };
    match random.below(20) {
        0..=6 => plain(random, base(Kind::Load, 1 << size), size),
        7 | 8 => indexed(random, base(Kind::Load, 1 << size), size),
        9 | 10 => pair(random, base(Kind::Load, 8), &other),
        11 => ordered(random, base(Kind::Load, 1 << size), size),
        12 | 13 => exclusive(random, base(Kind::Load, 1 << size), size, &other),
        14 if extensions.has_atomics => atomic(random, base(Kind::Atomic, 1 << size), size, &other),
        14..=17 => vector(random, base(Kind::Load, 1 << size)),
        _ => maintenance(random, base(Kind::Maintenance, 1)),
    }
}
