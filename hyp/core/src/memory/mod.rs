//! Memory as the machine has it and as a VM sees it: which bytes exist, whose they are, and what
//! lies at a guest's address.

mod map;
mod owner;
mod physical;
mod range;

pub use map::{Extent, MAX_EXTENTS, MapError, MemoryMap};
pub use owner::{MAX_OWNED, Owner, OwnerError, OwnerTable};
pub use physical::{FreeMemory, MAX_FREE, PhysicalError};
pub use range::{IpaRange, PaRange};
