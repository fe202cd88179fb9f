//! The host's stand-ins for the machine, and oracles that share no code with what they judge.

mod machine;
#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
pub(crate) mod vm;

pub use machine::{Entry, FakeMachine, Op};
