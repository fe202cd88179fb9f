//! Everything that needs an instruction of its own: entry, vectors, the measured pieces.

pub(crate) mod cpu;
pub(crate) mod entry;
pub(crate) mod pieces;
