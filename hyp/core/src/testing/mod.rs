//! The host's stand-ins for the machine, and oracles that share no code with what they judge.

mod machine;
pub(crate) mod model;
pub(crate) mod oracle;
pub(crate) mod vm;

pub(crate) use machine::{Entry, FakeMachine, Op};
