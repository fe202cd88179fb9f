//! Stage 2: the tables that turn a guest's physical addresses into the machine's.
//!
//! 4 KiB granule, up to 48 bits, roots of up to 16 tables side by side, blocks of 2 MiB and 1 GiB.
//! Readers walk without a lock ([`Tables::lookup`]); changes are made by whoever holds the
//! address space's writer lock.

mod descriptor;
mod edit;
mod geometry;
mod pool;
mod range;
#[cfg(test)]
mod tests;
mod vmid;
mod walk;

pub use descriptor::{Access, Attributes, DeviceType, Execute, LeafEntry, MemoryType, PageState};
pub use edit::{EditError, Editor};
pub use geometry::{Geometry, Level};
pub use pool::{Purpose, TablePool};
pub use vmid::{Vmid, VmidAllocator};
pub use walk::{Leaf, Mapping, Tables};
