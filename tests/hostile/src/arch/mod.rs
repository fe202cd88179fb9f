//! Everything that touches the machine, and the only unsafe code.

pub(crate) mod code;
pub(crate) mod cpu;
pub(crate) mod entry;
pub(crate) mod heap;
pub(crate) mod mmu;
pub(crate) mod ram;
pub(crate) mod shot;
