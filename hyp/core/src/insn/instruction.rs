//! A decoded instruction.

use super::address::Address;
use super::atomic::Atomic;
use super::transfer::Transfer;

/// What an instruction does at its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that anybody sees: a prefetch.
    Nothing,
    /// Loads registers.
    Load(Transfer),
    /// Stores registers.
    Store(Transfer),
    /// Loads, and stores something else.
    Atomic(Atomic),
    /// An exclusive load or store, which a device does not support.
    Exclusive,
}

/// A decoded load, store or atomic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub effect: Effect,
    /// Where.
    pub address: Address,
    /// It is LDTR, STTR or a narrow form, which have the rights of EL0.
    pub is_unprivileged: bool,
}

impl Instruction {
    /// One with the rights of the exception level that executes it.
    pub(super) const fn new(effect: Effect, address: Address) -> Self {
        Self { effect, address, is_unprivileged: false }
    }
}
