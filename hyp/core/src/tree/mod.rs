//! Flattened device trees: the check, a token walk and look-ups by path.
//!
//! A tree comes from firmware, from a bundle or from a user's file, so nothing about it is
//! believed before it is checked. [`Header::read`] checks what the header claims; [`Tokens`] checks
//! every token as it yields it, so one walk both validates and reads; [`Tree`] is a blob that a
//! whole walk has accepted and that can then be searched by path. Whatever the bytes are, the walk
//! ends: every step moves forward in the structure block.
//!
//! What the machine is made of is read by [`machine::Machine`].
//!
//! Names may be longer than the 31 characters that the specification allows, because those of more than
//! half of Linux's trees are; and a tree that is damaged is read up to there, so that EL2 has a console on
//! which to say so. Crates that check a tree as a whole (`dtoolkit`) do neither.
//!
//! Format: Devicetree Specification v0.4, chapter 5 ("Flattened Devicetree (DTB) Format").

mod error;
mod header;
pub mod machine;
mod node;
mod tokens;
mod value;

#[cfg(test)]
mod tests;

pub use error::{NodeName, TreeError};
use header::Blocks;
pub use header::{Header, Reservation, blob_size};
pub use machine::Machine;
pub use node::{Children, Node, Properties, Property, Tree};
pub use tokens::{MAX_DEPTH, PropertyName, Token, Tokens};
use value::before;
pub(crate) use value::same;
pub use value::{Cells, Strings, cells, string, text, u32_value, u64_value};
