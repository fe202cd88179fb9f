//! EL2's own memory: its map, its heap, the extents it keeps for tables, and the windows through
//! which it touches a guest's memory.
#![expect(unsafe_code, reason = "raw memory is turned into references here and nowhere else")]

pub(crate) mod el2_map;
pub(crate) mod heap;
mod layout;
pub(crate) mod ports;
mod window;
