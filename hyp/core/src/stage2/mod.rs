//! Stage 2: the tables that turn a guest's physical addresses into the machine's.

mod vmid;

pub use vmid::{Vmid, VmidAllocator};
