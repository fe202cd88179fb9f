//! Memory as the machine has it and as a VM sees it: which bytes exist, whose they are, and what
//! lies at a guest's address.

mod claims;
#[cfg(test)]
mod frames_tests;
mod layout;
mod map;
mod owner;
mod physical;
mod place;
mod populate;
mod range;
mod space;
#[cfg(test)]
mod tests;

pub use layout::{AssignedDevice, MARK_TABLES, MAX_DEVICES, MAX_GUARDED, SpaceError, SpaceLayout};
pub use map::{Extent, MAX_EXTENTS, MapError, MemoryMap};
pub use owner::{MAX_OWNED, Owner, OwnerError, OwnerTable};
pub use physical::{FreeMemory, MAX_FREE, PhysicalError};
pub use place::{PlaceError, place_memory};
pub use populate::{MemoryError, Populated};
pub use range::{IpaRange, PaRange, sort_few};
pub(crate) use space::Writer;
pub use space::{AddressSpace, TableUse};
