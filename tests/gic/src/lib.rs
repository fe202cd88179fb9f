//! hyp-core's interrupt controller against one that was written from the architecture.
//!
//! [`model`] is the GIC of the manuals in sets and maps; it knows nothing of this tree. [`subject`] is
//! hyp-core's on simulated CPUs, whose list registers do what the manuals say. An [`Oracle`] lets the
//! same [`Event`]s happen to both. After each it compares which interrupt every vCPU is signalled;
//! what loads answer, what is acknowledged, and in the end all registers.

pub mod event;
pub mod model;
mod oracle;
mod run;
mod setting;
pub mod subject;

pub use event::{Event, Source};
pub use oracle::{Counts, Oracle};
pub use run::{events, run};
pub use setting::Setting;
