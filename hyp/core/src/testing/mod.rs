//! The host's stand-ins for the machine, and oracles that share no code with what they judge.

#[cfg(test)]
pub(crate) mod cpu;
mod machine;
#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
pub(crate) mod vm;

pub use machine::{Entry, FakeMachine, Op};
