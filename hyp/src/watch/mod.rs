//! What is watched while guests run: events and the trace, and in images made for it the ghost check.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]

pub(crate) mod events;
#[cfg(feature = "ghost")]
pub(crate) mod ghost;
pub(crate) mod tracing;
