//! hyp-core's interrupt controller on simulated CPUs, served as the shell does.

mod hardware;
mod machine;

pub use hardware::{Features, Hardware};
pub use machine::{Choices, Machine};
